"""The releases of a role on disk: which there are, which is live, and what is in them. Reading only.

    COTERIE_HOME/releases/<role>/<digest>/release.json        what it is: role, base, heads, hash of each file
    COTERIE_HOME/releases/<role>/<digest>/head.safetensors    a classifier's head
    COTERIE_HOME/releases/<role>/<digest>/query.safetensors   a retriever's map of queries
    COTERIE_HOME/releases/<role>/<digest>/model/              weights of its own instead of the base's: a checkpoint
    COTERIE_HOME/releases/<role>/<digest>/rows.jsonl          which rows it was tuned on, without their text
    COTERIE_HOME/releases/<role>/live.json                    which is live, which were before, and what was done

A release is stored once and never changed: its digest is the hash of its release.json, which holds the hash of
everything else, and both are checked when it is read. Storing and promoting is done by promotion.py.

This file knows nothing of torch, of how heads are computed, or of why a release is good.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from .checkpoints import file_digests, home
from .decisions import Decision, DecisionKind, Regression
from .errors import CheckpointError, CheckpointNotFound, ReleaseCorrupt

MANIFEST = "release.json"
HEAD = "head.safetensors"
QUERY_MAP = "query.safetensors"
MODEL = "model"  # a folder
ROWS = "rows.jsonl"
POINTER = "live.json"
ROLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}(/[A-Za-z0-9][A-Za-z0-9._-]{0,63}){0,7}")
DIGEST = re.compile(r"[0-9a-f]{64}")

FILE = re.compile(rf"({MODEL}/)?[A-Za-z0-9][A-Za-z0-9._-]*")

Action: TypeAlias = Literal["promote", "rollback"]
Kind: TypeAlias = Literal["classifier", "retriever", "dialogue"]


class StoredHead(BaseModel):
    """Which decision a head was trained for, by names: what must fit the output type that it serves."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    kind: DecisionKind
    field: str = ""  # "" of a routing head
    labels: tuple[str, ...]  # in the order of the head's rows
    low: float | None = None  # of a regression
    high: float | None = None

    @classmethod
    def of(cls, decision: Decision) -> "StoredHead":
        """The head that `decision` asks for."""
        low, high = (decision.low, decision.high) if isinstance(decision, Regression) else (None, None)
        return cls(kind=decision.kind, field=decision.field, labels=decision.labels, low=low, high=high)

    def __str__(self) -> str:
        bounds = "" if self.low is None else f" from {self.low:g} to {self.high:g}"
        return f"{self.kind}{' ' * bool(self.field)}{self.field} [{', '.join(self.labels)}]{bounds}"


class StoredSearch(BaseModel):
    """How a retriever searches: `fusion.Fusion`, and what its own weights embed."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    lexical_share: float
    k1: float
    b: float
    query_map: bool = False  # whether the embedding of a query goes through the map in query.safetensors
    documents: Literal["base", "model"] = (
        "base"  # what embeds passages; queries are embedded by the model if there is one
    )


class Manifest(BaseModel):
    """What release.json holds."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    version: Literal[1] = 1  # of this format
    role: str
    kind: Kind = "classifier"
    base: str
    base_digest: str  # sha256 hex of the base's weights
    heads: tuple[StoredHead, ...] = ()  # of a classifier
    features: tuple[str, ...] = ()  # names of the numeric features, in the order of the head's columns
    calibrated: bool = False  # whether probabilities were calibrated on held-out rows
    search: StoredSearch | None = None  # of a retriever
    recipe: dict[str, JsonValue] = {}  # every setting that it was tuned with
    dataset: str = ""  # sha256 hex of the rows that it was tuned on
    created: datetime
    note: str = ""  # for a person: what it was tuned on
    files: dict[str, str]  # sha256 hex of each file beside this one


class Promotion(BaseModel):
    """One change of which release is live."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    action: Action
    live: str | None  # digest that was live afterwards; None: the role worked zero-shot again
    at: datetime


class LivePointer(BaseModel):
    """What live.json holds."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    stack: tuple[str, ...] = Field(default=())  # promoted digests, the live one last; a rollback takes it away
    log: tuple[Promotion, ...] = ()  # oldest first


class Release(BaseModel):
    """A stored release that was found whole."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    digest: str  # sha256 hex of its release.json
    folder: Path
    manifest: Manifest

    @property
    def head_path(self) -> Path:
        """The file with a classifier's head."""
        return self.folder / HEAD

    @property
    def model_folder(self) -> Path | None:
        """The checkpoint with weights of its own; None where it uses those of its base."""
        return self.folder / MODEL if any(name.startswith(f"{MODEL}/") for name in self.manifest.files) else None


