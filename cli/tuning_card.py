"""What is shown before a role is tuned: its rows, what is odd about them, and what the tuning may take."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import anyio.to_thread
from rich.console import Console
from rich.table import Table

from ..agents.checkpoints import locate
from ..agents.engine import Engine
from ..tuning.data_card import DataCard, data_card
from ..tuning.estimate import Estimate, Weights, estimate
from ..tuning.label_errors import SuspectedError, suspected_label_errors
from ..tuning.recipes import Recipe
from ..tuning.rows import SPLITS, ClassifierRow, Row
from ..tuning.splits import compared_text
from .text import safe
from .tuning_subject import Subject

GIBIBYTE = 1 << 30
SHOWN = 5  # oddities of each sort, and labels


@dataclass(frozen=True, slots=True)
class TuningCard:
    """The rows, and what tuning on them may take."""

    data: DataCard
    recipe: Recipe
    estimate: Estimate

    def to_json(self) -> dict[str, Any]:
        """The same as JSON has it."""
        taken = {"seconds": self.estimate.seconds, "bytes": self.estimate.bytes}
        return {"data": self.data.to_json(), "recipe": self.recipe.model_dump(mode="json"), "estimate": taken}


async def card_of(subject: Subject, recipe: Recipe, engine: Engine, *, suspects: bool) -> TuningCard:
    """The card of `subject`; with `suspects`, every text is embedded to look for rows whose label is probably wrong."""
    rows: Sequence[Row] = subject.dataset.rows
    base = subject.learner.base
    texts = [compared_text(row) for row in rows]
    lengths = await engine.count_tokens(base, texts)
    train = sum(length for row, length in zip(rows, lengths, strict=True) if row.split == "train")
    weights = await anyio.to_thread.run_sync(lambda: Weights.of(locate(base)))
    needed = estimate(weights, recipe, await engine.profile(), train, sum(lengths) - train)
    found = await _suspects(subject, engine) if suspects else []
    return TuningCard(data_card(subject.dataset, lengths, found), recipe, needed)


def show_card(console: Console, card: TuningCard) -> None:
    """The card on a screen."""
    data = card.data
    parts = ", ".join(f"{data.parts[split]:,} {split}" for split in SPLITS)
    console.print(f"{safe(data.role)}, a {data.kind}: {parts} (data {data.digest[:12]})", markup=False, highlight=False)
    if data.lengths is not None:
        told = data.lengths
        console.print(f"tokens of a text: {told.least} to {told.greatest:,}, median {told.median:g}", highlight=False)
    _show_heads(console, data)
    odd = [
        *(f"the same text twice, {pair.why}: {pair.one} and {pair.other}" for pair in data.contradictions[:SHOWN]),
        *(f"near-duplicates in {pair.why}: {pair.one} and {pair.other}" for pair in data.straddles[:SHOWN]),
        *(
            f"probably {one.likelier!r} ({one.likelier_probability:.2f}), not {one.given!r} "
            f"({one.given_probability:.2f}): {one.where}: {one.text}"
            for one in data.suspects[:SHOWN]
        ),
        *data.notes,
    ]
    counts = {"duplicates": data.duplicates, "suspected label errors": data.suspected, "rows left out": data.bad}
    console.print(", ".join(f"{count:,} {what}" for what, count in counts.items()), highlight=False)
    for line in odd:
        console.print(f"  {safe(line)}", markup=False, highlight=False, soft_wrap=True)
    console.print(_told(card), markup=False, highlight=False)


def _told(card: TuningCard) -> str:
    seconds = card.estimate.seconds
    time = "an unknown time" if seconds is None else f"about {seconds:,.0f} s" if seconds >= 1 else "about a second"
    return f"recipe {card.recipe.method}: {time} and {card.estimate.bytes / GIBIBYTE:.1f} GiB of memory, by the probe"


def _show_heads(console: Console, data: DataCard) -> None:
    for head in data.heads:
        if head.values:
            spread = ", ".join(f"{name} {value:.3g}" for name, value in head.values.items())
            console.print(f"{safe(head.field)}: {spread}", markup=False, highlight=False)
            continue
        ranked = sorted(head.labels.items(), key=lambda pair: -sum(pair[1].values()))
        table = Table("label", *SPLITS, title=f"{len(ranked)} labels of {safe(head.field) or 'its kind'}")
        for label, counts in ranked if len(ranked) <= 2 * SHOWN else [*ranked[:SHOWN], *ranked[-SHOWN:]]:
            table.add_row(safe(label), *(f"{counts[split]:,}" for split in SPLITS))
        console.print(table)


async def _suspects(subject: Subject, engine: Engine) -> list[SuspectedError]:
    """Of a classifier with one head of labels; none of any other role."""
    heads = subject.dataset.heads
    if subject.learner.kind != "classifier" or len(heads) != 1 or heads[0].kind in ("regression", "multilabel"):
        return []
    rows = [(number, row) for number, row in enumerate(subject.dataset.rows) if isinstance(row, ClassifierRow)]
    known = [(number, row, row.targets[0]) for number, row in rows if isinstance(row.targets[0], str)]
    embeddings = await engine.embed(subject.learner.base, [row.text for _, row, _ in known])
    found = await anyio.to_thread.run_sync(suspected_label_errors, embeddings, [str(target) for _, _, target in known])
    return [replace(one, index=known[one.index][0]) for one in found]
