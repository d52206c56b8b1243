"""What a command tunes or evaluates: a role's learner, and its rows from files, from a log or from both."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..agents.inference import Inference
from ..agents.releases import check_role
from ..orchestration.database_log import DatabaseLog
from ..tuning.classifier_learner import ClassifierLearner
from ..tuning.datasets import AnyDataset, merge
from ..tuning.dialogue_learner import DialogueLearner
from ..tuning.files import LabelledFiles, read_files
from ..tuning.learner_of import AnyLearner, Tunable, learner_of, tunable
from ..tuning.log_rows import read_log
from ..tuning.retriever_learner import RetrieverLearner
from ..tuning.rows import Kind
from .exits import Exit, fail
from .logs import existing
from .target import flow_at
from .typed_json import every_flow

BASES: dict[Kind, str] = {"classifier": "minilm-l6", "retriever": "minilm-l6", "dialogue": "smollm2-135m"}


@dataclass(frozen=True, slots=True)
class Places:
    """Where rows may be found."""

    data: tuple[Path, ...] = ()
    validation: tuple[Path, ...] = ()
    test: tuple[Path, ...] = ()
    passages: tuple[Path, ...] = ()
    log: str | None = None
    flow: str | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """A role, and the rows that it is tuned or evaluated on."""

    learner: AnyLearner
    dataset: AnyDataset  # of the learner's kind


async def subject_of(
    role: str | None, places: Places, kind: Kind | None, base: str | None, engine: Inference
) -> Subject:
    """What the options of a command name; where they do not fit together, the command ends."""
    _check(role, places)
    agent = None if places.flow is None else _agent(places.flow, role, base)
    datasets: list[Any] = []  # all of one kind, as merging makes sure
    if agent is not None and places.log is not None:
        datasets.append(await _of_log(agent, places.log, engine))
    if places.data or places.test:
        datasets.append(_of_files(role or _named(places), places, agent))
    dataset: Any = datasets[0] if len(datasets) == 1 else merge(datasets)
    if kind is not None and dataset.kind != kind:
        fail(f"--task says {kind}, but the rows are a {dataset.kind}'s", Exit.BAD_INPUT)
    learner = learner_of(agent) if agent is not None else _without_agent(dataset, base)
    if learner.kind != dataset.kind:
        fail(f"{learner.role!r} is a {learner.kind}, but the rows are a {dataset.kind}'s", Exit.BAD_INPUT)
    return Subject(learner, dataset)


def _check(role: str | None, places: Places) -> None:
    if role is not None:
        check_role(role)
    if not (places.data or places.test or places.log):
        fail("there is nothing to learn from; give --data FILE, or --log LOG with --flow MODULE:FLOW", Exit.USAGE)
    if places.log is not None and places.flow is None and not places.data:
        fail("--log needs --flow MODULE:FLOW, which says what the role is asked and may answer", Exit.USAGE)
    if places.flow is not None and role is None:
        fail("which role of the flow? name it, as in `coterie tune finance/mood --flow …`", Exit.USAGE)


def _agent(target: str, role: str | None, base: str | None) -> Tunable:
    agents = tunable(node for flow in every_flow(flow_at(target)) for node in flow.nodes.values())
    if role not in agents:
        fail(f"{target} has no role {role!r} that can be tuned; it has {', '.join(agents) or 'none'}", Exit.BAD_INPUT)
    if base is not None and base != agents[role].base:
        fail(f"--base {base!r} is not what the flow says of {role!r}: {agents[role].base!r}", Exit.USAGE)
    return agents[role]


async def _of_log(agent: Tunable, place: str, engine: Inference) -> AnyDataset:
    async with DatabaseLog(existing(place)) as log:
        rows = await log.training_rows(agent.role)
    return await read_log(agent, rows, engine)


def _of_files(role: str, places: Places, agent: Tunable | None) -> AnyDataset:
    files = LabelledFiles(places.data, places.validation, places.test, places.passages)
    return read_files(role, files, plan=getattr(agent, "plan", None))


def _named(places: Places) -> str:
    """A role's name from the first file's, where none was given."""
    stem = (places.data or places.test)[0].stem
    return "".join(letter if letter.isalnum() else "-" for letter in stem).strip("-") or "role"


def _without_agent(dataset: AnyDataset, base: str | None) -> AnyLearner:
    chosen = base or BASES[dataset.kind]
    match dataset.kind:
        case "classifier":
            return ClassifierLearner.of_heads(dataset.role, chosen, dataset.heads, dataset.features)
        case "retriever":
            return RetrieverLearner.of_passages(dataset.role, chosen, dataset.passages)
        case "dialogue":
            return DialogueLearner(dataset.role, chosen)
