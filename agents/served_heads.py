"""Which heads answer for a classifier now: those of its role's live release, else zero-shot ones from descriptions.

This file knows nothing of messages, nor of how heads compute.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from .decisions import Decision, Regression
from .errors import CheckpointError, ReleaseCorrupt
from .inference import Inference
from .loading import load
from .releases import Release, StoredHead
from .releases import release as stored_release

if TYPE_CHECKING:
    from .heads import Heads, LinearHeads


@dataclass(frozen=True, slots=True)
class ServedHeads:
    """Heads, and what an `Origin` says of them."""

    heads: "Heads"
    base: str  # what embeds the text: the base, or the release's own checkpoint
    digest: str  # sha256 hex of the release, or of base and descriptions
    calibrated: bool


@dataclass(frozen=True, slots=True)
class HeadRequest:
    """What a classifier needs heads for."""

    role: str
    base: str
    decisions: tuple[Decision, ...]
    descriptions: tuple[tuple[str, ...], ...]  # a sentence for each label of each decision
    features: tuple[str, ...]  # names of the numeric features of its input


async def serve_heads(request: HeadRequest, engine: Inference, digest: str) -> ServedHeads:
    """The heads for `request`.

    Args:
        digest: of the release that must answer; "" for the zero-shot form.

    Raises:
        CheckpointError: the release does not fit the request, was changed, or the base cannot be had.
    """
    release = await anyio.to_thread.run_sync(stored_release, request.role, digest) if digest else None
    module = await anyio.to_thread.run_sync(load, "agents.heads", abandon_on_cancel=True)
    base_digest = await engine.digest(request.base)
    if release is None:
        return await _zero_shot(request, engine, base_digest, module)
    orders = _fit(request, release, base_digest)
    content = await anyio.to_thread.run_sync(release.head_path.read_bytes)
    kinds = [head.kind for head in release.manifest.heads]
    try:
        heads: LinearHeads = module.read_heads(content, kinds)
        return ServedHeads(
            module.reordered(heads, orders),
            str(release.model_folder or request.base),
            release.digest,
            release.manifest.calibrated,
        )
    except (ValueError, IndexError) as error:
        raise ReleaseCorrupt(request.role, release.head_path, str(error)) from error


async def _zero_shot(request: HeadRequest, engine: Inference, digest: str, module: Any) -> ServedHeads:
    heads = []
    for decision, descriptions in zip(request.decisions, request.descriptions, strict=True):
        vectors = await engine.embed(request.base, descriptions)
        low, high = (decision.low, decision.high) if isinstance(decision, Regression) else (0.0, 1.0)
        heads.append(module.DescribedHead(decision.kind, vectors, low, high))
    told = [
        {"kind": decision.kind, "field": decision.field, "labels": decision.labels, "descriptions": descriptions}
        for decision, descriptions in zip(request.decisions, request.descriptions, strict=True)
    ]
    canonical = json.dumps({"role": request.role, "heads": told}, sort_keys=True, separators=(",", ":"))
    own = hashlib.sha256((digest + canonical).encode()).hexdigest()
    return ServedHeads(module.ZeroShotHeads(tuple(heads)), request.base, own, calibrated=False)


def _fit(request: HeadRequest, release: Release, digest: str) -> list[list[int]]:
    """For each head the stored row of each label that is asked for; raises where the release decides something else."""
    stored = release.manifest
    if stored.kind != "classifier":
        raise CheckpointError(
            f"release {release.digest[:12]} of {request.role!r} is of a {stored.kind}, not a classifier"
        )
    name = f"release {release.digest[:12]} of {request.role!r}"
    if stored.base_digest != digest:
        raise CheckpointError(
            f"{name} was tuned over {stored.base} ({stored.base_digest[:12]}), but the classifier has {request.base} "
            f"({digest[:12]}); set base={stored.base!r}, or tune the role again"
        )
    if stored.features != request.features:
        raise CheckpointError(
            f"{name} was tuned with the numeric fields {_listed(stored.features)}, but its input has "
            f"{_listed(request.features)}; {_mend(request.role)}"
        )
    asked = [StoredHead.of(decision) for decision in request.decisions]
    if [_key(head) for head in asked] != [_key(head) for head in stored.heads]:
        raise CheckpointError(
            f"{name} decides {'; '.join(map(str, stored.heads))}, but the output type asks for "
            f"{'; '.join(map(str, asked))}; {_mend(request.role)}"
        )
    return [_order(head, known) for head, known in zip(asked, stored.heads, strict=True)]


def _mend(role: str) -> str:
    return f"tune the role again, or go back with `coterie rollback {role}`"


def _key(head: StoredHead) -> tuple[Any, ...]:
    return head.kind, head.field, sorted(head.labels), head.low, head.high


def _order(asked: StoredHead, known: StoredHead) -> list[int]:
    return [0] if asked.kind == "regression" else [known.labels.index(label) for label in asked.labels]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
