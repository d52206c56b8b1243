"""Draws by lot that always fall the same for the same texts: whatever is drawn again was drawn so before."""

import hashlib


def drawn(*texts: str, share: float) -> bool:
    """Whether the texts are among the `share` (0 to 1) that the lot falls on."""
    return lot(*texts) < share


def lot(*texts: str) -> float:
    """A number from 0 to 1, 1 excluded, that is always the same for the same texts."""
    content = "\0".join(texts).encode("utf-8", "surrogatepass")
    bits = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big") >> 11
    return float(bits / (1 << 53))
