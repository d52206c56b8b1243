"""The search for a recipe: what it finds, what it costs, and that nothing tried is lost."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("optuna")

from coterie.tuning.errors import RecipeError, TrainingFailed, TuningError
from coterie.tuning.recipes import Recipe
from coterie.tuning.search import Choices, SearchResult, Space, Span, recipe_digest, search

SPACE: Space = {"learning_rate": Span(1e-5, 1e-1, log=True), "epochs": Span(1, 8, whole=True)}


def loss(recipe: Recipe) -> float:
    """Least at a learning rate of 0.001 and five epochs."""
    return (math.log10(recipe.learning_rate) + 3) ** 2 + 0.1 * (recipe.epochs - 5) ** 2


def ticking(seconds: float) -> Callable[[], float]:
    """A clock on which each look takes `seconds`."""
    now = -seconds

    def look() -> float:
        nonlocal now
        now += seconds
        return now

    return look


def found(**changes: object) -> SearchResult:
    """A search of 25 trials."""
    return search(loss, SPACE, 60.0, **{"seed": 0, "trials": 25, **changes})  # type: ignore[arg-type]


def test_a_search_comes_near_the_best_recipe() -> None:
    """Nearer than what it started from, which it tried first."""
    result = found()
    assert result.trials[0].recipe == Recipe()
    assert result.best.value is not None
    assert result.best.value < min(0.2, result.trials[0].value or 0)
    assert result.best.value == min(trial.value for trial in result.trials if trial.value is not None)
    assert result.best.number != result.trials[-1].number  # the best is restored, not the last
    assert result.best.digest == recipe_digest(result.best.recipe)
    assert result.stopped == "trials"


def test_a_seed_gives_the_same_search_again() -> None:
    """And another seed another."""
    recipes = [trial.recipe for trial in found().trials]
    assert [trial.recipe for trial in found().trials] == recipes
    assert [trial.recipe for trial in found(seed=1).trials] != recipes


def test_an_interrupted_search_keeps_its_trials_and_goes_on(tmp_path: Path) -> None:
    """As if it had not been interrupted; nothing is tried twice."""
    tried: list[Recipe] = []

    def until_interrupted(recipe: Recipe) -> float:
        if len(tried) == 12:
            raise KeyboardInterrupt
        tried.append(recipe)
        return loss(recipe)

    with pytest.raises(KeyboardInterrupt):
        search(until_interrupted, SPACE, 60.0, seed=0, trials=25, folder=tmp_path)
    assert len((tmp_path / "trials.jsonl").read_text().splitlines()) == 12
    after: list[Recipe] = []

    def heard(recipe: Recipe) -> float:
        after.append(recipe)
        return loss(recipe)

    result = search(heard, SPACE, 60.0, seed=0, trials=25, folder=tmp_path)
    whole = found()
    assert [trial.recipe for trial in result.trials] == [trial.recipe for trial in whole.trials]
    assert result.best.recipe == whole.best.recipe
    assert not set(map(recipe_digest, tried)) & set(map(recipe_digest, after))


def test_no_trial_begins_that_would_end_after_the_budget() -> None:
    """Each takes one second on this clock, and one passes between them."""
    result = found(trials=None, clock=ticking(1.0))
    short = search(loss, SPACE, 10.0, seed=0, clock=ticking(1.0))
    assert result.stopped == short.stopped == "budget"
    assert len(short.trials) == 3  # of three looks at the clock each, beside the one that set the end
    assert len(result.trials) == 20


def test_a_recipe_that_fails_is_passed_over() -> None:
    """With its reason; where all fail, the search says so."""

    def sometimes(recipe: Recipe) -> float:
        if recipe.epochs > 4:
            raise TrainingFailed("out of memory")
        return math.nan if recipe.epochs < 2 else loss(recipe)

    result = search(sometimes, SPACE, 60.0, seed=0, trials=25)
    reasons = {trial.failure for trial in result.trials if trial.value is None}
    assert reasons == {"out of memory", "its validation loss is nan"}
    assert result.best.recipe.epochs in (2, 3, 4)
    with pytest.raises(TrainingFailed, match="none of 3 recipes could be tried to its end: its validation loss is nan"):
        search(lambda recipe: math.nan, SPACE, 60.0, seed=0, trials=3)


def test_other_errors_go_through() -> None:
    """A fault of the caller is no bad recipe."""

    def broken(recipe: Recipe) -> float:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        search(broken, SPACE, 60.0, seed=0)


def test_a_small_space_is_tried_once_and_then_it_ends() -> None:
    """Without waiting for the budget."""
    tried: list[Recipe] = []

    def heard(recipe: Recipe) -> float:
        tried.append(recipe)
        return loss(recipe)

    result = search(heard, {"method": Choices(("closed-form", "top"))}, 60.0, seed=0)
    assert result.stopped == "exhausted"
    assert {recipe.method for recipe in tried} == {"closed-form", "top"}
    assert len(tried) == 2


def test_a_space_that_no_recipe_has_is_refused() -> None:
    """Before anything is trained."""
    with pytest.raises(RecipeError, match="'speed' is no setting of a recipe"):
        search(loss, {"speed": Choices((1,))}, 60.0, seed=0)
    with pytest.raises(RecipeError, match="learning_rate: input should be greater than 0"):
        search(loss, {"learning_rate": Span(-1, 1)}, 60.0, seed=0)
    with pytest.raises(RecipeError, match="it is empty"):
        search(loss, {}, 60.0, seed=0)


def test_a_folder_of_another_search_is_refused(tmp_path: Path) -> None:
    """Trials of another space say nothing about this one, and a damaged line is named."""
    search(loss, SPACE, 60.0, seed=0, trials=2, folder=tmp_path)
    with pytest.raises(TuningError, match="had another space or another recipe to start from"):
        search(loss, SPACE, 60.0, seed=0, trials=2, folder=tmp_path, start=Recipe(rank=8))
    (tmp_path / "trials.jsonl").write_text("{}\n")
    with pytest.raises(TuningError, match=r"trials.jsonl, line 1: .*delete the file to begin anew"):
        search(loss, SPACE, 60.0, seed=0, trials=2, folder=tmp_path)
