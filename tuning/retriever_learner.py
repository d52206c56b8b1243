"""A retriever as a learner: its ladder, and how well its served search ranks passages for rows.

This file does not know how queries and passages are tuned (retriever.py) or which candidate wins.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..agents.hosting import LocalHost
from ..agents.inference import Inference
from ..agents.loading import load
from ..agents.messages import Message, Passage
from ..agents.retriever import Retriever
from .datasets import Dataset
from .learners import Listen, Rung, Step, Tuned, step_of, unheard
from .outcomes import Measure, Outcome, mean_score
from .rankings import ndcg
from .recipes import Recipe
from .rows import Kind, RetrieverRow

DEPTH = 10  # ids of a ranking that count
SEARCHED = 50  # passages that are asked for, since several may be of one document
NDCG = mean_score(f"nDCG@{DEPTH}")


class _Query(Message):
    text: str


class _Found(Message):
    passages: list[Passage]


@dataclass(frozen=True)
class RetrieverLearner:
    """A retriever's role.

    RetrieverLearner.of(agent)                                              # an agent's
    RetrieverLearner.of_passages("shop/policies", "minilm-l6", dataset.passages)   # of labelled files
    """

    agent: Retriever[Any, Any]

    @classmethod
    def of(cls, agent: Retriever[Any, Any]) -> "RetrieverLearner":
        """The role of an agent."""
        return cls(agent)

    @classmethod
    def of_passages(cls, role: str, base: str, passages: Mapping[str, str]) -> "RetrieverLearner":
        """A role that has no agent, over these passages (id -> text)."""
        corpus = [Passage(id=name, text=text) for name, text in passages.items()]
        return cls(Retriever[_Query, _Found](role, passages=corpus, base=base))

    @property
    def kind(self) -> Kind:
        return "retriever"

    @property
    def role(self) -> str:
        return self.agent.role

    @property
    def base(self) -> str:
        return self.agent.base

    @property
    def measure(self) -> Measure:
        """The mean nDCG@10 of documents; a document ranks where its first passage does."""
        return NDCG

    def tune(self, dataset: Dataset[RetrieverRow], recipe: Recipe, folder: Path, listen: Listen = unheard) -> Tuned:
        began = time.perf_counter()
        rungs: list[Rung] = []

        def reached(told: Any) -> None:
            nonlocal began
            note = "" if told.gain is None else f"nDCG rises by {told.gain} on validation rows"
            rungs.append(Rung(told.rung, told.ndcg, time.perf_counter() - began, kept=told.kept, note=note))
            began = time.perf_counter()
            listen(Step(f"rung {told.rung}", 1, 1, f"validation {told.ndcg:.4f}"))

        listen(Step("embedding questions and passages"))
        candidate = load("tuning.retriever").tune_retriever(
            dataset, self.base, recipe, folder=folder, report=reached,
            listen=lambda told: listen(step_of(told, f"rung {recipe.method}")),
        )  # fmt: skip
        best = max((rung for rung in rungs if rung.kept), key=lambda rung: rung.validation)
        told = tuple(replace(rung, kept=rung is best) for rung in rungs)
        return Tuned(candidate, told[1:] or told, untuned=told[0].validation)

    async def outcomes(
        self, engine: Inference, digest: str, rows: Sequence[RetrieverRow], listen: Listen = unheard
    ) -> list[Outcome]:
        host = LocalHost(engine)
        index = await self.agent.index(host, lambda done, total: listen(Step("embedding passages", done, total)))
        search = await self.agent.served(host, digest)
        found = []
        for number, row in enumerate(rows):
            listen(Step("searching", number, len(rows)))
            hits = await index.search(row.query, SEARCHED, search)
            ranked = _documents((hit.id for hit in hits), index.document_of)
            wanted = set(_documents(row.relevant, index.document_of))
            score = ndcg(ranked, wanted, DEPTH)
            found.append(Outcome(row.id, row.source.thread, score, answer=", ".join(ranked[:3])))
        return found


def _documents(ids: Iterable[str], document_of: Any) -> list[str]:
    """The documents of passages, each once, in order."""
    return list(dict.fromkeys(document_of(name) for name in ids))
