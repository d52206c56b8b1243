"""What the disk alone costs: for each node one transaction of four small statements, FULL, and nothing else."""

import atexit
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

from work import CHAIN

FOLDER = Path(tempfile.mkdtemp(prefix="durable-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
DATABASE = sqlite3.connect(FOLDER / "desk.db", isolation_level=None)
for statement in (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "CREATE TABLE runs (id INTEGER PRIMARY KEY, head INTEGER)",
    "CREATE TABLE facts (seq INTEGER PRIMARY KEY, body TEXT)",
    "CREATE TABLE messages (digest BLOB PRIMARY KEY, body TEXT) WITHOUT ROWID",
    "INSERT INTO runs VALUES (1, 0)",
):
    DATABASE.execute(statement)


def commit() -> None:
    DATABASE.execute("BEGIN IMMEDIATE")
    DATABASE.execute("UPDATE runs SET head = head + 1")
    DATABASE.execute("INSERT INTO facts (body) VALUES (?)", ("x" * 200,))
    DATABASE.execute("INSERT INTO facts (body) VALUES (?)", ("x" * 200,))
    DATABASE.execute("INSERT INTO messages VALUES (?, ?)", (os.urandom(32), "x" * 30))
    DATABASE.execute("COMMIT")


async def chain(repeats: int) -> None:
    for _ in range(repeats * CHAIN):
        commit()


async def concurrent(repeats: int) -> None:
    await chain(repeats)
