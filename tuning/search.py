"""Which recipe is best, within a time budget. Needs optuna; reached through `load`, so that nothing else does.

    space = {"method": Choices(("closed-form", "top")), "learning_rate": Span(1e-5, 1e-3, log=True)}
    found = search(validation_loss, space, budget_seconds=600, seed=0, folder=Path("search"))
    found.best.recipe

Recipes are proposed by TPE (Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization"). Each proposal has a
seed of its own, made of the search's seed and its number, so a search that was cut off and goes on proposes what it
would have proposed. The best is known by its recipe's digest; under that name the caller keeps its candidate.

This file knows nothing of models or rows; what trials share (cached states of a trunk, tokens) is the caller's.
"""

import hashlib
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState
from pydantic import BaseModel, ConfigDict, ValidationError

from ..agents.durable_files import write_durably
from ..agents.jsonlines import BadLine, read_models
from .errors import RecipeError, TrainingFailed, TuningError
from .recipes import Recipe

TRIALS = "trials.jsonl"
_REPEATS = 20  # recipes in a row that were all tried before, after which there is nothing left to try


@dataclass(frozen=True, slots=True)
class Choices:
    """Values of a setting, without an order."""

    values: tuple[str | int | float | bool | None, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """Numbers of a setting from `low` to `high`, both included."""

    low: float
    high: float
    log: bool = False  # whether its logarithm is spread evenly
    whole: bool = False  # whether only whole numbers count


Space: TypeAlias = Mapping[str, Choices | Span]
Stopped: TypeAlias = Literal["budget", "trials", "exhausted"]


class Trial(BaseModel):
    """One recipe that was tried, as the folder of a search keeps it."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    number: int  # from 0
    recipe: Recipe
    settings: dict[str, str | int | float | bool | None]  # those of the space
    value: float | None  # lower is better; None: it failed
    failure: str = ""
    seconds: float

    @property
    def digest(self) -> str:
        """The sha256 hex of its recipe, under which its candidate is kept."""
        return recipe_digest(self.recipe)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found."""

    best: Trial
    trials: tuple[Trial, ...]  # in order, those of earlier calls included
    stopped: Stopped


def unheard(trial: Trial) -> None:
    """Hears of a trial and does nothing."""


def search(
    objective: Callable[[Recipe], float],
    space: Space,
    budget_seconds: float,
    seed: int,
    *,
    start: Recipe | None = None,
    trials: int | None = None,
    folder: Path | None = None,
    listen: Callable[[Trial], None] = unheard,
    clock: Callable[[], float] = time.monotonic,
) -> SearchResult:
    """Tries recipes until the time is up, beginning with `start` itself. Blocks.

    A recipe that fails with a TuningError, or without a finite number, is passed over; any other error goes through,
    and so does an interrupt: what was tried until then is in `folder`, and a second call goes on from there.

    Args:
        objective: trains by a recipe and gives its loss on validation rows; lower is better.
        space: what may differ from `start`, by the names of a recipe's settings.
        budget_seconds: of this call; no trial begins that would, as long as the others, end after it.
        seed: of the proposals.
        start: the recipe that all others differ from; None: `Recipe()`.
        trials: at most so many, those of earlier calls included; None: as many as the time allows.
        folder: where trials are kept; None: nowhere.
        listen: hears each new trial.
        clock: gives seconds.

    Raises:
        RecipeError: the space names no setting of a recipe, or a value out of its range.
        TuningError: trials of another space or start are in `folder`, or one cannot be read.
        TrainingFailed: every recipe failed.
        OSError: `folder` cannot be written.
    """
    first = start or Recipe()
    _check_space(space, first)
    done = list(_read(folder, space, first))
    run = _Run(objective, space, first, seed, folder, listen, clock)
    stopped = run.until(done, clock() + budget_seconds, trials)
    good = [trial for trial in done if trial.value is not None]
    if not good:
        reason = done[-1].failure if done else "the budget was over before the first trial"
        raise TrainingFailed(f"none of {len(done)} recipes could be tried to its end: {reason}")
    return SearchResult(min(good, key=lambda trial: (trial.value, trial.number)), tuple(done), stopped)


def recipe_digest(recipe: Recipe) -> str:
    """The sha256 hex of a recipe: the same for the same settings."""
    return hashlib.sha256(recipe.model_dump_json().encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Run:
    objective: Callable[[Recipe], float]
    space: Space
    start: Recipe
    seed: int
    folder: Path | None
    listen: Callable[[Trial], None]
    clock: Callable[[], float]

    def until(self, done: list[Trial], end: float, most: int | None) -> Stopped:
        """Adds trials to `done` until something ends it."""
        taken: list[float] = []
        repeats = 0
        with _quiet():
            study = self._study(done)
            while most is None or len(done) < most:
                if self.clock() + (statistics.median(taken) if taken else 0) >= end:
                    return "budget"
                trial = self._next(study, done)
                repeats = repeats + 1 if trial.seconds == 0 else 0
                if repeats >= _REPEATS:
                    return "exhausted"
                taken += [trial.seconds] if trial.seconds else []
        return "trials"

    def _study(self, done: list[Trial]) -> optuna.Study:
        study = optuna.create_study(direction="minimize")
        for trial in done:
            study.add_trial(_frozen(trial, self.space))
        return study

    def _next(self, study: optuna.Study, done: list[Trial]) -> Trial:
        number = len(done)
        study.sampler = optuna.samplers.TPESampler(seed=_seed_of(self.seed, number))
        settings = _settings_of(self.start, self.space) if number == 0 else None
        if settings is not None:
            study.enqueue_trial(settings)
        asked = study.ask(_distributions(self.space))
        recipe = _changed(self.start, asked.params) if settings is None else self.start
        trial = self._tried(number, recipe, asked.params, done)
        study.tell(asked, trial.value, state=TrialState.FAIL if trial.value is None else None)
        done.append(trial)
        if self.folder is not None:
            lines = [one.model_dump_json() for one in done]
            write_durably(self.folder / TRIALS, "".join(f"{line}\n" for line in lines).encode())
        self.listen(trial)
        return trial

    def _tried(self, number: int, recipe: Recipe, settings: dict[str, Any], done: list[Trial]) -> Trial:
        """The trial of a recipe; where it was tried before, what it gave then, in no time."""
        same = next((trial for trial in done if trial.recipe == recipe), None)
        if same is not None:
            return same.model_copy(update={"number": number, "settings": settings, "seconds": 0.0})
        began = self.clock()
        value, failure = None, ""
        try:
            value = float(self.objective(recipe))
        except TuningError as error:
            failure = str(error)
        if value is not None and not math.isfinite(value):
            value, failure = None, f"its validation loss is {value!r}"
        return Trial(
            number=number,
            recipe=recipe,
            settings=settings,
            value=value,
            failure=failure,
            seconds=max(self.clock() - began, 1e-9),  # 0 is what was tried before
        )


def _check_space(space: Space, start: Recipe) -> None:
    unknown = [name for name in space if name not in Recipe.model_fields]
    if unknown or not space:
        found = f"{unknown[0]!r} is no setting of a recipe" if unknown else "it is empty"
        raise RecipeError("the space of a search", ValueError(found))
    for name, values in space.items():
        for value in values.values if isinstance(values, Choices) else (values.low, values.high):
            whole = isinstance(values, Span) and values.whole
            _changed(start, {name: int(value) if whole and value is not None else value})


def _changed(start: Recipe, settings: Mapping[str, Any]) -> Recipe:
    try:
        return Recipe.model_validate({**start.model_dump(), **settings})
    except ValidationError as error:
        raise RecipeError("the space of a search", error) from error


def _settings_of(start: Recipe, space: Space) -> dict[str, Any] | None:
    """The settings of `start` that the space is about; None where one lies outside of it."""
    settings = {name: getattr(start, name) for name in space}
    return settings if all(_holds(values, settings[name]) for name, values in space.items()) else None


def _holds(values: Choices | Span, value: Any) -> bool:
    if isinstance(values, Choices):
        return value in values.values
    return value is not None and values.low <= value <= values.high


def _distributions(space: Space) -> dict[str, BaseDistribution]:
    return {name: _distribution(values) for name, values in space.items()}


def _distribution(values: Choices | Span) -> BaseDistribution:
    if isinstance(values, Choices):
        return CategoricalDistribution(values.values)
    if values.whole:
        return IntDistribution(int(values.low), int(values.high), log=values.log)
    return FloatDistribution(values.low, values.high, log=values.log)


def _frozen(trial: Trial, space: Space) -> FrozenTrial:
    return optuna.trial.create_trial(
        state=TrialState.FAIL if trial.value is None else TrialState.COMPLETE,
        value=trial.value,
        params=dict(trial.settings),
        distributions=_distributions(space),
    )


def _seed_of(seed: int, number: int) -> int:
    """A seed for one proposal, which no other proposal of the search has."""
    return int.from_bytes(hashlib.sha256(f"{seed} {number}".encode()).digest()[:4])


def _read(folder: Path | None, space: Space, start: Recipe) -> Iterator[Trial]:
    if folder is None or not (folder / TRIALS).exists():
        return
    for trial in read_models(folder / TRIALS, Trial):
        if isinstance(trial, BadLine):
            raise TuningError(f"a search cannot go on: {trial}; delete the file to begin anew")
        if set(trial.settings) != set(space) or _changed(start, trial.settings) != trial.recipe:
            raise TuningError(
                f"the search in {str(folder)!r} had another space or another recipe to start from; "
                f"give it a folder of its own"
            )
        yield trial


@contextmanager
def _quiet() -> Iterator[None]:
    """Without optuna's own lines about each trial, whatever it was told before."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
