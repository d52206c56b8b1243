"""How much of two texts is the same. This file knows nothing of reviews."""

from rapidfuzz import fuzz


def similarity(one: str, other: str, least: float = 0.0) -> float:
    """From 0 to 1 (normalised indel similarity); 0 where it is below `least`."""
    return fuzz.ratio(one, other, score_cutoff=least * 100) / 100
