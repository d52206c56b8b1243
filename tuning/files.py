"""Labelled files as datasets: any number of them to train on, and perhaps some for validation, the gate, or passages.

    read_files("finance/mood", LabelledFiles(train=(Path("train.jsonl"),), test=(Path("test.jsonl"),)))

The format is recognised from the columns (formats.py) and told in the notes. A line that cannot be used is named in
`bad_lines` and stops no other. Rows of the training files are spread over the parts by their text; a part that has
files of its own gets none of them. A text that stands in a file which is held out as well is left out of training, and
both places are named. This file knows nothing of models.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..agents.jsonlines import BadLine, read_numbered
from ..agents.outputs import OutputPlan
from .classifier_lines import columns_of_plan, inferred_columns
from .datasets import AnyDataset, Dataset
from .dialogue_lines import completion_row, conversation_row, preference_row
from .errors import DatasetError
from .formats import COMPLETION, CONVERSATION, PAIRS, PREFERENCE, Format, recognise
from .lines import Line, Refused
from .retriever_lines import PassageShelf, identity_from, pair_row, passage_of, query_row
from .rows import ClassifierRow, DialogueRow, Kind, RetrieverRow, RowType, Split
from .splits import compared_text, splits_of

LONG = 20_000  # characters of a text, some 5,000 tokens, from which on a row is told to be long


@dataclass(frozen=True, slots=True)
class LabelledFiles:
    """Which files hold a role's labelled rows, each with JSON lines."""

    train: tuple[Path, ...]
    validation: tuple[Path, ...] = ()  # (): a share of the training files
    test: tuple[Path, ...] = ()  # for the gate; (): a share of the training files
    passages: tuple[Path, ...] = ()  # of a retriever: `id` and `text`

    @property
    def parts(self) -> Iterator[tuple[Path, Split | None]]:
        """Each file of rows, and the part that all of it belongs to; None: its texts decide."""
        parts: list[tuple[tuple[Path, ...], Split | None]] = [
            (self.train, None),
            (self.validation, "validation"),
            (self.test, "gate"),
        ]
        for paths, part in parts:
            for path in paths:
                yield path, part

    def side(self, split: Split) -> Split:
        """Where a row of a training file goes whose text belongs to `split`."""
        own = {"validation": self.validation, "gate": self.test}
        return "train" if own.get(split) else split

    def __str__(self) -> str:
        return ", ".join(str(path) for path, _ in self.parts)


def read_files(
    role: str,
    files: LabelledFiles,
    *,
    plan: OutputPlan | None = None,
    heads: Sequence[str] = (),
    features: Sequence[str] = (),
) -> AnyDataset:
    """The rows of these files, of whatever kind they are; arguments as of `read_classifier_files`.

    Raises:
        CorpusError: a file cannot be read.
        DatasetError: a file is of no known format, or files are of different kinds.
    """
    read = _read(files)
    match read.kind:
        case "classifier":
            return _classifier(role, read, plan, heads, features)
        case "retriever":
            return _retriever(role, read)
        case "dialogue":
            return _dialogue(role, read)


def read_classifier_files(
    role: str,
    files: LabelledFiles,
    *,
    plan: OutputPlan | None = None,
    heads: Sequence[str] = (),
    features: Sequence[str] = (),
) -> Dataset[ClassifierRow]:
    """The rows of a classifier.

    Args:
        plan: what the agent decides (`DecisionClassifier.plan`): gives heads, labels, features and how a row is
            rendered. None: all is inferred from the columns.
        heads: without a plan, the columns that are heads; (): as the columns say.
        features: without a plan, the columns that are numbers beside the text.

    Raises:
        CorpusError: a file cannot be read.
        DatasetError: a file is of another kind, or no column is a head.
    """
    return _classifier(role, _read(files, "classifier"), plan, heads, features)


def read_retriever_files(role: str, files: LabelledFiles) -> Dataset[RetrieverRow]:
    """The rows of a retriever, and every passage that they or the files of passages hold.

    Raises:
        CorpusError: a file cannot be read.
        DatasetError: a file is of another kind.
    """
    return _retriever(role, _read(files, "retriever"))


def read_dialogue_files(role: str, files: LabelledFiles) -> Dataset[DialogueRow]:
    """The rows of a dialogue manager.

    Raises:
        CorpusError: a file cannot be read.
        DatasetError: a file is of another kind.
    """
    return _dialogue(role, _read(files, "dialogue"))


@dataclass(slots=True)
class _Read:
    """What the files hold, before it is understood."""

    files: LabelledFiles
    formats: dict[str, Format]  # file -> how its lines are written
    lines: list[Line]
    bad: list[BadLine]
    notes: list[str] = field(default_factory=list)

    @property
    def kind(self) -> Kind:
        return next(iter(self.formats.values())).kind


def _read(files: LabelledFiles, kind: Kind | None = None) -> _Read:
    read = _Read(files, {}, [], [])
    for path, part in files.parts:
        lines = list(_good(read_numbered(path), str(path), part, read.bad))
        if not lines and part is None and read.bad:
            raise DatasetError(f"{path}: none of its lines can be used; the first: {read.bad[0]}")
        read.formats[str(path)] = recognise([line.content for line in lines], str(path), kind)
        read.lines += lines
    if not read.formats:
        raise DatasetError("there is no file to learn from; name at least one")
    _check_kinds(read.formats, kind or read.kind)
    read.notes += [f"{name}: {one.name}" for name, one in read.formats.items()]
    return read


