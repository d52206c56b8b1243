"""What the heads of a classifier should answer, as numbers: rows become one array of targets for each head.

A cell is a label of one row. Of classes, its value is 1 where the label may be the right one: a known label allows
itself alone, a rejection ("not c") every other. Of several labels, it is 1 where the label holds. A row that says
nothing to a head weighs 0 there.

Letters in shape comments: N rows, K labels of a head (1 of a regression).

This file knows nothing of embeddings, models or where rows come from.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..agents.releases import StoredHead
from .errors import DatasetError
from .rows import ClassifierRow

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXCLUSIVE = ("routing", "classes")  # kinds of heads of which exactly one label is right


@dataclass(frozen=True, slots=True)
class HeadTargets:
    """What one head should answer to N rows."""

    head: StoredHead
    values: "NDArray[np.float32]"  # (N, K) 1 where a label is allowed or holds; (N, 1) the number of a regression
    known: "NDArray[np.bool_]"  # (N, K) cells that the rows say anything about
    weights: "NDArray[np.float32]"  # (N) of each row; 0 where it says nothing to this head

    @property
    def exclusive(self) -> bool:
        """Whether exactly one label is right."""
        return self.head.kind in EXCLUSIVE

    @property
    def decided(self) -> "NDArray[np.bool_]":
        """(N) rows whose answer is wholly known."""
        sure = self.values.sum(axis=1) == 1 if self.exclusive else self.known.all(axis=1)
        decided: NDArray[np.bool_] = sure & (self.weights > 0)
        return decided

    def take(self, rows: "NDArray[np.int64] | NDArray[np.bool_]") -> "HeadTargets":
        """The targets of some of the rows."""
        return HeadTargets(self.head, self.values[rows], self.known[rows], self.weights[rows])


def head_targets(rows: Sequence[ClassifierRow], heads: Sequence[StoredHead]) -> tuple[HeadTargets, ...]:
    """The targets of each head.

    Raises:
        DatasetError: a row has another number of targets than there are heads, or a target that its head cannot give.
    """
    for row in rows:
        if len(row.targets) != len(heads) or len(row.excluded) not in (0, len(heads)):
            raise DatasetError(
                f"{row.source.where} has {len(row.targets)} targets and {len(row.excluded)} sets of excluded labels; "
                f"expected one for each of the {len(heads)} heads"
            )
    return tuple(_targets(rows, number, head) for number, head in enumerate(heads))


def check_varied(targets: HeadTargets) -> None:
    """Refuses targets that there is nothing to learn from.

    Raises:
        DatasetError: no row says anything to the head, or all say the same.
    """
    name, decided = f"head {targets.head.field or targets.head.kind!r}", targets.values[targets.decided]
    if not len(decided):
        raise DatasetError(f"no row says what {name} should answer; label some, or leave the head out")
    if (decided == decided[0]).all():
        said = f"{decided[0, 0]:g}" if targets.head.kind == "regression" else _said(targets.head, decided[0])
        raise DatasetError(
            f"all {len(decided)} rows say {said} to {name}; there is nothing to learn until rows with another answer "
            f"are added"
        )


def _targets(rows: Sequence[ClassifierRow], number: int, head: StoredHead) -> HeadTargets:
    width = 1 if head.kind == "regression" else len(head.labels)
    values, known = np.zeros((len(rows), width), np.float32), np.zeros((len(rows), width), bool)
    places = {label: place for place, label in enumerate(head.labels)}
    for index, row in enumerate(rows):
        excluded = row.excluded[number] if row.excluded else frozenset[str]()
        values[index], known[index] = _cells(row, row.targets[number], excluded, head, places)
    weights = np.array([row.weight for row in rows], np.float32) * known.any(axis=1)
    return HeadTargets(head, values, known, weights.astype(np.float32))


def _cells(
    row: ClassifierRow, target: object, excluded: frozenset[str], head: StoredHead, places: dict[str, int]
) -> "tuple[NDArray[np.float32], NDArray[np.bool_]]":
    """The values and the known cells of one row, both (K)."""
    if head.kind == "regression":
        return _number(row, target, head)
    names = excluded if target is None else target if isinstance(target, frozenset) else frozenset({target})
    if isinstance(target, frozenset) != (head.kind == "multilabel") and target is not None:
        raise _unfit(row, target, head, "a set of labels" if head.kind == "multilabel" else "one label")
    unknown = [name for name in names if name not in places]
    if unknown:
        raise _unfit(row, unknown[0], head, f"one of {', '.join(head.labels)}")
    named = np.zeros(len(places), bool)
    named[[places[str(name)] for name in names]] = True
    if target is not None:
        return named.astype(np.float32), np.ones(len(places), bool)
    if head.kind == "multilabel":  # the excluded do not hold, of the others nothing is known
        return np.zeros(len(places), np.float32), named
    if named.all():
        raise DatasetError(f"{row.source.where} rules out every label of head {head.field or head.kind!r}")
    return (~named).astype(np.float32), np.full(len(places), named.any())


def _number(row: ClassifierRow, target: object, head: StoredHead) -> "tuple[NDArray[np.float32], NDArray[np.bool_]]":
    if target is None:
        return np.zeros(1, np.float32), np.zeros(1, bool)
    low, high = (-math.inf if head.low is None else head.low), (math.inf if head.high is None else head.high)
    if isinstance(target, bool) or not isinstance(target, int | float) or not low <= target <= high:
        raise _unfit(row, target, head, f"a number from {low:g} to {high:g}")
    return np.array([target], np.float32), np.ones(1, bool)


def _unfit(row: ClassifierRow, found: object, head: StoredHead, expected: str) -> DatasetError:
    return DatasetError(f"{row.source.where} says {found!r} to head {head.field or head.kind!r}; expected {expected}")


def _said(head: StoredHead, cells: "NDArray[np.float32]") -> str:
    held = [label for label, cell in zip(head.labels, cells, strict=True) if cell]
    return ", ".join(map(repr, held)) or "no label"
