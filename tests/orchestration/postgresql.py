"""A real PostgreSQL server for tests: on loopback, in a temporary folder, from the binaries that the machine has."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

MISSING = "no PostgreSQL server here; install Debian's package `postgresql`, or put initdb and postgres on the PATH"
NOBODY = "PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody` here; add one"
PATIENCE = 30  # seconds that the server may take to start or to stop


class Server:
    """One server; it can be killed as a power cut would, and started again."""

    def __init__(self, binaries: Path, folder: Path, user: str | None) -> None:
        self.binaries, self.folder, self.user = binaries, folder, user
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None
        self.count = 0

    def initialise(self) -> None:
        if self.user is not None:
            shutil.chown(self.folder, self.user)
        command = [self.binaries / "initdb", "-D", self.folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8"]
        subprocess.run([*command, "--no-locale"], check=True, capture_output=True, user=self.user, cwd=self.folder)

    def start(self) -> None:
        settings = [f"port={self.port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}"]
        options = [part for setting in settings for part in ("-c", setting)]
        command = [self.binaries / "postgres", "-D", self.folder / "data", *options]
        with self.told.open("ab") as told:
            self.process = subprocess.Popen(command, user=self.user, cwd=self.folder, stdout=told, stderr=told)
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                psycopg.connect(self.admin).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"PostgreSQL did not start; it said: {self.told.read_text(encoding='utf-8')[-2000:]}")

    def kill(self) -> None:
        """Ends every process of the server at once; nothing is flushed."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)  # so that it starts no more children
        children = [int(pid) for pid in _children(self.process.pid)]
        for process in (self.process.pid, *children):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.process.wait()
        while any(_lives(child) for child in children):
            time.sleep(0.01)
        (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)  # a fast shutdown
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()

    def database(self) -> str:
        """The URL of a new, empty database."""
        self.count += 1
        name = f"desk{os.getpid()}_{self.count}"
        with psycopg.connect(self.admin, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{name}"

    @property
    def told(self) -> Path:
        """What the server has to say."""
        return self.folder / "told"

    @property
    def admin(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"


def served() -> Iterator[Server]:
    """A server for as long as the generator lives; skips the test where there can be none."""
    binaries = found()
    if binaries is None:
        pytest.skip(MISSING)
    user = unprivileged() if os.geteuid() == 0 else None
    if user == "root":
        pytest.skip(NOBODY)
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    server = Server(binaries, folder, user)
    try:
        server.initialise()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def found() -> Path | None:
    """The folder of the server's binaries."""
    on_path = shutil.which("initdb")
    places = [Path(on_path).parent] if on_path else []
    if configured := shutil.which("pg_config"):
        told = subprocess.run([configured, "--bindir"], capture_output=True, text=True, check=False)
        places.append(Path(told.stdout.strip()))
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    complete = (place for place in places if all((place / name).exists() for name in ("initdb", "postgres")))
    return next(complete, None)


def unprivileged() -> str:
    """A user under which PostgreSQL agrees to run; root where there is none."""
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in names), "root")


def _children(process: int) -> list[str]:
    return Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()


def _lives(process: int) -> bool:
    """Whether it still runs; one that only waits to be buried does not."""
    try:
        status = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"
