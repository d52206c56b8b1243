"""Which language model answers for a role now: that of its release, else its base as it is.

This file knows nothing of messages, prompts or grammars.
"""

from dataclasses import dataclass

import anyio.to_thread

from .errors import CheckpointError
from .inference import Inference
from .releases import Release
from .releases import release as stored_release


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A language model, and what an `Origin` says of its weights."""

    base: str  # what the engine is asked for: the base, or the folder of the release's own checkpoint
    digest: str  # sha256 hex of the release, or of the base's weights
    tuned: bool  # whether a release answers


async def serve_model(role: str, base: str, engine: Inference, digest: str) -> ServedModel:
    """The language model of `role`, whose description names `base`.

    Args:
        digest: of the release that must answer; "": the base as it is.

    Raises:
        CheckpointError: the release is of another kind or base, was changed, or the base cannot be had.
    """
    base_digest = await engine.digest(base)
    if not digest:
        return ServedModel(base, base_digest, tuned=False)
    release = await anyio.to_thread.run_sync(stored_release, role, digest)
    folder = release.model_folder
    if release.manifest.kind != "dialogue" or folder is None:
        raise CheckpointError(
            f"{_name(role, release)} is of a {release.manifest.kind}, with {'a' if folder else 'no'} model of its own; "
            f"expected the model of a dialogue manager; {_mend(role)}"
        )
    if release.manifest.base_digest != base_digest:
        raise CheckpointError(
            f"{_name(role, release)} was tuned from {release.manifest.base} ({release.manifest.base_digest[:12]}), but "
            f"the dialogue manager has {base} ({base_digest[:12]}); set base={release.manifest.base!r}, "
            f"or {_mend(role)}"
        )
    return ServedModel(str(folder), release.digest, tuned=True)


def _name(role: str, release: Release) -> str:
    return f"release {release.digest[:12]} of {role!r}"


def _mend(role: str) -> str:
    return f"tune the role again, or go back with `coterie rollback {role}`"
