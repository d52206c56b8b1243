"""Every error that an agent, a message or a model raises, and nothing else.

    CoterieError
    ├── MessageError (ValueError)         a message cannot be made, encoded or decoded
    │   └── UnknownMessageType
    ├── OutputTypeError (TypeError)       no head or grammar can produce this output type
    ├── CheckpointError                   the weights of a role cannot be had
    │   ├── CheckpointNotFound (LookupError)
    │   ├── CheckpointFetchFailed (OSError)
    │   ├── CheckpointCorrupt
    │   ├── CheckpointRefused             loading it would run code
    │   ├── ReleaseCorrupt                a release was changed after it was stored
    │   └── StorageError (OSError)        COTERIE_HOME cannot be written
    ├── NotDurable                        this needs a run whose log is a database
    ├── CorpusError (ValueError)          passages cannot be read or indexed
    └── EngineError (RuntimeError)        a model could not do what was asked
        ├── ContextOverflow
        ├── EngineClosed
        └── OutOfMemory (MemoryError)

Errors of graphs and runs extend this tree in ``orchestration/errors.py``. To add one: make it a leaf here, inherit
the standard class that callers would expect to catch, and let its ``__init__`` write the sentence, so that each place
that raises it stays one line. A sentence says what failed, what was found against what was expected, and what to do.
"""

from collections.abc import Iterable
from pathlib import Path


class CoterieError(Exception):
    """Base of everything that Coterie raises on purpose."""


class MessageError(CoterieError, ValueError):
    """A message cannot be made, encoded or decoded."""


class UnknownMessageType(MessageError):
    """A stored message names a type that the registry does not hold."""

    def __init__(self, schema: str, known: Iterable[str]) -> None:
        super().__init__(f"{schema!r} is not a message type of this registry; it knows {', '.join(sorted(known))}")


class NotDurable(CoterieError):
    """This needs a run whose log is a database."""


class OutputTypeError(CoterieError, TypeError):
    """No head or grammar can produce this output type."""


class CheckpointError(CoterieError):
    """The weights of a role cannot be had."""


class CheckpointNotFound(CheckpointError, LookupError):
    """A base checkpoint or a release does not exist under the name given."""


class CheckpointFetchFailed(CheckpointError, OSError):
    """A pinned base checkpoint could not be fetched, most often because there is no network."""


class CheckpointCorrupt(CheckpointError):
    """A file's hash is not the pinned one; the file has been deleted, unless that was not permitted."""

    def __init__(self, path: Path, found: str, expected: str) -> None:
        done = "refused; delete it" if path.exists() else "refused and deleted"
        super().__init__(
            f"{path.name} has sha256 {found[:16]}…, expected {expected[:16]}…; "
            f"it was {done}. Fetch it again with `coterie models fetch`"
        )


class CheckpointRefused(CheckpointError):
    """A folder is no checkpoint that can be loaded without running code."""

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(f"the checkpoint in {str(folder)!r} is refused: {reason}")


class ReleaseCorrupt(CheckpointError):
    """A file of a release is missing, or was changed after the release had been stored."""

    def __init__(self, role: str, path: Path, reason: str) -> None:
        super().__init__(
            f"release {path.parent.name[:12]} of {role!r} cannot be used: {path.name} {reason}; "
            f"go back to the one before with `coterie rollback {role}`"
        )


class StorageError(CheckpointError, OSError):
    """A file under COTERIE_HOME cannot be written."""

    def __init__(self, path: Path, cause: OSError) -> None:
        super().__init__(
            f"cannot write {path}: {cause.strerror or cause}. Free some space there, "
            f"or point COTERIE_HOME at a folder that can be written"
        )


class CorpusError(CoterieError, ValueError):
    """Passages cannot be read or indexed."""


class EngineError(CoterieError, RuntimeError):
    """A model could not do what was asked."""


class ContextOverflow(EngineError):
    """A prompt and its reply do not fit the model's context."""

    def __init__(self, base: str, needed: int, limit: int) -> None:
        super().__init__(
            f"{base} was asked for {needed:,} tokens of context, but {limit:,} is its limit; shorten the input"
        )


class EngineClosed(EngineError):
    """The engine was asked after it had been closed."""

    def __init__(self) -> None:
        super().__init__("the engine is closed; ask it inside `async with Runtime()`")


class OutOfMemory(EngineError, MemoryError):
    """The device has no memory left for this batch, not even for one request."""
