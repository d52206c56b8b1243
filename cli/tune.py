"""`coterie tune`: a role learns from labelled files, from its log or from both; the better one is put to work."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer
from rich.console import Console

from ..agents.engine import Engine
from ..agents.loading import load
from ..tuning.learning import Learned, learn
from ..tuning.recipes import Preset, Recipe
from ..tuning.rows import Kind
from ..tuning.verdict import Policy
from .exits import EXIT_CODES, Exit, clear_errors, fail
from .logs import JsonOption, seconds, write_page
from .tuning_card import card_of, show_card
from .tuning_report import tuning_page
from .tuning_subject import Places, Subject, subject_of
from .tuning_view import TuningView, show_learned, told_learned

PRESETS: tuple[Preset, ...] = ("fast", "balanced", "best")

RoleArgument = Annotated[str | None, typer.Argument(help="As in finance/mood; may be left out with --data.")]
DataOption = Annotated[
    list[Path] | None, typer.Option("--data", help="Labelled rows to train on, JSON lines; may be repeated.")
]
TestOption = Annotated[
    list[Path] | None, typer.Option("--test", help="Held-out rows that live and candidate are compared on.")
]
PassagesOption = Annotated[
    list[Path] | None, typer.Option("--passages", help="Of a retriever: JSON lines with id and text.")
]
TuneLogOption = Annotated[
    str | None,
    typer.Option("--log", envvar="COTERIE_LOG", help="The log whose reviews are learned from; needs --flow."),
]
TuneFlowOption = Annotated[
    str | None, typer.Option("--flow", metavar="MODULE:FLOW", help="The flow that has the role.")
]


class Task(StrEnum):
    """What a role does, where no flow says it."""

    CLASSIFIER = "classifier"
    RETRIEVER = "retriever"
    DIALOGUE = "dialogue"


class Method(StrEnum):
    """What is trained."""

    CLOSED_FORM = "closed-form"
    HEAD = "head"
    TOP = "top"
    FULL = "full"
    LORA = "lora"
    ADALORA = "adalora"
    ADAPTER = "adapter"


def tune(
    role: RoleArgument = None,
    data: DataOption = None,
    test: TestOption = None,
    validation: Annotated[
        list[Path] | None,
        typer.Option("--validation", help="Rows that settings are chosen on; else a share of --data."),
    ] = None,
    passages: PassagesOption = None,
    log: TuneLogOption = None,
    flow: TuneFlowOption = None,
    task: Annotated[Task | None, typer.Option("--task", help="What the role does, where no flow says it.")] = None,
    base: Annotated[str | None, typer.Option(help="The base checkpoint, where no flow says it.")] = None,
    recipe: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="fast, balanced, best, or a TOML file of settings.")
    ] = "fast",
    method: Annotated[Method | None, typer.Option(help="What is trained, instead of what the recipe says.")] = None,
    budget: Annotated[str | None, typer.Option(metavar="5m", help="After which training stops early.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Instead of the recipe's.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Store and judge the candidate, but promote nothing.")] = False,
    html: Annotated[Path | None, typer.Option("--html", help="Write what was measured as a page.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the rows and an estimate; train nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    with clear_errors():
        _check_recipe(recipe)
        changes = _changes(method, budget, seed)
        places = Places(
            data=tuple(data or ()),
            validation=tuple(validation or ()),
            test=tuple(test or ()),
            passages=tuple(passages or ()),
            log=log,
            flow=flow,
        )
        kind: Kind | None = None if task is None else task.value
        anyio.run(_tune, role, places, kind, base, recipe, changes, keep, html, dry_run, as_json)


tune.__doc__ = f"""Tune a role, judge the candidate beside what is live on rows that neither saw, promote the better.

\b
    coterie tune bank/intent --data train.jsonl --test test.jsonl
    coterie tune finance/mood --log desk.db --flow examples/finance_desk.py:flow --recipe balanced
    coterie tune finance/mood --log desk.db --flow examples/finance_desk.py:flow --dry-run

Files hold JSON lines: text and label, or score; query, relevant (with --passages); messages, or prompt and completion.

{EXIT_CODES} Lines that could not be used are named; they end a tuning that was done with 3.
"""


async def _tune(
    role: str | None,
    places: Places,
    kind: Kind | None,
    base: str | None,
    named: str,
    changes: dict[str, Any],
    keep: bool,
    html: Path | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    console = Console(stderr=as_json)
    async with Engine() as engine:
        subject = await subject_of(role, places, kind, base, engine)
        for line in subject.dataset.bad_lines:
            console.print(f"left out: {line}", style="yellow", markup=False, highlight=False, soft_wrap=True)
        subject.dataset.check()
        recipe = _recipe(named, subject.learner.kind, changes)
        card = await card_of(subject, recipe, engine, suspects=dry_run)
        if not as_json:
            show_card(console, card)
        if dry_run:
            if as_json:
                typer.echo(json.dumps(card.to_json(), indent=2))
            _leave(subject)
            return
        learned = await _learned(subject, engine, recipe, keep, console)
    if html is not None:
        write_page(html, tuning_page(learned, card, subject))
    if as_json:
        typer.echo(json.dumps({"card": card.to_json(), **told_learned(learned)}, indent=2))
    else:
        show_learned(console, learned)
    _leave(subject)


async def _learned(subject: Subject, engine: Engine, recipe: Recipe, keep: bool, console: Console) -> Learned:
    learner: Any = subject.learner
    dataset: Any = subject.dataset  # of the learner's kind
    with TuningView(console) as view:
        return await learn(learner, dataset, recipe, engine, Policy(), promote_winner=not keep, listen=view.take)


def _changes(method: Method | None, budget: str | None, seed: int | None) -> dict[str, Any]:
    """What the options change of a recipe."""
    told = {
        "method": None if method is None else method.value,
        "budget_seconds": None if budget is None else seconds("--budget", budget),
        "seed": seed,
    }
    return {name: value for name, value in told.items() if value is not None}


def _recipe(named: str, kind: Kind, changes: dict[str, Any]) -> Recipe:
    """The recipe that `--recipe` names, for a role of this kind."""
    preset: Preset | None = next((one for one in PRESETS if named == one), None)
    if preset is None:
        return Recipe.read(Path(named)).model_copy(update=changes)
    if kind == "dialogue":
        recipe: Recipe = load("tuning.dialogue").dialogue_recipe(preset, **changes)
        return recipe
    return Recipe.preset(preset, **changes)


def _check_recipe(named: str) -> None:
    if named not in PRESETS and not Path(named).is_file():
        fail(f"--recipe {named!r} is neither fast, balanced, best nor a file", Exit.USAGE)


def _leave(subject: Subject) -> None:
    if subject.dataset.bad_lines:
        raise typer.Exit(Exit.BAD_INPUT)
