"""The formats of labelled files, recognised from their columns.

    text + label(s) | score | several columns      a classifier
    messages                                       a dialogue manager: whole conversations
    prompt + completion
    chosen + rejected (and prompt)                 the same with a preference
    anchor + positive (and negative | negatives)   a retriever
    query | text + relevant (and passages)         the same with passages by id, in the row or in a file of their own

This file knows the names of columns, not what they hold.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ..agents.jsonlines import JsonObject
from .errors import DatasetError
from .lines import listed
from .rows import Kind


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write labelled rows down."""

    name: str
    kind: Kind
    columns: tuple[tuple[str, ...], ...]  # of each of these, one must be there

    def fits(self, content: Collection[str]) -> bool:
        """Whether an object with these columns may be of this format."""
        return all(any(name in content for name in either) for either in self.columns)


CONVERSATION = Format("messages", "dialogue", (("messages",),))
PREFERENCE = Format("chosen and rejected", "dialogue", (("chosen",), ("rejected",)))
COMPLETION = Format("prompt and completion", "dialogue", (("prompt",), ("completion",)))
PAIRS = Format("anchor and positive", "retriever", (("anchor",), ("positive", "positives")))
QUERIES = Format("query and relevant passages", "retriever", (("query", "text"), ("relevant",)))
TEXTS = Format("text and targets", "classifier", (("text",),))

FORMATS = (CONVERSATION, PREFERENCE, COMPLETION, PAIRS, QUERIES, TEXTS)  # the first that fits


def recognise(contents: Sequence[JsonObject], where: str, kind: Kind | None = None) -> Format:
    """The format of most of these objects, among those of `kind`; None: among all.

    Raises:
        DatasetError: there are none, or they fit no format.
    """
    known = [one for one in FORMATS if kind in (None, one.kind)]
    if not contents:
        raise DatasetError(f"{where}: it holds no row; expected JSON lines with {_expected(known)}")
    found = Counter(one.name for content in contents if (one := _format_of(content, known)) is not None)
    if not found:
        raise DatasetError(
            f"{where}: its columns {listed(contents[0])} are no known format; expected {_expected(known)}"
        )
    name = found.most_common(1)[0][0]
    return next(one for one in FORMATS if one.name == name)


def _format_of(content: JsonObject, known: Sequence[Format]) -> Format | None:
    return next((one for one in known if one.fits(content)), None)


def _expected(known: Sequence[Format]) -> str:
    ways = [" + ".join("|".join(either) for either in one.columns) for one in known]
    return " or ".join(f"{way} + label|score" if one is TEXTS else way for way, one in zip(ways, known, strict=True))
