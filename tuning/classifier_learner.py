"""A classifier as a learner: its ladder, and what it decides on rows through the heads that serve it.

This file does not know how heads are fitted (classifier.py) or which candidate wins.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from ..agents.classifier import DecisionClassifier
from ..agents.decisions import Classes, Decision, MultiLabel, Prediction, Regression, best, probability_of
from ..agents.inference import Inference
from ..agents.loading import load
from ..agents.releases import StoredHead, release
from ..agents.served_heads import HeadRequest, ServedHeads, serve_heads
from .datasets import Dataset
from .learners import Listen, Step, Tuned, unheard
from .outcomes import ACCURACY, COSINE, Measure, Outcome
from .recipes import Recipe
from .rows import ClassifierRow, Kind, Target

if TYPE_CHECKING:
    from ..agents.inference import FloatArray

AT_ONCE = 256  # texts


@dataclass(frozen=True)
class ClassifierLearner:
    """A classifier's role.

    ClassifierLearner(agent.request)                            # an agent's
    ClassifierLearner.of_heads("bank/intent", "minilm-l6", dataset.heads)   # of labelled files, without an agent
    """

    request: HeadRequest

    @classmethod
    def of(cls, agent: DecisionClassifier[object, object]) -> "ClassifierLearner":
        """The role of an agent."""
        return cls(agent.request)

    @classmethod
    def of_heads(
        cls, role: str, base: str, heads: Sequence[StoredHead], features: Sequence[str] = ()
    ) -> "ClassifierLearner":
        """A role that has no agent: each label is described by itself."""
        decisions = tuple(decision_of(head) for head in heads)
        descriptions = tuple(decision.descriptions for decision in decisions)
        return cls(HeadRequest(role, base, decisions, descriptions, tuple(features)))

    @property
    def kind(self) -> Kind:
        return "classifier"

    @property
    def role(self) -> str:
        return self.request.role

    @property
    def base(self) -> str:
        return self.request.base

    @cached_property
    def measure(self) -> Measure:
        """The share of rows on which every decision is right; of numbers alone, the cosine with what they should be."""
        return COSINE if all(isinstance(one, Regression) for one in self.request.decisions) else ACCURACY

    def tune(self, dataset: Dataset[ClassifierRow], recipe: Recipe, folder: Path, listen: Listen = unheard) -> Tuned:
        tuned: Tuned = load("tuning.classifier").tune_classifier(dataset, self.base, recipe, folder, listen=listen)
        return tuned

    async def outcomes(
        self, engine: Inference, digest: str, rows: Sequence[ClassifierRow], listen: Listen = unheard
    ) -> list[Outcome]:
        request = await anyio.to_thread.run_sync(self._asked_of, digest)
        served = await serve_heads(request, engine, digest)
        found: list[Outcome] = []
        for start in range(0, len(rows), AT_ONCE):
            listen(Step("deciding", start, len(rows)))
            block = rows[start : start + AT_ONCE]
            embeddings = await engine.embed(served.base, [row.text for row in block])  # (N, D)
            found += await anyio.to_thread.run_sync(self._decided, request.decisions, served, block, embeddings)
        return found

    def _asked_of(self, digest: str) -> HeadRequest:
        """The request, with the labels that the release knows: it may be from before others were added."""
        if not digest:
            return self.request
        heads = release(self.role, digest).manifest.heads
        if [(one.kind, one.field) for one in heads] != [(one.kind, one.field) for one in self.request.decisions]:
            return self.request  # which does not fit, as serving it will say
        known = tuple(
            decision if set(head.labels) == set(decision.labels) else decision_of(head)
            for head, decision in zip(heads, self.request.decisions, strict=True)
        )
        if known == self.request.decisions:
            return self.request
        return replace(self.request, decisions=known, descriptions=tuple(one.descriptions for one in known))

    def _decided(
        self,
        decisions: Sequence[Decision],
        served: ServedHeads,
        rows: Sequence[ClassifierRow],
        embeddings: "FloatArray",
    ) -> list[Outcome]:
        return [
            self._outcome(row, decisions, served.heads.predict(embedding, row.features))
            for row, embedding in zip(rows, embeddings, strict=True)
        ]

    def _outcome(self, row: ClassifierRow, decisions: Sequence[Decision], predictions: Sequence[Prediction]) -> Outcome:
        decided = [
            (decision, prediction, target)
            for decision, prediction, target in zip(decisions, predictions, row.targets, strict=True)
            if target is not None
        ]
        slices = frozenset(
            f"{decision.field or 'kind'}={target}" for decision, _, target in decided if isinstance(target, str)
        )
        if self.measure is COSINE:
            value, target = decided[0][1][0], decided[0][2]
            assert isinstance(target, float)  # noqa: S101 - the data set holds numbers for a regression
            return Outcome(row.id, row.source.thread, value, target=target, slices=slices, answer=f"{value:.3f}")
        answers = [answered(decision, prediction) for decision, prediction, _ in decided]
        right = all(answer == target for answer, (_, _, target) in zip(answers, decided, strict=True))
        known = [probability_of(decision, prediction) for decision, prediction, _ in decided]
        sure = 1.0
        for one in known:
            sure *= 1.0 if one is None else one
        return Outcome.answered(
            row.id,
            row.source.thread,
            correct=right,
            confidence=sure,
            slices=slices,
            answer=", ".join(map(_told, answers)),
        )


def decision_of(head: StoredHead) -> Decision:
    """The decision that a stored head makes."""
    match head.kind:
        case "regression":
            low, high = head.low, head.high
            return Regression(head.field, -1.0 if low is None else low, 1.0 if high is None else high)
        case "multilabel":
            return MultiLabel(head.field, head.labels)
        case _:
            return Classes(head.field, head.labels)


def answered(decision: Decision, prediction: Prediction) -> Target:
    """What a prediction decides, as a row's target has it."""
    if isinstance(decision, Regression):
        return decision.clamp(prediction[0])
    if isinstance(decision, MultiLabel):
        return frozenset(decision.labels[index] for index in decision.chosen(prediction))
    return decision.labels[best(prediction)]


def _told(answer: Target) -> str:
    return "[" + ", ".join(sorted(answer)) + "]" if isinstance(answer, frozenset) else str(answer)
