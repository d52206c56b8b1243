"""Every role of a flow learns from the flow's own log, where people have said enough about what it did.

    async for told in learn_from_log(log, tunable(flow.nodes.values()), Recipe.fast(), engine): ...

This file does not know how a role is tuned and judged (learning.py).
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..agents.inference import Inference
from ..orchestration.log import Log
from .errors import DatasetError, GateRefused, TrainingFailed
from .learner_of import Tunable, learner_of
from .learners import Listen, unheard
from .learning import STANDARD, Learned, learn
from .log_rows import read_log
from .recipes import Recipe
from .verdict import Policy

LEAST_ROWS = 50  # that people said something of; with fewer, a fifth of them cannot show that anything got better


@dataclass(frozen=True, slots=True)
class NotLearned:
    """A role that was left as it is."""

    role: str
    rows: int  # that people said something of
    reason: str  # for a person


Told: TypeAlias = Learned | NotLearned


async def learn_from_log(
    log: Log,
    agents: Mapping[str, Tunable],
    recipe: Recipe,
    engine: Inference,
    policy: Policy = STANDARD,
    *,
    least: int = LEAST_ROWS,
    promote_winner: bool = True,
    listen: Listen = unheard,
) -> AsyncIterator[Told]:
    """What became of each role, one after another.

    Args:
        log: where the flow's runs and what people said of them are.
        agents: the flow's, by role.
        recipe: for every role.
        engine: serves both sides at the gate.
        policy: what a candidate must show.
        least: rows with feedback that a role needs to be tuned at all.
        promote_winner: False: the verdicts are given, and nothing changes.

    Raises:
        NotDurable: the log keeps too little to learn from.
        LogCorrupt: a run is not as it was written.
    """
    for role, agent in agents.items():
        dataset: Any = await read_log(agent, await log.training_rows(role), engine)  # of the agent's kind
        learner: Any = learner_of(agent)
        count = len(dataset.rows)
        if count < least:
            yield NotLearned(role, count, f"people have said something of {count} of its messages; {least} are needed")
            continue
        try:
            yield await learn(learner, dataset, recipe, engine, policy, promote_winner=promote_winner, listen=listen)
        except (DatasetError, TrainingFailed, GateRefused) as error:
            yield NotLearned(role, count, str(error))
