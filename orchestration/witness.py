"""A witness: a file, best kept on another disk, that says how far each run had come, so that a log cut short shows.

The hashes in a log show that a row was changed. They cannot show that the last rows, or the whole file, were put back
to an earlier day. The witness can: each line of it names runs with the number and hash of their latest facts, and is
signed with a key that lies in COTERIE_HOME, together with the line before it.

This file knows nothing of databases.
"""

import hmac
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic_core import from_json, to_json

from ..agents.checkpoints import home
from ..agents.durable_files import make_folder, write_durably
from .errors import LogCorrupt, LogUnavailable

KEY = "witness.key"
Heads = Mapping[str, tuple[int, str]]
"""For each run the number and the hash of its latest fact."""


class WitnessFile:
    """What a witness has seen. Reading it changes nothing, so it may be at work meanwhile.

    Args:
        path: the witness file.
        key: its lines are signed with it; None: the key in COTERIE_HOME, made when missing.

    Raises:
        LogCorrupt: the file was changed, or signed with another key.
    """

    def __init__(self, path: Path, key: bytes | None = None) -> None:
        self.path = path
        self._key = key if key is not None else own_key()
        self.seen: dict[str, tuple[int, str]] = {}
        self._last = ""
        for heads, mac in self._lines():
            self.seen.update(heads)
            self._last = mac

    def missing(self, found: Heads, hash_of: Mapping[tuple[str, int], str]) -> list[str]:
        """What the witness has seen and the log does not have, a sentence each.

        Args:
            found: the heads of the log's runs, of pruned ones too.
            hash_of: the hash of each fact that the witness has seen last, by run and number, where the log has it.
        """
        said = []
        for run, (seq, hashed) in self.seen.items():
            if run not in found:
                said.append(f"run {run!r}: the witness saw {seq} facts of it, but the log does not have it")
            elif found[run][0] < seq:
                said.append(f"run {run!r}: the witness saw fact {seq}, but the log ends with number {found[run][0]}")
            elif hash_of.get((run, seq), hashed) != hashed:
                said.append(f"run {run!r}, fact {seq}: the witness saw another one")
        return said

    def _lines(self) -> Iterator[tuple[dict[str, tuple[int, str]], str]]:
        before = ""
        content = self.path.read_bytes() if self.path.exists() else b""
        whole, _, _ = content.rpartition(b"\n")  # what follows the last line's end was cut off by a crash
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                stored = from_json(line)
                heads = {run: (int(seq), str(hashed)) for run, (seq, hashed) in stored["heads"].items()}
                mac = str(stored["mac"])
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise LogCorrupt(f"{self.path}, line {number}", "it is no line of a witness") from error
            if not hmac.compare_digest(mac, self._mac(before, heads)):
                raise LogCorrupt(f"{self.path}, line {number}", "it was not signed with this key, or was changed")
            before = mac
            yield heads, mac

    def _mac(self, before: str, heads: Heads) -> str:
        return hmac.digest(self._key, to_json([before, sorted(heads.items())]), "sha256").hex()


class Witness(WitnessFile):
    """Appends what was committed to its file, which is made when missing. See `WitnessFile`."""

    def __init__(self, path: Path, key: bytes | None = None) -> None:
        super().__init__(path, key)
        make_folder(path.parent)
        # What was seen becomes one line, so that the file does not grow for ever.
        self._last = self._mac("", self.seen)
        write_durably(path, self._line(self.seen, self._last))
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._broken = False  # part of a line may stand at the end, and nothing may follow it

    def note(self, heads: Heads) -> None:
        """These runs have come so far.

        Raises:
            LogUnavailable: it cannot be written, now or before; opened anew, it goes on from its last whole line.
        """
        mac = self._mac(self._last, heads)
        self._append(self._line(heads, mac))
        self._last = mac
        self.seen.update(heads)

    def close(self) -> None:
        os.close(self._file)

    def _append(self, line: bytes) -> None:
        why = "an earlier line could not be"
        try:
            written = 0 if self._broken else os.write(self._file, line)
        except OSError as error:
            written, why = 0, error.strerror or str(error)
        if written == len(line):
            return
        self._broken = True
        if written:
            why = f"the disk took {written} of {len(line)} bytes"
        raise LogUnavailable(f"the witness {self.path} cannot be written: {why}; make room on its disk, then resume")

    def _line(self, heads: Heads, mac: str) -> bytes:
        return to_json({"heads": dict(heads), "mac": mac}) + b"\n"


def own_key() -> bytes:
    """The key in COTERIE_HOME, which only its owner can read."""
    path = home() / KEY
    if not path.exists():
        write_durably(path, secrets.token_bytes(32))
    return path.read_bytes()
