"""What a role is tuned on: one frozen row for each thing that it should have said, and where that is known from.

Rows come from labelled files (files.py) and from the log (log_rows.py); a role's kind says which sort it has. This file
knows nothing of either, of models, or of how much a row should count.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar

from ..agents.inference import ChatTurn

Kind: TypeAlias = Literal["classifier", "retriever", "dialogue"]
Split: TypeAlias = Literal["train", "validation", "calibration", "gate"]
Target: TypeAlias = str | float | frozenset[str] | None
"""What one head should answer: a label, a number, the labels that hold; None where it is not known."""

SPLITS: tuple[Split, ...] = ("train", "validation", "calibration", "gate")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a row is known from."""

    where: str  # for a person: "news.jsonl, line 3", or "run 41c9…, task mood/2"
    thread: str  # rows of one thread share a split: the log's thread, else the run; of a file, a hash of the row's text
    decisions: tuple[int, ...] = ()  # numbers of the reviewers' decisions behind it; of a file, none
    weights: str = ""  # digest of the release whose message was reviewed; "" of a file


@dataclass(frozen=True, slots=True)
class ClassifierRow:
    """A text and what each head should answer to it."""

    id: str  # unique in its data set
    text: str
    targets: tuple[Target, ...]  # one for each head, in the heads' order
    split: Split
    source: Source
    excluded: tuple[frozenset[str], ...] = ()  # for each head, labels that are known to be wrong; (): none
    features: tuple[float, ...] = ()  # numbers beside the text, NaN where one is missing
    weight: float = 1.0  # how much it counts, above 0


@dataclass(frozen=True, slots=True)
class RetrieverRow:
    """A question and the passages that answer it."""

    id: str
    query: str
    relevant: tuple[str, ...]  # ids of passages
    split: Split
    source: Source
    rejected: tuple[str, ...] = ()  # ids of passages that a person marked as wrong
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class DialogueRow:
    """A conversation and which of its turns are to be learned."""

    id: str
    turns: tuple[ChatTurn, ...]
    supervised: tuple[bool, ...]  # for each turn, whether it is learned; only turns of the assistant may be
    split: Split
    source: Source
    rejected: str | None = None  # what the last turn said before a person changed it; None: nobody did
    weight: float = 1.0


Row: TypeAlias = ClassifierRow | RetrieverRow | DialogueRow
RowType = TypeVar("RowType", ClassifierRow, RetrieverRow, DialogueRow)
