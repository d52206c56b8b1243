"""A tiny task that is really trained in tests: token rows of two classes, a real trunk, and a head over it.

As a program, it trains and writes the weights that it ended with, so that tests can kill it, or launch it twice:

    python tasks.py ENCODER RECIPE_JSON TARGET [--folder FOLDER] [--kill-at STEP] [--keep-last]
"""

import argparse
import itertools
import os
import random
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import AutoModel

from coterie.tuning.adapters import Prepared, parameter_groups, prepare
from coterie.tuning.batches import padded, token_batches
from coterie.tuning.progress import Progress, Training, unheard
from coterie.tuning.recipes import Recipe
from coterie.tuning.training import Loss, train

torch.set_num_threads(1)  # sums are added in one order, and tests do not wait for each other's threads

SIGN = 7  # the token that rows of the second class hold


class TinyClassifier(nn.Module):
    """A trunk, mean pooling, and one linear head."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.trunk: Any = AutoModel.from_pretrained(folder)
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.head = nn.Linear(self.trunk.config.hidden_size, 2)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, 2) of tokens (B, T)."""
        states = self.trunk(input_ids=ids, attention_mask=mask).last_hidden_state  # (B, T, H)
        kept = mask[..., None].float()
        logits: Tensor = self.head((states * kept).sum(1) / kept.sum(1))
        return logits


class Task:
    """Rows, their classes, and how a model of them is judged."""

    def __init__(self, folder: Path, rows: int = 24) -> None:
        self.folder = folder
        chance = random.Random(0)
        self.rows = [[chance.randint(8, 60) for _ in range(chance.randint(3, 10))] for _ in range(rows)]
        self.labels = [number % 2 for number in range(rows)]
        for row, label in zip(self.rows, self.labels, strict=True):
            if label:
                row[chance.randrange(len(row))] = SIGN

    def model(self) -> TinyClassifier:
        """The same every time."""
        return TinyClassifier(self.folder)

    def logits(self, model: nn.Module, numbers: Sequence[int]) -> tuple[Tensor, Tensor, int]:
        """Logits and classes of rows, and how many tokens they have."""
        ids, mask = padded([self.rows[number] for number in numbers], padding=0)
        return model(ids, mask), torch.tensor([self.labels[number] for number in numbers]), int(mask.sum())

    def loss(self, model: nn.Module, numbers: Sequence[int]) -> Loss:
        """Cross-entropy."""
        logits, labels, tokens = self.logits(model, numbers)
        return Loss(nn.functional.cross_entropy(logits, labels, reduction="sum"), len(numbers), tokens)

    def validate(self, model: nn.Module) -> float:
        """Mean cross-entropy of all rows."""
        found = self.loss(model, range(len(self.rows)))
        return float(found.total.detach()) / found.units

    def batches(self, recipe: Recipe) -> Callable[[int], Sequence[tuple[int, ...]]]:
        """By length."""
        return token_batches([len(row) for row in self.rows], recipe.batch_tokens, recipe.seed)

    def train(
        self, recipe: Recipe, listen: Callable[[Progress], None] = unheard, folder: Path | None = None, **changes: Any
    ) -> tuple[Prepared, Training]:
        """A model trained by `recipe`, not yet finished."""
        model = self.model()
        prepared = prepare(model, recipe, recipe.seed)
        settings: dict[str, Any] = {
            "groups": parameter_groups(model, recipe),
            "validate": self.validate,
            "listen": listen,
            "folder": folder,
            "device": "cpu",
            "hook": prepared.hook,
        }
        loss = changes.pop("loss", self.loss)
        return prepared, train(model, self.batches(recipe), loss, recipe, **(settings | changes))


def recipe(**changes: Any) -> Recipe:
    """Quick, without dropout, and of the whole model."""
    settings: dict[str, Any] = {
        "method": "full",
        "epochs": 2.0,
        "batch_tokens": 48,
        "learning_rate": 3e-3,
        "head_learning_rate": 1e-2,
        "dropout": 0.0,
        "precision": "float32",
    }
    return Recipe(**(settings | changes))


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Copies of all of them."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def differing(one: dict[str, Tensor], other: dict[str, Tensor]) -> set[str]:
    """Names of weights that are not equal, bit for bit."""
    assert one.keys() == other.keys()
    return {name for name in one if not torch.equal(one[name], other[name])}


def ever_better() -> Callable[[nn.Module], float]:
    """A validation by which the last weights are the best."""
    left = itertools.count()
    return lambda model: -float(next(left))


def main() -> None:
    """See the head of this file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("encoder", type=Path)
    parser.add_argument("recipe")
    parser.add_argument("target", type=Path)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--kill-at", type=int)
    parser.add_argument("--keep-last", action="store_true")
    chosen = parser.parse_args()

    def listen(progress: Progress) -> None:
        if chosen.kill_at is not None and progress.step == chosen.kill_at and progress.validation is None:
            os.kill(os.getpid(), signal.SIGKILL)

    changes = {"validate": ever_better()} if chosen.keep_last else {}
    recipe = Recipe.model_validate_json(chosen.recipe)
    prepared, _ = Task(chosen.encoder).train(recipe, listen, chosen.folder, **changes)
    if int(os.environ.get("RANK", "0")) == 0:
        save_file(weights_of(prepared.model), chosen.target)


if __name__ == "__main__":
    main()
