"""Releases on disk: storing, promoting, going back, and refusing what was changed."""

import hashlib
import json
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from coterie.agents.errors import CheckpointError, CheckpointNotFound, ReleaseCorrupt, StorageError
from coterie.agents.promotion import add, promote, rollback
from coterie.agents.releases import Release, StoredHead, history, live, release, releases, roles

ROLE = "finance/mood"
HEADS = (StoredHead(kind="classes", field="label", labels=("good", "bad")),)


@pytest.fixture(autouse=True)
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A COTERIE_HOME of this test's own."""
    monkeypatch.setenv("COTERIE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def stored(content: bytes = b"weights", role: str = ROLE) -> Release:
    return add(
        role,
        base="minilm-l6",
        base_digest="b" * 64,
        heads=HEADS,
        files={"head.safetensors": content},
        note="for a test",
    )


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """No file of this process may grow beyond `limit` bytes."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_role_without_releases_has_none_live() -> None:
    """It works zero-shot; nothing is written by asking."""
    assert live(ROLE) is None
    assert releases(ROLE) == ()
    assert history(ROLE) == ()
    assert roles() == ()


def test_a_candidate_is_not_live_until_it_is_promoted() -> None:
    """Storing changes nothing for those who ask which is live."""
    candidate = stored()
    assert candidate.head_path.read_bytes() == b"weights"
    assert (candidate.manifest.role, candidate.manifest.heads) == (ROLE, HEADS)
    assert live(ROLE) is None
    assert promote(ROLE, candidate.digest[:12]) == candidate
    assert live(ROLE) == candidate
    assert roles() == (ROLE,)


def test_going_back_restores_what_was_live_before() -> None:
    """One step at a time, down to no release at all, and the history tells everything."""
    first, second = stored(b"one"), stored(b"two")
    promote(ROLE, first.digest)
    promote(ROLE, second.digest)
    promote(ROLE, second.digest)  # it is live already
    assert rollback(ROLE) == first == live(ROLE)
    assert rollback(ROLE) is None
    assert live(ROLE) is None
    with pytest.raises(CheckpointNotFound, match="'finance/mood' has no live release to go back from"):
        rollback(ROLE)
    assert [(one.action, one.live) for one in history(ROLE)] == [
        ("promote", first.digest),
        ("promote", second.digest),
        ("rollback", first.digest),
        ("rollback", None),
    ]
    assert releases(ROLE) == (first, second), "a rollback deletes nothing"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda one: one.head_path.write_bytes(b"other"), r"head\.safetensors was changed after it had been stored"),
        (lambda one: one.head_path.unlink(), r"head\.safetensors is missing"),
        (lambda one: (one.folder / "release.json").unlink(), r"release\.json is missing"),
        (lambda one: (one.folder / "release.json").write_text("{}"), r"release\.json cannot be read: Field required"),
        (lambda one: replace(one, "for a test", "better"), r"release\.json was changed after it had been stored"),
    ],
)
def test_a_changed_release_is_refused(spoil: object, said: str) -> None:
    """Whatever was changed, the error names the role, the release, the file, and how to go back."""
    chosen = stored()
    promote(ROLE, chosen.digest)
    spoil(chosen)  # type: ignore[operator]
    with pytest.raises(
        ReleaseCorrupt, match=f"release {chosen.digest[:12]} of 'finance/mood' cannot be used: {said}; go back"
    ):
        live(ROLE)
    with pytest.raises(ReleaseCorrupt):
        promote(ROLE, chosen.digest)
    assert rollback(ROLE) is None


def replace(one: Release, old: str, new: str) -> None:
    path = one.folder / "release.json"
    path.write_text(path.read_text().replace(old, new))


def test_a_manifest_cannot_name_a_file_elsewhere(house: Path) -> None:
    """A path in place of a file name is refused, though its hash would be right."""
    content = stored().folder.joinpath("release.json").read_text().replace("head.safetensors", "../head.safetensors")
    digest = hashlib.sha256(content.encode()).hexdigest()
    folder = house / "releases" / ROLE / digest
    folder.mkdir()
    (folder / "release.json").write_text(content)
    with pytest.raises(ReleaseCorrupt, match="is missing"):
        release(ROLE, digest)


@pytest.mark.parametrize("role", ["", "..", "../up", "a/../b", "/root", "a//b", "a/", ".own", "a b", "a\\b", "f" * 64])
def test_a_role_cannot_lead_out_of_the_folder(role: str) -> None:
    """Only plain names with slashes between them are roles."""
    with pytest.raises(CheckpointError, match="is no name of a role"):
        live(role)
    with pytest.raises(CheckpointError, match="is no name of a role"):
        stored(role=role)


def test_an_unknown_or_ambiguous_digest_lists_what_there_is() -> None:
    """The beginning of a digest is enough where it names one release."""
    with pytest.raises(CheckpointNotFound, match="'finance/mood' has 0 releases 'abc'; it has: none"):
        promote(ROLE, "abc")
    found = [stored(bytes([number])) for number in range(17)]  # two of them begin with the same digit
    digits = [one.digest[0] for one in found]
    shared = next(digit for digit in digits if digits.count(digit) > 1)
    with pytest.raises(CheckpointNotFound, match=f"has {digits.count(shared)} releases '{shared}'"):
        release(ROLE, shared)
    with pytest.raises(CheckpointNotFound, match="has 0 releases ''"):
        release(ROLE, "")


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
def test_only_the_owner_may_read() -> None:
    """Folders are 0700 and files 0600, from the home folder down."""
    chosen = stored()
    promote(ROLE, chosen.digest)
    top = chosen.folder.parents[3]
    for path in [top, *top.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_full_disk_changes_nothing() -> None:
    """The error says so, no half release is left, and what was live stays live."""
    chosen = stored()
    promote(ROLE, chosen.digest)
    with full_disk(1_000), pytest.raises(StorageError, match="Free some space there"):
        stored(b"x" * 10_000)
    with full_disk(10), pytest.raises(StorageError, match="Free some space there"):
        rollback(ROLE)
    assert releases(ROLE) == (chosen,)
    assert live(ROLE) == chosen


def test_promotions_at_once_both_count() -> None:
    """No promotion is lost when two are made at the same time."""
    candidates = [stored(bytes([number])) for number in range(4)]
    threads = [threading.Thread(target=promote, args=(ROLE, one.digest)) for one in candidates]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(str(one.live) for one in history(ROLE)) == sorted(one.digest for one in candidates)


def test_a_damaged_pointer_is_said(house: Path) -> None:
    """Nothing is guessed about which release is live."""
    promote(ROLE, stored().digest)
    path = house / "releases" / ROLE / "live.json"
    path.write_text(json.dumps({"stack": 3}))
    with pytest.raises(CheckpointError, match=r"live\.json is damaged.*delete it, and promote a release again"):
        live(ROLE)


def test_two_roles_do_not_meet() -> None:
    """A role whose name continues another's has releases of its own."""
    inner, outer = stored(), stored(role="finance")
    promote(ROLE, inner.digest)
    assert live("finance") is None
    assert releases("finance") == (outer,)
    assert roles() == ("finance", ROLE)
