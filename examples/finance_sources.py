"""What the finance desk reads besides reports: news lines and daily price movements, from JSON lines.

Every file is read once, when it is first needed. Bad lines are kept, so that the program can name them at the end.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, Field

from coterie.agents.errors import CorpusError
from coterie.agents.jsonlines import BadLine, read_models

Row = TypeVar("Row", bound=BaseModel)


class NewsRow(BaseModel):
    """One headline."""

    text: str
    company: str = ""
    date: str = ""


class PriceRow(BaseModel):
    """One day of one share."""

    date: str
    symbol: str
    movement: Annotated[float, Field(gt=-1, allow_inf_nan=False)]  # fraction by which the price changed that day
    company: str = ""


class QuestionRow(BaseModel):
    """One question of a file of questions."""

    text: Annotated[str, Field(min_length=1, max_length=8_000)]
    id: str = ""
    company: str = ""


@dataclass(frozen=True)
class Rows:
    """The rows of one file, or of all .jsonl files of a folder, and the lines that could not be read."""

    path: Path
    kind: type[BaseModel]

    @cached_property
    def _read(self) -> tuple[list[BaseModel], list[BadLine]]:
        rows: list[BaseModel] = []
        bad: list[BadLine] = []
        for file in self._files():
            for row in read_models(file, self.kind):
                (bad if isinstance(row, BadLine) else rows).append(row)  # type: ignore[arg-type]
        return rows, bad

    def _files(self) -> Sequence[Path]:
        if not self.path.is_dir():
            return [self.path]
        files = sorted(self.path.glob("*.jsonl"))
        if not files:
            raise CorpusError(f"cannot read {str(self.path)!r}: the folder holds no .jsonl file")
        return files

    def of(self, kind: type[Row]) -> Iterator[Row]:
        """The rows that are of `kind`."""
        return (row for row in self._read[0] if isinstance(row, kind))

    @property
    def bad_lines(self) -> list[BadLine]:
        return self._read[1]


@dataclass(frozen=True)
class News:
    """Headlines, found by company."""

    path: Path
    rows: Rows = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", Rows(self.path, NewsRow))

    def about(self, company: str, most: int) -> list[str]:
        """The last `most` headlines about `company`; about anybody, where no company is asked for."""
        lines = [row.text for row in self.rows.of(NewsRow) if not company or _same(company, row.company, row.text)]
        return lines[-most:]


@dataclass(frozen=True, slots=True)
class Movements:
    """How one share moved up to its last day; each number is a fraction, 0.02 is 2 %."""

    symbol: str
    day: float
    week: float
    month: float
    volatility: float  # standard deviation of the daily movements of the month


@dataclass(frozen=True)
class Prices:
    """Daily movements of shares, found by symbol or company."""

    path: Path
    rows: Rows = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", Rows(self.path, PriceRow))

    def of(self, company: str) -> Movements | None:
        """The last movements of `company`; of the only share there is, where no company is asked for."""
        rows = list(self.rows.of(PriceRow))
        if not company and len({row.symbol for row in rows}) != 1:
            return None
        days = [row for row in rows if not company or _same(company, row.symbol, row.company)]
        return _movements(days) if days else None


def _movements(rows: Sequence[PriceRow]) -> Movements:
    days = [row.movement for row in sorted(rows, key=lambda row: row.date)]
    month = days[-20:]
    mean = sum(month) / len(month)
    return Movements(
        symbol=rows[0].symbol,
        day=round(days[-1], 4),
        week=round(math.prod(1 + day for day in days[-5:]) - 1, 4),
        month=round(math.prod(1 + day for day in month) - 1, 4),
        volatility=round(math.sqrt(sum((day - mean) ** 2 for day in month) / len(month)), 4),
    )


def _same(company: str, *names: str) -> bool:
    wanted = company.casefold()
    return any(wanted in name.casefold() for name in names)
