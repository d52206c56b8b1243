"""Messages: clean text, strict types, a bound on size, equality, and a closed registry that stores them."""

import math
import re
from datetime import UTC, date, datetime
from enum import Enum, StrEnum
from typing import Any, Literal, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from coterie.agents import Confidence, Failure, Message, Origin, Passage, Registry, Rejection, StoredMessage, migrate
from coterie.agents.errors import CoterieError, MessageError, UnknownMessageType
from coterie.agents.messages import repair_text

ANY_TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates and NUL among it


def keys_stay_apart(entries: dict[str, Any]) -> bool:
    """Whether the keys are still different once they are repaired."""
    return len({repair_text(key) for key in entries}) == len(entries)


def objects(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(ANY_TEXT, values, max_size=3).filter(keys_stay_apart)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | ANY_TEXT
)
TREES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | objects(inner))


class Mood(Message):
    label: Literal["good", "bad"]
    confidence: Confidence


class Note(Message):
    text: str
    score: float = 0.0
    tags: list[str] = []  # noqa: RUF012 - pydantic copies it
    facts: dict[str, str] = {}  # noqa: RUF012 - pydantic copies it
    passage: Passage | None = None


class Colour(Enum):
    RED = "red"


class Rich(Message):
    colour: Colour
    day: date
    at: datetime
    pair: tuple[str, int]
    names: frozenset[str] = frozenset()
    raw: bytes = b""


REGISTRY = Registry([Note, Rich, Mood, Passage, Rejection, Failure])


# Text.


@settings(deadline=None)
@given(ANY_TEXT)
def test_repaired_text_can_be_stored_and_is_repaired_once(text: str) -> None:
    """It is UTF-8 without NUL, of the same length but for pairs of surrogates, and a second repair changes nothing."""
    clean = repair_text(text)
    assert "\0" not in clean.encode().decode()
    assert repair_text(clean) == clean
    assert len(clean) <= len(text)


@settings(deadline=None)
@given(st.text())
def test_sound_text_is_left_as_it_is(text: str) -> None:
    """Only NUL is replaced in text without surrogates."""
    assert repair_text(text) == text.replace("\0", "\ufffd")


def test_a_pair_of_surrogates_is_one_character() -> None:
    """Halves that belong together are joined; a half alone is replaced."""
    assert repair_text("\ud83d\ude00") == "\U0001f600"
    assert repair_text("a\ud83db\ude00") == "a\ufffdb\ufffd"


@settings(deadline=None)
@given(ANY_TEXT, st.lists(ANY_TEXT, max_size=3), objects(ANY_TEXT))
def test_a_message_of_any_text_can_be_stored(text: str, tags: list[str], facts: dict[str, str]) -> None:
    """Whatever strings it is made of, in fields, lists, keys and values, it comes back as it was made."""
    note = Note(text=text, tags=tags, facts=facts, passage=Passage(id=text, text=text))
    stored = REGISTRY.encode(note)
    assert "\\u0000" not in stored.body
    assert stored.body.encode()
    assert REGISTRY.decode(stored) == note


@settings(deadline=None)
@given(objects(TREES))
def test_a_proposal_of_any_json_can_be_stored(proposal: dict[str, Any]) -> None:
    """Nested lists and objects are repaired, too."""
    rejection = Rejection(by="ann", reason="no", proposal=proposal)
    assert REGISTRY.decode(REGISTRY.encode(rejection)) == rejection


@settings(deadline=None)
@given(
    st.frozensets(ANY_TEXT, max_size=3),
    ANY_TEXT,
    st.datetimes(timezones=st.just(UTC)),
    st.dates(),
    st.binary(max_size=9),
)
def test_a_message_of_richer_types_can_be_stored(
    names: frozenset[str], text: str, at: datetime, day: date, raw: bytes
) -> None:
    """Enums, dates, tuples and sets come back as such from JSON."""
    rich = Rich(colour=Colour.RED, day=day, at=at, pair=(text, 1), names=names, raw=raw.hex().encode())
    assert REGISTRY.decode(REGISTRY.encode(rich)) == rich


def test_keys_that_repairing_would_merge_are_refused() -> None:
    """Rather than losing one of the values."""
    with pytest.raises(ValidationError, match="two keys are the same once their text is repaired; rename one"):
        Note(text="", facts={"\ud800": "a", "\0": "b"})