def _good(
    found: Iterator[tuple[int, dict[str, Any]] | BadLine], file: str, part: Split | None, bad: list[BadLine]
) -> Iterator[Line]:
    for one in found:
        if isinstance(one, BadLine):
            bad.append(one)
        else:
            yield Line(file, *one, part)


def _check_kinds(formats: dict[str, Format], expected: Kind) -> None:
    for name, one in formats.items():
        if one.kind != expected:
            raise DatasetError(
                f"{name} has rows of a {one.kind} ({one.name}), expected rows of a {expected}; "
                f"all files of a role are of one kind"
            )


def _classifier(
    role: str, read: _Read, plan: OutputPlan | None, heads: Sequence[str], features: Sequence[str]
) -> Dataset[ClassifierRow]:
    columns = columns_of_plan(plan, read.lines) if plan is not None else inferred_columns(read.lines, heads, features)
    read.notes.append(f"columns: {columns}")
    rows = _rows(read, columns.row)
    return Dataset(
        role, "classifier", rows, _in_order(read), tuple(read.notes), heads=columns.heads, features=columns.features
    )


def _retriever(role: str, read: _Read) -> Dataset[RetrieverRow]:
    shelf = PassageShelf()
    for path in read.files.passages:
        for line in _good(read_numbered(path), str(path), None, read.bad):
            try:
                passage_of(line, shelf)
            except Refused as error:
                read.bad.append(line.bad(str(error)))

    def row(line: Line) -> RetrieverRow:
        return (pair_row if read.formats[line.file] == PAIRS else query_row)(line, shelf)

    rows = _rows(read, row)
    return Dataset(role, "retriever", rows, _in_order(read), tuple(read.notes), passages=shelf.texts)


def _dialogue(role: str, read: _Read) -> Dataset[DialogueRow]:
    makes = {CONVERSATION.name: conversation_row, COMPLETION.name: completion_row, PREFERENCE.name: preference_row}
    rows = _rows(read, lambda line: makes[read.formats[line.file].name](line))
    return Dataset(role, "dialogue", rows, _in_order(read), tuple(read.notes))


def _rows(read: _Read, make: Callable[[Line], RowType]) -> tuple[RowType, ...]:
    """A row of each usable line, in its part, under an id of its own."""
    made: list[tuple[Line, RowType]] = []
    for line in read.lines:
        try:
            made.append((line, make(line)))
        except Refused as error:
            read.bad.append(line.bad(str(error)))
    made = _without_leaks(_with_ids(made, read.bad), read.bad)
    read.notes += [_told_long(line, size) for line, row in made if (size := len(compared_text(row))) >= LONG]
    return tuple(_placed(made, read.files))


def _with_ids(made: Sequence[tuple[Line, RowType]], bad: list[BadLine]) -> list[tuple[Line, RowType]]:
    """The rows under the ids in their lines, or else of their texts; a line whose id its file has already is bad."""
    places: dict[tuple[str, str], Line] = {}  # file and id -> the line that has it
    taken: Counter[str] = Counter()
    kept = []
    for line, row in made:
        name = row.id
        if line.content.get("id") is not None:
            try:
                name = identity_from(line.content["id"], "'id'")
            except Refused as error:
                bad.append(line.bad(str(error)))
                continue
            earlier = places.setdefault((line.file, name), line)
            if earlier is not line:
                bad.append(line.bad(f"id {name!r} was used in line {earlier.number} already; give each row its own"))
                continue
        taken[name] += 1
        kept.append((line, replace(row, id=name if taken[name] == 1 else f"{name}#{taken[name]}")))
    return kept


def _without_leaks(made: list[tuple[Line, RowType]], bad: list[BadLine]) -> list[tuple[Line, RowType]]:
    """The rows whose text stands in no file that is held out more than their own."""
    ranks = {None: 0, "validation": 1, "gate": 2}
    held: dict[str, Line] = {}  # thread -> the line that is held out most
    for line, row in made:
        known = held.get(row.source.thread)
        if line.part is not None and (known is None or ranks[line.part] > ranks[known.part]):
            held[row.source.thread] = line
    kept = []
    for line, row in made:
        other = held.get(row.source.thread)
        if other is not None and ranks[other.part] > ranks[line.part]:
            part = "training" if line.part is None else "validation"
            bad.append(line.bad(f"its text stands in {other.where} as well, so it was left out of {part}"))
        else:
            kept.append((line, row))
    return kept


def _placed(made: Sequence[tuple[Line, RowType]], files: LabelledFiles) -> Iterator[RowType]:
    """The rows in their parts: those of training files as their texts say."""
    open_rows = [row for line, row in made if line.part is None]
    splits = iter(splits_of([row.source.thread for row in open_rows], [compared_text(row) for row in open_rows]))
    for line, row in made:
        yield replace(row, split=line.part or files.side(next(splits)))


def _told_long(line: Line, size: int) -> str:
    return f"{line.where}: its text has {size:,} characters; it is kept, but a model reads only what it has room for"


def _in_order(read: _Read) -> tuple[BadLine, ...]:
    """What could not be used, as it stands in the files."""
    order = {name: number for number, name in enumerate([*read.formats, *map(str, read.files.passages)])}
    return tuple(sorted(read.bad, key=lambda bad: (order[bad.file], bad.line)))
