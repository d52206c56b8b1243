"""`Dataset`: the rows that one role is tuned on, in their parts, with all that could not be used and why.

    data.part("train")                # the rows of one part
    data.digest                       # the same for the same content, wherever it was read from
    merge([of_the_log, of_files], weights=[2.0, 1.0])

This file knows neither files nor logs: files.py and log_rows.py make datasets.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeAlias

from ..agents.jsonlines import BadLine
from ..agents.releases import StoredHead
from .errors import DatasetError
from .near_duplicates import near_duplicate_groups
from .rows import SPLITS, ClassifierRow, DialogueRow, Kind, RetrieverRow, Row, RowType, Split, Target
from .splits import compared_text


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row of the log that could not be used, and why."""

    where: str
    reason: str  # what was found against what was expected

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Dataset(Generic[RowType]):
    """The rows that `role` is tuned on, those that came first in front; their ids are unique."""

    role: str
    kind: Kind
    rows: tuple[RowType, ...]
    bad_lines: tuple[BadLine | BadRow, ...] = ()  # what was left out
    notes: tuple[str, ...] = ()  # for a person: how columns were understood, and rows that were kept but look odd
    heads: tuple[StoredHead, ...] = ()  # of a classifier, in the order of a row's targets
    features: tuple[str, ...] = ()  # of a classifier, names in the order of a row's features
    passages: Mapping[str, str] = field(default_factory=dict)  # of a retriever: id -> text

    @property
    def digest(self) -> str:
        """Sha256 hex over role, heads, rows and passages in their order; reads every row. Where rows were read from
        is no part of it, so the same content has the same digest in another folder."""
        hashed = hashlib.sha256()
        for part in self._canonical():
            hashed.update(json.dumps(part, default=_plain, sort_keys=True, ensure_ascii=False).encode() + b"\n")
        return hashed.hexdigest()

    def part(self, split: Split) -> tuple[RowType, ...]:
        """The rows of one part, in order."""
        return tuple(row for row in self.rows if row.split == split)

    def check(self) -> None:
        """Makes sure that there is something to learn.

        Raises:
            DatasetError: no row is there to train on, a head would always answer the same, no query has a passage
                that answers it, or no turn is to be learned; the text lists every reason.
        """
        if faults := list(self._faults()):
            raise DatasetError(f"role {self.role!r} has nothing to learn from: {'; '.join(faults)}")

    def _canonical(self) -> Iterator[object]:
        heads = [head.model_dump(mode="json") for head in self.heads]
        yield [self.role, self.kind, heads, self.features]
        for row in self.rows:
            content = {one.name: getattr(row, one.name) for one in dataclasses.fields(row) if one.name != "source"}
            yield content | {"thread": row.source.thread, "decisions": row.source.decisions}
        yield self.passages

    def _faults(self) -> Iterator[str]:
        rows = self.part("train")
        if not self.rows and not self.bad_lines:
            yield "there are no rows; have people decide about its messages (`coterie review`), or give a file of rows"
            return
        if not rows:
            left_out = f"; the first of {len(self.bad_lines):,} bad ones: {self.bad_lines[0]}" if self.bad_lines else ""
            yield f"none of its {len(self.rows):,} rows is one to train on{left_out}"
            return
        yield from (fault for fault in _faults_of_rows(rows, self.heads) if fault)


AnyDataset: TypeAlias = Dataset[ClassifierRow] | Dataset[RetrieverRow] | Dataset[DialogueRow]


def merge(datasets: Sequence[Dataset[RowType]], weights: Sequence[float] | None = None) -> Dataset[RowType]:
    """All rows of one role's datasets, those of each counted `weights` times as much (above 0; 1 unless given).

    Rows of an earlier dataset stay in their part; put the one whose held-out rows matter most first. A row of a later
    one that is a near-duplicate of earlier ones goes to their part: of several parts, to that which is trained on
    least, so that nothing held out is learned. Of a row that is in two datasets with the same id and the same content,
    the first is kept; another row with a known id gets a number behind it.

    Raises:
        DatasetError: there are none, they are of different roles, or their heads or features do not fit.
    """
    if not datasets:
        raise DatasetError("there is no dataset to merge; expected at least one")
    shares = [1.0] * len(datasets) if weights is None else list(weights)
    if len(shares) != len(datasets) or not all(share > 0 for share in shares):
        raise DatasetError(f"cannot merge {len(datasets)} datasets with the weights {shares}; give each one above 0")
    for other in datasets[1:]:
        _check_fit(datasets[0], other)
    return Dataset(
        role=datasets[0].role,
        kind=datasets[0].kind,
        rows=tuple(_on_one_side(datasets, shares)),
        bad_lines=tuple(line for one in datasets for line in one.bad_lines),
        notes=tuple(dict.fromkeys(note for one in datasets for note in one.notes)),
        heads=tuple(_joined(heads) for heads in zip(*(one.heads for one in datasets), strict=True)),
        features=datasets[0].features,
        passages=_all_passages(datasets),
    )


