"""How a retriever searches now: as its role's release says, else with the base as it is and the usual fusion.

Letters in shape comments: D width of an embedding.

This file knows nothing of passages or messages, nor of how a score is made.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio.to_thread
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from .errors import CheckpointError, ReleaseCorrupt
from .fusion import Fusion
from .inference import Inference
from .releases import QUERY_MAP, Release, StoredSearch
from .releases import release as stored_release

if TYPE_CHECKING:
    from .inference import FloatArray

MAP = "map"  # the tensor in QUERY_MAP


@dataclass(frozen=True, slots=True, eq=False)
class ServedSearch:
    """What embeds passages and queries, and how both scores are joined."""

    documents: str  # embeds passages: the base, or the release's own checkpoint
    queries: str  # embeds queries, likewise
    fusion: Fusion
    digest: str = ""  # sha256 hex of the release; "" where none answers
    query_map: "FloatArray | None" = None  # (D, D) float32; None: queries stay as they are

    def placed(self, query: "FloatArray") -> "FloatArray":
        """The embedding (D,) of a query as passages are compared with it: mapped, and of unit length again.

        Raises:
            ValueError: the map is of another width.
        """
        if self.query_map is None:
            return query
        mapped = np.einsum("d,de->e", query, self.query_map)  # not `@`: see index.py
        length = float(np.linalg.norm(mapped))
        return mapped / np.float32(length) if length > 0 else query


async def serve_search(
    role: str, base: str, engine: Inference, digest: str, fusion: Fusion | None = None
) -> ServedSearch:
    """How `role` searches.

    Args:
        role: the role's name.
        base: the encoder that the retriever was given.
        engine: what knows the digest of the base's weights.
        digest: of the release that must answer; "": none, so the base as it is.
        fusion: used instead of the release's own; None: as the release says, else the usual one.

    Raises:
        CheckpointError: the release is no retriever's, was tuned over another base, was changed, or the base cannot be
            had.
    """
    if not digest:
        return ServedSearch(base, base, fusion or Fusion())
    release = await anyio.to_thread.run_sync(stored_release, role, digest)
    search = _fit(role, release, base, await engine.digest(base))
    own = str(release.model_folder or base)
    return ServedSearch(
        documents=own if search.documents == "model" else base,
        queries=own,
        fusion=fusion or Fusion(search.lexical_share, search.k1, search.b),
        digest=release.digest,
        query_map=await anyio.to_thread.run_sync(read_map, release) if search.query_map else None,
    )


def read_map(release: Release) -> "FloatArray":
    """The map of queries in `release`: (D, D) float32. Blocks.

    Raises:
        ReleaseCorrupt: the file holds no such map.
    """
    path = release.folder / QUERY_MAP
    try:
        found: FloatArray = load(path.read_bytes())[MAP]
    except (OSError, SafetensorError, KeyError) as error:
        raise ReleaseCorrupt(release.manifest.role, path, f"holds no tensor {MAP!r}: {error}") from error
    if found.dtype != np.float32 or found.ndim != 2 or len(set(found.shape)) != 1 or not np.isfinite(found).all():
        form = f"{found.dtype} of shape {found.shape}"
        raise ReleaseCorrupt(release.manifest.role, path, f"holds {form}, expected finite float32 of shape (D, D)")
    return found


def _fit(role: str, release: Release, base: str, digest: str) -> StoredSearch:
    """How `release` searches; raises where it cannot answer for a retriever over `base`."""
    stored = release.manifest
    name = f"release {release.digest[:12]} of {role!r}"
    if stored.kind != "retriever" or stored.search is None:
        raise CheckpointError(f"{name} is of a {stored.kind}, not a retriever")
    if stored.base_digest != digest:
        raise CheckpointError(
            f"{name} was tuned over {stored.base} ({stored.base_digest[:12]}), but the retriever has {base} "
            f"({digest[:12]}); set base={stored.base!r}, or tune the role again"
        )
    return stored.search
