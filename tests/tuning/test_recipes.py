"""Recipes: presets, what differs from them, TOML files, and what is refused."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from coterie.tuning.errors import RecipeError
from coterie.tuning.recipes import Recipe


def test_presets_differ_and_take_changes() -> None:
    """From seconds to minutes; any setting may be another."""
    methods = [made().method for made in (Recipe.fast, Recipe.balanced, Recipe.best)]
    assert methods == ["closed-form", "top", "full"]
    assert Recipe.best(epochs=1.5, seed=3) == Recipe.best().model_copy(update={"epochs": 1.5, "seed": 3})
    assert Recipe.preset("balanced", layers=3).layers == 3


def test_a_recipe_is_read_from_toml(tmp_path: Path) -> None:
    """The preset, and what differs from it."""
    path = tmp_path / "mood.toml"
    path.write_text('preset = "best"\nlearning_rate = 1e-4\nadversary = "fgm"\n', encoding="utf-8")
    assert Recipe.read(path) == Recipe.best(learning_rate=1e-4, adversary="fgm")
    path.write_text("seed = 7\n", encoding="utf-8")
    assert Recipe.read(path) == Recipe.fast(seed=7)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("learning_rate = -1\n", r"mood\.toml is no recipe: learning_rate: input should be greater than 0"),
        ("learnig_rate = 1\n", r"mood\.toml is no recipe: learnig_rate: extra inputs are not permitted"),
        ('preset = "slow"\n', r"preset is 'slow'; expected 'fast', 'balanced' or 'best'"),
        ("epochs =\n", r"mood\.toml is no recipe: "),
    ],
)
def test_what_is_wrong_in_a_file_is_said(tmp_path: Path, text: str, sentence: str) -> None:
    """The file, the setting and what is wrong with it."""
    path = tmp_path / "mood.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError, match=sentence):
        Recipe.read(path)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    """With its name."""
    with pytest.raises(RecipeError, match=r"gone\.toml is no recipe: .*No such file"):
        Recipe.read(tmp_path / "gone.toml")


def test_a_recipe_does_not_change() -> None:
    """It is stored with the candidate, so it must stay as it was."""
    recipe = Recipe.fast()
    with pytest.raises(ValidationError):
        recipe.seed = 3  # type: ignore[misc]
