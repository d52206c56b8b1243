"""A candidate: what a tuner gives, before and as it is stored as a release of its role.

The rows that it was tuned on are stored beside it by id, thread and decision, without their text, so that erasing a
thread can name the releases it touched. This file does not judge whether a candidate is good.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..agents.errors import ReleaseCorrupt
from ..agents.promotion import add, content_digest
from ..agents.releases import ROWS, Release, StoredHead, StoredSearch, live, releases, roles
from .errors import TrainingFailed
from .recipes import Recipe
from .rows import Kind, Row


@dataclass(frozen=True, slots=True)
class Candidate:
    """Weights that a tuner made, and what they are for."""

    role: str
    kind: Kind
    base: str
    base_digest: str  # sha256 hex of the base's weights
    files: Mapping[str, bytes | Path]  # by the names in agents/releases.py; a path is copied when it is stored
    recipe: Recipe
    heads: tuple[StoredHead, ...] = ()  # of a classifier
    features: tuple[str, ...] = ()  # names of its numeric features
    calibrated: bool = False
    search: StoredSearch | None = None  # of a retriever
    dataset: str = ""  # sha256 hex of the rows
    note: str = ""  # for a person


def store(candidate: Candidate, rows: Iterable[Row] = ()) -> Release:
    """Stores `candidate` as a release that is not live, with the rows that it was tuned on. Blocks.

    Raises:
        TrainingFailed: it answers exactly as the live release does, so that the training changed nothing.
        StorageError: COTERIE_HOME cannot be written.
    """
    _check_new(candidate)
    return add(
        candidate.role,
        kind=candidate.kind,
        base=candidate.base,
        base_digest=candidate.base_digest,
        files={**candidate.files, ROWS: _lineage(rows)},
        heads=candidate.heads,
        features=candidate.features,
        calibrated=candidate.calibrated,
        search=candidate.search,
        recipe=candidate.recipe.model_dump(mode="json"),
        dataset=candidate.dataset,
        note=candidate.note,
    )


def touched_by(thread: str) -> tuple[Release, ...]:
    """Every release that was tuned on rows of `thread`, so that erasing the thread can name them. Blocks.

    Raises:
        ReleaseCorrupt: a release was changed after it had been stored.
    """
    stored = (release for role in roles() for release in releases(role))
    return tuple(release for release in stored if any(row["thread"] == thread for row in _rows_of(release)))


def _check_new(candidate: Candidate) -> None:
    """Refuses a training that changed nothing."""
    serving = live(candidate.role)
    if serving is None:
        return
    now = serving.manifest
    weights = {name: digest for name, digest in now.files.items() if name != ROWS}
    settings = (now.base_digest, now.heads, now.features, now.search)
    made = {name: content_digest(content) for name, content in candidate.files.items()}
    if made == weights and settings == (candidate.base_digest, candidate.heads, candidate.features, candidate.search):
        raise TrainingFailed(
            f"the candidate for {candidate.role!r} equals the live release {serving.digest[:12]}: the training changed "
            f"nothing; look at its learning rate and its rows"
        )


def _lineage(rows: Iterable[Row]) -> bytes:
    lines = (
        {"id": row.id, "thread": row.source.thread, "decisions": row.source.decisions, "split": row.split}
        for row in rows
    )
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode("utf-8", "replace")


def _rows_of(release: Release) -> Iterator[dict[str, object]]:
    path = release.folder / ROWS
    if ROWS not in release.manifest.files:
        return
    try:
        yield from (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    except ValueError as error:
        raise ReleaseCorrupt(release.manifest.role, path, f"cannot be read: {error}") from error