def test_a_named_tuple_is_repaired_as_one() -> None:
    """Its class is kept."""

    class Span(NamedTuple):
        name: str
        start: int

    class Marked(Message):
        span: Span

    assert Marked(span=Span("a\0", 1)).span == Span("a\ufffd", 1)


# Checks.


def test_a_message_is_checked_strictly() -> None:
    """Nothing is coerced, nothing unknown is taken, and what is missing is named."""
    with pytest.raises(ValidationError, match="valid number"):
        Note(text="a", score="1")  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Note(text="a", colour="red")  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="Field required"):
        Note()  # type: ignore[call-arg]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_are_refused(number: float) -> None:
    """NaN and the infinities never become part of a message, not even inside a proposal."""
    with pytest.raises(ValidationError, match="finite number"):
        Note(text="a", score=number)
    with pytest.raises(ValidationError, match="finite number"):
        Rejection(by="a", reason="b", proposal={"numbers": [number]})


def test_a_confidence_is_a_probability() -> None:
    """Between nothing and one, both included."""
    assert Mood(label="good", confidence=1.0).confidence == 1.0
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        Mood(label="good", confidence=1.01)


def test_a_message_never_changes() -> None:
    """Its fields are frozen."""
    note = Note(text="a")
    with pytest.raises(ValidationError, match="frozen"):
        note.text = "b"


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "a" * 1_000_001},
        {"text": "€" * 333_334},
        {"text": "", "tags": ["a" * 500_001] * 2},
        {"text": "", "facts": {"a" * 1_000_001: ""}},
        {"text": "", "passage": Passage(id="", text="a" * 999_990)},
    ],
)
def test_a_message_has_a_bound(fields: dict[str, Any]) -> None:
    """The size of all its text counts, in bytes; the sentence says what to do."""
    with pytest.raises(
        ValidationError, match=r"Note holds about [\d,]+ bytes, more than its limit of 1000000; split it, or"
    ):
        Note(**fields)


def test_bytes_count_towards_the_bound() -> None:
    """Binary fields are not free."""
    with pytest.raises(ValidationError, match="more than its limit"):
        Rich(colour=Colour.RED, day=date.min, at=datetime.min, pair=("", 0), raw=b"a" * 1_000_001)


def test_a_type_may_raise_its_bound() -> None:
    """`max_bytes` is set on the class."""

    class Book(Message):
        max_bytes = 10_000_000
        text: str

    assert len(Book(text="a" * 5_000_000).text) == 5_000_000


# Origin and equality.


ORIGIN = Origin(role="finance/mood", weights="0" * 64, calibrated=True, alternatives=(("good", 0.9), ("bad", 0.1)))


def test_an_origin_travels_with_its_message() -> None:
    """It survives storage; the message without it is left as it was."""
    plain = Note(text="a")
    made = plain.made_by(ORIGIN)
    assert plain.origin is None
    assert made.origin == ORIGIN
    assert REGISTRY.decode(REGISTRY.encode(made)).origin == ORIGIN


def test_an_origin_is_no_part_of_what_is_said() -> None:
    """Messages that say the same are equal and have the same hash, whoever made them."""
    assert Note(text="a").made_by(ORIGIN) == Note(text="a")
    assert hash(Note(text="a").made_by(ORIGIN)) == hash(Note(text="a"))


def test_messages_of_different_types_are_never_equal() -> None:
    """Also when their fields are."""

    class Other(Message):
        text: str

    class Same(Message):
        text: str

    assert Other(text="a") != Same(text="a")


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=2), st.text(max_size=2), max_size=4), st.sampled_from([0.0, -0.0, 1.0]))
def test_equal_messages_have_equal_hashes(facts: dict[str, str], score: float) -> None:
    """Also when a dictionary was filled in another order, or a zero has a sign."""
    one = Note(text="a", facts=facts, score=score)
    other = Note(text="a", facts=dict(reversed(facts.items())), score=abs(score))
    assert one == other
    assert hash(one) == hash(other)


# The registry.


def test_only_registered_types_are_stored_and_read() -> None:
    """A type of another flow is refused both ways; the sentence lists what is known."""
    small = Registry([Note])
    with pytest.raises(UnknownMessageType, match=r"'Mood' is not a message type of this registry; it knows Note$"):
        small.encode(Mood(label="good", confidence=1.0))
    stored = REGISTRY.encode(Mood(label="good", confidence=1.0))
    with pytest.raises(UnknownMessageType, match="'Mood' is not a message type"):
        small.decode(stored)
    assert Note in small
    assert Mood not in small
    assert list(small) == [Note]


