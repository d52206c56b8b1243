"""A dialogue manager as a learner: how it is tuned, and how likely its served model finds what should have been said.

This file does not know how a language model is tuned (dialogue.py) or which candidate wins.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio.from_thread
import anyio.to_thread

from ..agents.checkpoints import locate
from ..agents.dialogue import DialogueManager
from ..agents.inference import Inference
from ..agents.loading import load
from ..agents.served_model import serve_model
from .datasets import Dataset
from .learners import Listen, Rung, Step, Tuned, step_of, unheard
from .outcomes import Measure, Outcome, mean_score
from .recipes import Recipe
from .rows import DialogueRow, Kind

LIKELIHOOD = mean_score("log-likelihood a supervised token")


@dataclass(frozen=True)
class DialogueLearner:
    """A dialogue manager's role."""

    role: str
    base: str

    @classmethod
    def of(cls, agent: DialogueManager[Any, Any]) -> "DialogueLearner":
        """The role of an agent."""
        return cls(agent.role, agent.base)

    @property
    def kind(self) -> Kind:
        return "dialogue"

    @property
    def measure(self) -> Measure:
        """Minus the loss in nats of a supervised token, over the tokens of all rows."""
        return LIKELIHOOD

    def tune(self, dataset: Dataset[DialogueRow], recipe: Recipe, folder: Path, listen: Listen = unheard) -> Tuned:
        trainings: list[Any] = []
        candidate = load("tuning.dialogue").tune_dialogue(
            dataset, self.base, recipe, folder, listen=lambda told: listen(step_of(told, recipe.method)),
            finished=trainings.append,
        )  # fmt: skip
        first = trainings[0]
        rung = Rung(recipe.method, -first.best, sum(one.seconds for one in trainings), kept=True, note=candidate.note)
        return Tuned(candidate, (rung,), untuned=-first.first)

    async def outcomes(
        self, engine: Inference, digest: str, rows: Sequence[DialogueRow], listen: Listen = unheard
    ) -> list[Outcome]:
        served = await serve_model(self.role, self.base, engine, digest)
        folder = await anyio.to_thread.run_sync(locate, served.base)
        score: Callable[..., list[tuple[float, int]]] = (
            await anyio.to_thread.run_sync(load, "tuning.dialogue_scores")
        ).row_losses

        def heard(done: int, total: int) -> None:
            listen(Step("reading conversations", done, total))

        found = await anyio.to_thread.run_sync(partial(score, folder, rows, heard))
        return [
            Outcome(row.id, row.source.thread, -loss / max(tokens, 1), units=float(tokens), answer=f"{loss:.1f} nats")
            for row, (loss, tokens) in zip(rows, found, strict=True)
            if tokens
        ]