def check_role(role: str) -> None:
    """Refuses what cannot name a role, and could lead out of the folder of releases.

    Raises:
        CheckpointError: `role` is no role's name.
    """
    if not ROLE.fullmatch(role) or any(DIGEST.fullmatch(part) for part in role.split("/")):
        raise CheckpointError(
            f"{role!r} is no name of a role; expected letters, digits, '.', '_' and '-' in up to eight parts "
            f"with '/' between them, such as 'finance/mood'"
        )


def role_folder(role: str) -> Path:
    """Where releases of `role` lie.

    Raises:
        CheckpointError: `role` is no role's name.
    """
    check_role(role)
    return home() / "releases" / role


def live(role: str) -> Release | None:
    """The release that answers for `role` now, checked; None where the role works zero-shot. Blocks.

    Raises:
        ReleaseCorrupt: a file of it was changed or is missing.
    """
    stack = pointer(role).stack
    return release(role, stack[-1]) if stack else None


def live_digest(role: str) -> str:
    """The digest of the release that answers for `role` now; "" where the role works zero-shot.

    Cheap enough to ask for each message: the pointer is read again only after it has changed. Nothing is checked.
    """
    path = role_folder(role) / POINTER
    try:
        state = path.stat()
    except FileNotFoundError:
        return ""
    return _live_digest(role, str(path), state.st_mtime_ns, state.st_ino)


def release(role: str, digest: str) -> Release:
    """The release of `role` with this digest, or with the one digest that begins so; its files are checked. Blocks.

    Raises:
        CheckpointNotFound: there is none, or more than one begins so.
        ReleaseCorrupt: a file of it was changed or is missing.
    """
    found = [stored for stored in stored_digests(role) if digest and stored.startswith(digest)]
    if len(found) != 1:
        have = ", ".join(stored[:12] for stored in stored_digests(role)) or "none"
        raise CheckpointNotFound(f"{role!r} has {len(found)} releases {digest[:12]!r}; it has: {have}")
    return _read(role, found[0])


def releases(role: str) -> tuple[Release, ...]:
    """Every release of `role`, oldest first, each checked. Blocks."""
    found = [_read(role, digest) for digest in stored_digests(role)]
    return tuple(sorted(found, key=lambda one: (one.manifest.created, one.digest)))


def history(role: str) -> tuple[Promotion, ...]:
    """What was promoted and rolled back, oldest first. Blocks."""
    return pointer(role).log


def roles() -> tuple[str, ...]:
    """The roles that have releases. Blocks."""
    top = home() / "releases"
    folders = {path.parent.parent for path in top.glob(f"**/{MANIFEST}") if DIGEST.fullmatch(path.parent.name)}
    return tuple(sorted(folder.relative_to(top).as_posix() for folder in folders))


def stored_digests(role: str) -> list[str]:
    """Digests of what is stored for `role`, unchecked."""
    folder = role_folder(role)
    return sorted(path.name for path in folder.iterdir() if DIGEST.fullmatch(path.name)) if folder.is_dir() else []


def pointer(role: str) -> LivePointer:
    """Which release of `role` is live, and which were before."""
    path = role_folder(role) / POINTER
    try:
        return LivePointer.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return LivePointer()
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise CheckpointError(f"{path} is damaged: {reason}; delete it, and promote a release again") from error


def _read(role: str, digest: str) -> Release:
    folder = role_folder(role) / digest
    path = folder / MANIFEST
    try:
        content = path.read_bytes()
        manifest = Manifest.model_validate_json(content)
    except FileNotFoundError as error:
        raise ReleaseCorrupt(role, path, "is missing") from error
    except ValidationError as error:
        raise ReleaseCorrupt(role, path, f"cannot be read: {error.errors()[0]['msg']}") from error
    if hashlib.sha256(content).hexdigest() != digest or manifest.role != role:
        raise ReleaseCorrupt(role, path, "was changed after it had been stored")
    _check_files(role, folder, manifest.files)
    return Release(digest=digest, folder=folder, manifest=manifest)


def _check_files(role: str, folder: Path, files: Mapping[str, str]) -> None:
    for name in files:
        if not FILE.fullmatch(name) or not (folder / name).is_file():
            raise ReleaseCorrupt(role, folder / name, "is missing")
    found = file_digests([folder / name for name in files])
    for (name, expected), digest in zip(files.items(), found, strict=True):
        if digest != expected:
            raise ReleaseCorrupt(role, folder / name, "was changed after it had been stored")


@lru_cache(maxsize=256)
def _live_digest(role: str, path: str, modified: int, inode: int) -> str:
    stack = pointer(role).stack
    return stack[-1] if stack else ""