def test_a_class_of_the_same_name_is_another_type() -> None:
    """The registry holds classes, not names."""
    twin = type("Note", (Message,), {"__annotations__": {"text": str}, "__module__": __name__})
    assert twin not in Registry([Note])
    with pytest.raises(MessageError, match=r"two message types are called 'Note': .* set `schema_name` on one of them"):
        Registry([Note, twin])


def test_a_renamed_class_reads_its_old_rows() -> None:
    """`schema_name` is what rows say."""

    class Memo(Message):
        schema_name = "Note"
        text: str

    stored = Registry([Memo]).encode(Memo(text="a"))
    assert stored.kind == "Note"
    assert Registry([Memo]).decode(stored) == Memo(text="a")


def test_another_version_is_refused() -> None:
    """Both versions are named."""

    class Second(Message):
        schema_name = "Note"
        schema_version = 2
        text: str

    with pytest.raises(MessageError, match="Note was stored as version 1, but the program has version 2"):
        Registry([Second]).decode(REGISTRY.encode(Note(text="a")))


def test_a_migration_upgrades_old_rows_step_by_step() -> None:
    """Each step says from which version to which; without one the error says what to write."""

    class Third(Message):
        schema_name = "Note"
        schema_version = 3
        words: str
        length: int

    old = REGISTRY.encode(Note(text="abc"))
    with pytest.raises(MessageError, match=re.escape("write @migrate(Third, 1, 3)")):
        Registry([Third]).decode(old)

    @migrate(Third, 1, 2)
    def rename(fields: dict[str, Any]) -> dict[str, Any]:
        return {"words": fields["text"]}

    @migrate(Third, 2, 3)
    def count(fields: dict[str, Any]) -> dict[str, Any]:
        return {**fields, "length": len(fields["words"])}

    assert Registry([Third]).decode(old) == Third(words="abc", length=3)
    with pytest.raises(MessageError, match="has an upgrade from version 1 already"):
        migrate(Third, 1, 3)(rename)
    with pytest.raises(MessageError, match="must go up"):
        migrate(Third, 2, 1)


def test_a_digest_covers_every_column() -> None:
    """Rows that differ anywhere differ in their digest; what says the same has the same."""
    row = StoredMessage("Note", 1, "{}", None)
    others = [row._replace(kind="N"), row._replace(version=2), row._replace(body="{ }"), row._replace(origin="{}")]
    assert len({one.digest() for one in (row, *others)}) == 5
    assert StoredMessage(*row).digest() == row.digest()


@pytest.mark.parametrize("body", ["", "nothing", "[]", '{"text": 1}', '{"text": "a", "more": 1}'])
def test_what_is_no_stored_message_is_refused(body: str) -> None:
    """A malformed row is one kind of error, whatever is wrong with it."""
    with pytest.raises(MessageError, match="this is no stored Note"):
        REGISTRY.decode(StoredMessage("Note", 1, body, None))
    with pytest.raises(MessageError, match="this is no stored Note"):
        REGISTRY.decode(StoredMessage("Note", 1, '{"text": "a"}', "[]"))


def test_a_body_that_does_not_fit_its_type_is_refused() -> None:
    """The type is named, and the error is ours."""
    with pytest.raises(MessageError, match=r"(?s)this is no stored Note: .*text"):
        REGISTRY.decode(StoredMessage("Note", 1, '{"words": "a"}', None))


def test_every_error_of_a_message_is_one_of_ours() -> None:
    """They can be caught together, and as the standard class that a caller expects."""
    assert issubclass(UnknownMessageType, MessageError)
    assert issubclass(MessageError, CoterieError)
    assert issubclass(MessageError, ValueError)


def test_a_string_enum_is_stored_as_its_text() -> None:
    """A member of a StrEnum passes as text, and comes back as the member where the field says so."""

    class Tone(StrEnum):
        WARM = "warm"

    class Said(Message):
        tone: Tone
        words: str = Field(default="", max_length=3)

    registry = Registry([Said])
    assert registry.decode(registry.encode(Said(tone=Tone.WARM))) == Said(tone=Tone.WARM)
