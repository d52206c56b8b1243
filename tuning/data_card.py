"""What is in a dataset, for a person to look at before anything is tuned on it: a `DataCard`, as plain data.

Counts by part, balance of labels, lengths in tokens, duplicates, near-duplicates that lie in different parts, texts
that were labelled in two ways, suspected label errors, and all that could not be used. Nothing is dropped here. This
file loads no model: it is given the lengths and the suspects, and draws nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..agents.releases import StoredHead
from .datasets import AnyDataset
from .errors import DatasetError
from .near_duplicates import near_duplicate_groups
from .rows import SPLITS, ClassifierRow, Kind, Row, Split, Target
from .splits import compared_text, thread_of_text

if TYPE_CHECKING:
    from .label_errors import SuspectedError

SHOWN = 20  # examples of each sort, at most
EXCERPT = 160  # characters of a text


@dataclass(frozen=True, slots=True)
class HeadBalance:
    """What the rows say to one head."""

    field: str
    kind: str
    labels: Mapping[str, Mapping[Split, int]]  # label -> rows in each part; of a regression, none
    values: Mapping[str, float]  # of a regression: least, mean, greatest and standard deviation
    unknown: int  # rows that do not say what it should answer
    excluded: int  # of these, rows that say what it should not answer


@dataclass(frozen=True, slots=True)
class Lengths:
    """Tokens of the rows' texts."""

    least: int
    median: float
    high: float  # the 95th percentile
    greatest: int


@dataclass(frozen=True, slots=True)
class Pair:
    """Two rows, and what is odd about them."""

    one: str  # where it is known from
    other: str
    text: str  # the beginning of the second
    why: str


@dataclass(frozen=True, slots=True)
class Suspect:
    """A row whose label is probably another."""

    where: str
    text: str
    given: str
    likelier: str
    given_probability: float  # 0 to 1
    likelier_probability: float


