"""What agents say to each other: frozen, typed, clean text, bounded in size.

A `Message` is checked where it is made and never changes. Its `Origin` tells which weights made it; the origin travels
with the message but is no part of its content, so two messages that say the same are equal.

How it is stored is in registry.py. This file knows nothing of agents, graphs, models or files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic_core import PydanticCustomError

REPLACEMENT = "\ufffd"


@dataclass(frozen=True, slots=True)
class Calibrated:
    """Marks a number that the model fills in with its probability of being right."""


Confidence: TypeAlias = Annotated[float, Field(ge=0, le=1), Calibrated()]
"""The probability, 0 to 1, that the message's decision is right; the classifier fills it in.

Whether it has been calibrated on reviewed rows is said by `Origin.calibrated`.
"""


class Origin(BaseModel):
    """Which role made a message, with which weights, and what it would have said next."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    role: str
    weights: str  # sha256 hex digest of the release that answered
    calibrated: bool = False  # False: confidences are similarities, not measured frequencies
    alternatives: tuple[tuple[str, float], ...] = ()  # label and probability, best first, the chosen one included


class Message(BaseModel):
    """The base of everything that travels along an edge.

        class Question(Message):
            text: str

    Subclasses set `schema_version` when a field changes, `schema_name` when the class is renamed but stored rows stay,
    and `max_bytes` when they carry more than a megabyte. Freeze with `model_config`, never with a class keyword.

    Raises:
        pydantic.ValidationError: a field is missing, unknown, of another type, NaN or infinite; or the message holds
            more than `max_bytes`.
    """

    # Validators are built when a type is first used, or by a workflow's `build()`: importing types must stay fast.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)

    __slots__ = ("_origin",)  # a private attribute of pydantic would cost every message a dictionary

    schema_name: ClassVar[str] = "Message"
    schema_version: ClassVar[int] = 1
    max_bytes: ClassVar[int] = 1_000_000  # bytes of UTF-8 text, plus 8 for each other value

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "schema_name" not in cls.__dict__:
            cls.schema_name = cls.__name__

    @model_validator(mode="before")
    @classmethod
    def _tidy(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        clean, size = _repaired_fields(data)
        if size > cls.max_bytes:
            raise PydanticCustomError(
                "message_too_large",
                "{schema} holds about {size} bytes, more than its limit of {limit}; "
                "split it, or raise `max_bytes` on {schema}",
                {"schema": cls.schema_name, "size": size, "limit": cls.max_bytes},
            )
        return clean

    @property
    def origin(self) -> Origin | None:
        """Which weights made this message; None where a person or plain code did."""
        try:
            origin: Origin = _ORIGIN.__get__(self)
        except AttributeError:
            return None
        return origin

    def made_by(self, origin: Origin) -> Self:
        """The same message, carrying `origin`."""
        copy = self.model_copy()
        object.__setattr__(copy, "_origin", origin)
        return copy

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        plain = (value for value in self.__dict__.values() if isinstance(value, str | int | float))
        return hash((type(self), *plain))  # equal messages may differ in the order of a dictionary, so it is left out


_ORIGIN = Message.__dict__["_origin"]  # read like this, a slot that is empty costs no call of pydantic's `__getattr__`


class Passage(Message):
    """A stretch of a source that a retriever found."""

    id: str
    text: str
    score: float = 0.0  # fused score, higher is better; comparable within one answer only
    source: str = ""  # file, URL or name of the collection
    start: int = 0  # first character of the span in its source
    end: int = 0  # one past the last character of the span in its source


class Rejection(Message):
    """An agent or a person declined to decide.

    A classifier with `abstain_below=` answers with it when it is too unsure; a reviewer answers with it to turn a
    proposal down. Name it in an output union to route it; where it is not named, declining fails the task.
    """

    by: str  # the role, or the reviewer's name
    reason: str
    proposal: dict[str, JsonValue] = {}  # what would have been said, field by field


class Failure(Message):
    """What an error handler is told about a task that failed."""

    node: str
    error: str  # name of the exception's class
    reason: str
    attempts: int


def repair_text(text: str) -> str:
    """`text` without lone surrogates and NUL, which neither JSON nor databases can hold; each becomes U+FFFD."""
    if text.isascii():
        return text.replace("\0", REPLACEMENT) if "\0" in text else text
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole.replace("\0", REPLACEMENT)


def _repaired(value: Any) -> tuple[Any, int]:
    """`value` with every string in it repaired, and its approximate size in bytes."""
    if type(value) is str:
        text = repair_text(value)
        return text, len(text) if text.isascii() else len(text.encode())
    if isinstance(value, Mapping):
        return _repaired_entries(value)
    if isinstance(value, list | tuple | set | frozenset):
        items = [_repaired(item) for item in value]
        make = getattr(type(value), "_make", type(value))  # a named tuple is not made from a list as others are
        return make([item for item, _ in items]), sum([size for _, size in items])
    if isinstance(value, Message):
        return value, _repaired_fields(value.__dict__)[1]
    return value, len(value) if isinstance(value, bytes | bytearray) else 8


def _repaired_entries(entries: Mapping[Any, Any]) -> tuple[dict[Any, Any], int]:
    clean: dict[Any, Any] = {}
    total = 0
    for key, value in entries.items():
        name, size_of_key = _repaired(key)
        clean[name], size = _repaired(value)
        total += size_of_key + size
    if len(clean) < len(entries):
        raise PydanticCustomError("repeated_key", "two keys are the same once their text is repaired; rename one")
    return clean, total


def _repaired_fields(fields: Mapping[Any, Any]) -> tuple[dict[Any, Any], int]:
    clean, total = dict(fields), 0
    for key, value in fields.items():
        clean[key], size = _repaired(value)
        total += size
    return clean, total