def _on_one_side(datasets: Sequence[Dataset[RowType]], shares: Sequence[float]) -> Iterator[RowType]:
    rows = [row for one in datasets for row in one.rows]
    owners = [number for number, one in enumerate(datasets) for _ in one.rows]
    sides: dict[int, tuple[int, Split]] = {}  # group -> the dataset that decides, and its part
    known: dict[str, Row] = {}
    for row, owner, group in zip(
        rows, owners, near_duplicate_groups([compared_text(row) for row in rows]), strict=True
    ):
        decides, side = sides.get(group, (owner, row.split))
        split = row.split if decides == owner else side
        if decides == owner:
            sides[group] = owner, SPLITS[max(SPLITS.index(side), SPLITS.index(split))]
        placed = replace(row, split=split, weight=row.weight * shares[owner])
        if known.get(row.id) != row:
            name = _free(row.id, known)
            known[name] = row
            yield replace(placed, id=name)


def _free(name: str, known: Mapping[str, object]) -> str:
    """`name`, with a number behind it where it is taken."""
    number, free = 1, name
    while free in known:
        number += 1
        free = f"{name}#{number}"
    return free


def _check_fit(first: Dataset[Any], other: Dataset[Any]) -> None:
    if (other.role, other.kind) != (first.role, first.kind):
        raise DatasetError(
            f"cannot merge rows of {first.kind} {first.role!r} with rows of {other.kind} {other.role!r}; "
            f"each role learns from its own"
        )
    found, expected = ([(head.kind, head.field) for head in one.heads] for one in (other, first))
    if found != expected or other.features != first.features:
        raise DatasetError(
            f"cannot merge datasets of {first.role!r}: one has {_told(first)}, another {_told(other)}; "
            f"read both with the same heads and features"
        )


def _told(one: Dataset[Any]) -> str:
    heads = ", ".join(f"{head.kind} {head.field}".strip() for head in one.heads) or "none"
    return f"the heads {heads} and {len(one.features)} features"


def _joined(heads: Sequence[StoredHead]) -> StoredHead:
    """One head for all: the labels of the first, then what others have beside them."""
    labels = tuple(dict.fromkeys(label for head in heads for label in head.labels))
    lows = [head.low for head in heads if head.low is not None]
    highs = [head.high for head in heads if head.high is not None]
    return heads[0].model_copy(
        update={"labels": labels, "low": min(lows, default=None), "high": max(highs, default=None)}
    )


def _all_passages(datasets: Sequence[Dataset[Any]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in datasets:
        for name, text in one.passages.items():
            if found.setdefault(name, text) != text:
                raise DatasetError(
                    f"cannot merge datasets of {one.role!r}: passage {name!r} has two texts, {found[name][:40]!r} and "
                    f"{text[:40]!r}; give them ids of their own"
                )
    return found


def _faults_of_rows(rows: Sequence[Row], heads: Sequence[StoredHead]) -> Iterator[str]:
    if isinstance(rows[0], ClassifierRow):
        told = [row for row in rows if isinstance(row, ClassifierRow)]
        for index, head in enumerate(heads):
            yield from _faults_of_head(head, [row.targets[index] for row in told], _excluded(told, index))
    elif isinstance(rows[0], RetrieverRow):
        if not any(isinstance(row, RetrieverRow) and row.relevant for row in rows):
            yield f"none of its {len(rows):,} training queries has a passage that answers it"
    elif not any(isinstance(row, DialogueRow) and any(row.supervised) for row in rows):
        yield f"none of its {len(rows):,} training conversations has a turn that is to be learned"


def _faults_of_head(head: StoredHead, targets: Sequence[Target], excluded: int) -> Iterator[str]:
    name = f"head {head.field!r}" if head.field else "the routing head"
    known = {target for target in targets if target is not None}
    if not known and not excluded:
        yield f"{name} has no target in {len(targets):,} training rows"
    elif len(known) == 1 and not excluded:
        (only,) = known
        shown = sorted(only) if isinstance(only, frozenset) else only
        yield (
            f"{name} has the same target {shown!r} in all {len(targets):,} training rows, "
            f"so it would learn to answer nothing else; add rows of others"
        )


def _excluded(rows: Sequence[ClassifierRow], index: int) -> int:
    """How many rows say of a head what is wrong."""
    return sum(bool(row.excluded and row.excluded[index]) for row in rows)


def _plain(value: object) -> object:
    """What `json` cannot write itself."""
    if isinstance(value, frozenset):
        return sorted(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"a row holds {value!r}, which has no canonical form")