@dataclass(frozen=True, slots=True)
class DataCard:
    """What is in a dataset. Of what may be long, the first examples are told, and how many there are."""

    role: str
    kind: Kind
    digest: str
    parts: Mapping[Split, int]  # rows
    heads: tuple[HeadBalance, ...]
    lengths: Lengths | None  # None: nobody counted
    duplicates: int  # rows whose text, in any case and punctuation, stands in an earlier row
    contradicting: int  # of these, those that should be answered otherwise
    contradictions: tuple[Pair, ...]
    straddling: int  # groups of near-duplicates that lie in more than one part
    straddles: tuple[Pair, ...]
    suspected: int
    suspects: tuple[Suspect, ...]
    bad: int  # rows that could not be used
    bad_rows: tuple[str, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The same as JSON has it."""
        return asdict(self)


def data_card(
    dataset: AnyDataset, lengths: Sequence[int] | None = None, suspects: "Sequence[SuspectedError]" = ()
) -> DataCard:
    """The card of `dataset`.

    Args:
        lengths: tokens of each row's `compared_text`, in order.
        suspects: what `suspected_label_errors` found, each with the position of its row in the dataset.

    Raises:
        DatasetError: there is not one length for each row.
    """
    rows: Sequence[Row] = dataset.rows
    if lengths is not None and len(lengths) != len(rows):
        raise DatasetError(f"there are {len(lengths)} lengths for {len(rows)} rows; expected one for each")
    repeated = list(_repeated(rows))
    contradictions = [pair for pair in repeated if pair.why]
    straddles = list(_straddling(rows))
    counts = Counter(row.split for row in rows)
    return DataCard(
        role=dataset.role,
        kind=dataset.kind,
        digest=dataset.digest,
        parts={split: counts[split] for split in SPLITS},
        heads=tuple(_balance(head, index, rows) for index, head in enumerate(dataset.heads)),
        lengths=_lengths(lengths) if lengths else None,
        duplicates=len(repeated),
        contradicting=len(contradictions),
        contradictions=tuple(contradictions[:SHOWN]),
        straddling=len(straddles),
        straddles=tuple(straddles[:SHOWN]),
        suspected=len(suspects),
        suspects=tuple(_suspect(one, rows) for one in suspects[:SHOWN]),
        bad=len(dataset.bad_lines),
        bad_rows=tuple(map(str, dataset.bad_lines[:SHOWN])),
        notes=dataset.notes,
    )


def _balance(head: StoredHead, index: int, rows: Sequence[Row]) -> HeadBalance:
    told = [row for row in rows if isinstance(row, ClassifierRow)]
    labels: dict[str, Counter[Split]] = {label: Counter() for label in head.labels if head.kind != "regression"}
    values: list[float] = []
    for row in told:
        target = row.targets[index]
        if isinstance(target, float):
            values.append(target)
        else:
            for label in _labels(target):
                labels[label][row.split] += 1
    unknown = [row for row in told if row.targets[index] is None]
    return HeadBalance(
        field=head.field,
        kind=head.kind,
        labels={label: {split: counts[split] for split in SPLITS} for label, counts in labels.items()},
        values=_spread(values),
        unknown=len(unknown),
        excluded=sum(bool(row.excluded and row.excluded[index]) for row in unknown),
    )


def _labels(target: Target) -> tuple[str, ...]:
    if isinstance(target, frozenset):
        return tuple(target)
    return (target,) if isinstance(target, str) else ()


def _spread(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    known = np.array(values)
    return {
        "least": float(known.min()),
        "mean": float(known.mean()),
        "greatest": float(known.max()),
        "deviation": float(known.std()),
    }


def _lengths(lengths: Sequence[int]) -> Lengths:
    median, high = np.quantile(lengths, (0.5, 0.95))
    return Lengths(min(lengths), float(median), float(high), max(lengths))


def _repeated(rows: Sequence[Row]) -> Iterator[Pair]:
    """Each row whose text an earlier row has, with why the two contradict each other; "": they do not."""
    first: dict[str, Row] = {}
    for row in rows:
        earlier = first.setdefault(thread_of_text(compared_text(row)), row)
        if earlier is not row:
            yield Pair(earlier.source.where, row.source.where, _excerpt(row), _contradiction(earlier, row))


def _contradiction(one: Row, other: Row) -> str:
    if not isinstance(one, ClassifierRow) or not isinstance(other, ClassifierRow):
        return ""
    pairs = zip(one.targets, other.targets, strict=True)
    odd = [(left, right) for left, right in pairs if left is not None and right is not None and left != right]
    return "; ".join(f"{_told(left)} and {_told(right)}" for left, right in odd)


def _told(target: Target) -> str:
    return f"[{', '.join(sorted(target))}]" if isinstance(target, frozenset) else str(target)


def _straddling(rows: Sequence[Row]) -> Iterator[Pair]:
    """For each group of near-duplicates in more than one part, the first row and the first in another part."""
    groups: defaultdict[int, list[Row]] = defaultdict(list)
    for row, group in zip(rows, near_duplicate_groups([compared_text(row) for row in rows]), strict=True):
        groups[group].append(row)
    for first, *others in groups.values():
        other = next((row for row in others if row.split != first.split), None)
        if other is not None:
            yield Pair(first.source.where, other.source.where, _excerpt(other), f"{first.split} and {other.split}")


def _suspect(one: "SuspectedError", rows: Sequence[Row]) -> Suspect:
    row = rows[one.index]
    return Suspect(
        where=row.source.where,
        text=_excerpt(row),
        given=one.given,
        likelier=one.likelier,
        given_probability=one.given_probability,
        likelier_probability=one.likelier_probability,
    )


def _excerpt(row: Row) -> str:
    text = " ".join(compared_text(row)[: 4 * EXCERPT].split())
    return text if len(text) <= EXCERPT else f"{text[: EXCERPT - 1]}…"
