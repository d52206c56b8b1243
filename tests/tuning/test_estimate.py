"""What a tuning may take, told before it begins."""

from pathlib import Path

from coterie.agents.devices import DeviceProfile
from coterie.tuning.estimate import Weights, estimate
from coterie.tuning.recipes import Recipe

PROFILE = DeviceProfile("here", "cpu", 2, "float32", "float32", {"encode float32": 3_000.0}, "")


def test_the_weights_of_a_checkpoint_are_counted_from_its_headers(tiny_encoder: Path) -> None:
    """Embeddings apart from layers, and how many layers there are."""
    weights = Weights.of(tiny_encoder)
    assert (weights.count, weights.width) == (2, 32)
    assert weights.embeddings > 32 * 64
    assert weights.layers > 2 * 4 * 32 * 32


def test_more_rows_more_epochs_and_more_layers_take_longer(tiny_encoder: Path) -> None:
    """Every rung takes more time than the one below it, and memory grows with what is trained."""
    weights = Weights.of(tiny_encoder)

    def seconds(recipe: Recipe, train: int = 10_000) -> float:
        found = estimate(weights, recipe, PROFILE, train, 1_000).seconds
        assert found is not None
        return found

    fast, balanced, best = (
        Recipe.fast(), Recipe.balanced(layers=1, epochs=3.0), Recipe.best(epochs=3.0)
    )  # fmt: skip
    assert seconds(fast) < seconds(balanced) < seconds(best)
    assert seconds(best, 20_000) > 1.8 * seconds(best)
    assert seconds(Recipe.best(epochs=6.0)) > 1.8 * seconds(best)
    bytes_of = [estimate(weights, recipe, PROFILE, 10_000, 1_000).bytes for recipe in (fast, balanced, best)]
    assert bytes_of == sorted(bytes_of)


def test_a_device_that_was_not_probed_has_no_time(tiny_encoder: Path) -> None:
    """Of a GPU, whose speed the probe does not measure, only the memory is told."""
    unprobed = DeviceProfile("gpu", "cuda", 8, "bfloat16", "bfloat16", {}, "")
    found = estimate(Weights.of(tiny_encoder), Recipe.best(), unprobed, 10_000, 1_000)
    assert found.seconds is None
    assert found.bytes > 0
