"""How messages are stored: the closed set of types that stored rows may name, and upgrades between versions of a type.

Nothing outside the set can be decoded, and no name is ever resolved by import. This file knows nothing of databases.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias, TypeVar

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from .errors import MessageError, UnknownMessageType
from .messages import Message, Origin

Upgrade: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]
Function = TypeVar("Function", bound=Upgrade)

_UPGRADES: dict[type[Message], dict[int, tuple[int, Upgrade]]] = {}


class StoredMessage(NamedTuple):
    """A message as a row: four columns that no type is needed to read."""

    kind: str  # schema name
    version: int
    body: str  # the fields, as JSON
    origin: str | None  # the `Origin`, as JSON, where a model made the message

    def digest(self) -> str:
        """Sha256, in hex, over all columns; each is preceded by its length, so that no two rows run together."""
        kind, version, body, origin = self.kind.encode(), b"%d" % self.version, self.body.encode(), b""
        if self.origin is not None:
            origin = self.origin.encode()
        sizes = len(kind), len(version), len(body), len(origin)
        content = b"%d:%b%d:%b%d:%b%d:%b" % (sizes[0], kind, sizes[1], version, sizes[2], body, sizes[3], origin)
        return hashlib.sha256(content).hexdigest()


class Registry:
    """The closed set of message types that stored rows may name."""

    def __init__(self, types: Iterable[type[Message]]) -> None:
        self._types: dict[str, type[Message]] = {}
        for kind in types:
            if self._types.setdefault(kind.schema_name, kind) is not kind:
                raise MessageError(
                    f"two message types are called {kind.schema_name!r}: {self._types[kind.schema_name]!r} and "
                    f"{kind!r}; set `schema_name` on one of them"
                )

    def __contains__(self, kind: type[Message]) -> bool:
        return self._types.get(kind.schema_name) is kind

    def __iter__(self) -> Iterator[type[Message]]:
        return iter(self._types.values())

    def encode(self, message: Message) -> StoredMessage:
        """The message as a row.

        Raises:
            UnknownMessageType: its type is not registered.
        """
        kind, origin = type(message), message.origin
        if self._types.get(kind.schema_name) is not kind:
            raise UnknownMessageType(message.schema_name, self._types)
        body = kind.__pydantic_serializer__.to_json(message).decode()  # `model_dump_json` takes thrice as long
        told = None if origin is None else origin.model_dump_json()
        return StoredMessage(kind.schema_name, kind.schema_version, body, told)

    def decode(self, stored: StoredMessage) -> Message:
        """The message that `encode` made a row of.

        Raises:
            UnknownMessageType: the row names a type that is not registered.
            MessageError: the row does not fit its type, or was written by a version that no upgrade leads from.
        """
        kind = self._types.get(stored.kind)
        if kind is None:
            raise UnknownMessageType(stored.kind, self._types)
        body = stored.body if stored.version == kind.schema_version else _upgraded(kind, stored)
        try:
            message = kind.model_validate_json(body, strict=False)
            return message if stored.origin is None else message.made_by(Origin.model_validate_json(stored.origin))
        except ValidationError as error:
            raise MessageError(f"this is no stored {stored.kind}: {error}") from error


def migrate(kind: type[Message], old: int, new: int) -> Callable[[Function], Function]:
    """Registers how the stored fields of version `old` of `kind` become those of version `new`.

        @migrate(Question, 1, 2)
        def name_the_company(fields: dict[str, Any]) -> dict[str, Any]:
            return {**fields, "company": ""}

    Raises:
        MessageError: `new` is not above `old`, is above the class's own version, or `old` has an upgrade already.
    """
    if not old < new <= kind.schema_version:
        raise MessageError(
            f"{kind.schema_name} is at version {kind.schema_version}; an upgrade from {old} to {new} must go up, "
            f"and no further than that"
        )

    def register(function: Function) -> Function:
        known = _UPGRADES.setdefault(kind, {})
        if old in known:
            raise MessageError(f"{kind.schema_name} has an upgrade from version {old} already, to {known[old][0]}")
        known[old] = new, function
        return function

    return register


def _upgraded(kind: type[Message], stored: StoredMessage) -> bytes:
    version, upgrades = stored.version, _UPGRADES.get(kind, {})
    try:
        fields = from_json(stored.body)
    except ValueError as error:
        raise MessageError(f"this is no stored {stored.kind}: {error}") from error
    while version != kind.schema_version:
        if version not in upgrades:
            raise MessageError(
                f"{stored.kind} was stored as version {stored.version}, but the program has version "
                f"{kind.schema_version}; write @migrate({kind.__name__}, {version}, {kind.schema_version})"
            )
        version, upgrade = upgrades[version]
        fields = upgrade(fields)
    return to_json(fields)
