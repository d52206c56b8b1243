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
from pathlib import Path

import psycopg
import pytest

MISSING = "no PostgreSQL server here; install Debian's package `postgresql`, or put initdb and postgres on the PATH"


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
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(command, user=self.user, cwd=self.folder, stdout=quiet, stderr=quiet)
        for _ in range(600):
            try:
                psycopg.connect(self.admin).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return
        raise TimeoutError("PostgreSQL did not start within 30 s")

    def kill(self) -> None:
        """Ends every process of the server at once; nothing is flushed."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for process in (self.process.pid, *map(int, children)):
            os.kill(process, signal.SIGKILL)
        self.process.wait()
        (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)  # a fast shutdown
            self.process.wait(30)

    def database(self) -> str:
        """The URL of a new, empty database."""
        self.count += 1
        name = f"desk{os.getpid()}_{self.count}"
        with psycopg.connect(self.admin, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{name}"

    @property
    def admin(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"


def served() -> Iterator[Server]:
    """A server for as long as the generator lives; skips the test where there can be none."""
    binaries = found()
    if binaries is None:
        pytest.skip(MISSING)
    user = unprivileged() if os.geteuid() == 0 else None
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
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "postgres").exists()), None)


def unprivileged() -> str:
    """A user that is not root, under which PostgreSQL refuses to run."""
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
