"""Many reviews that wait, made quickly and as a runtime would have made them.

Each flow runs a few times through a real `Runtime`. Its facts, with other messages, ids and times, then go to the rows'
own writer (`RunRows.begin`), thousands in a transaction: the same hashes, digests and indexes, without waiting for the
disk at every step. `coterie verify` finds such a log sound.
"""

import hashlib
import itertools
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import anyio
from pydantic_core import to_json

from coterie.agents import Confidence, Message, ScriptedAgent
from coterie.agents.messages import Origin, Passage
from coterie.orchestration import Review, Rule, Runtime, Workflow
from coterie.orchestration.asking import words_in
from coterie.orchestration.database import Database
from coterie.orchestration.definition import definition_of, digest_of
from coterie.orchestration.events import Event
from coterie.orchestration.run_rows import RunRows, read
from coterie.orchestration.statements import hot
from coterie.orchestration.workflow import Flow

LARGEST = 5_000  # reviews in the largest group of near-duplicates
TOGETHER = 1_000  # runs in a transaction
LABELS = ("positive", "neutral", "negative")
RARE = "zirconium"  # a word of one review in 10,000
SAMPLES = 50  # runs of each flow that go through the runtime


class Case(Message):
    text: str
    cost: float  # of a wrong answer


class Found(Message):
    text: str
    passages: list[Passage]


class Mood(Message):
    label: Literal["positive", "neutral", "negative"]
    confidence: Confidence


@dataclass(frozen=True)
class Kind:
    """A flow that asks, and how its steps make messages."""

    flow: Flow[Any, Any]
    review: Review[Any, Any]
    role: str
    passages: bool

    def messages(self, case: Case) -> dict[type[Message], Message]:
        """What a run that begins with `case` says, by type."""
        found = _found(case) if self.passages else case
        return {Case: case, Found: found, Mood: _judged(found, self.role)}


@dataclass(frozen=True)
class Built:
    """How long it took, in seconds."""

    rows: int
    seconds: float
    through_runtime: float  # for each run, through the runtime


def build(place: Path, count: int, seed: int = 7) -> Built:
    """`count` reviews wait in the new log at `place`."""
    kinds = [_kind("moods", "finance/mood"), _kind("triage", "support/triage"), _kind("claims", "claims/judge", True)]
    samples = min(SAMPLES, max(1, count // 30))
    began = time.perf_counter()
    runs = anyio.run(_through_runtime, place, kinds, samples)
    each = (time.perf_counter() - began) / (samples * len(kinds))
    began = time.perf_counter()
    database = Database(place)
    with database.write() as connection:
        models = [read(connection, run, kind.flow.registry) for kind, run in zip(kinds, runs, strict=True)]
    left = count - samples * len(kinds)
    made = _made(kinds, models, left, random.Random(seed))  # noqa: S311 - it draws texts
    rows = RunRows()
    with database.write() as connection:
        for pragma in ("cache_size=-500000", "temp_store=MEMORY"):  # KiB; only while this connection lives
            connection.exec_driver_sql(f"PRAGMA {pragma}")
    bodies = [to_json(definition_of(kind.flow)).decode() for kind in kinds]
    while batch := list(itertools.islice(made, TOGETHER)):
        with database.write() as connection:
            for number, events in batch:
                rows.begin(hot(connection), events, kinds[number].flow.registry, "builder", bodies[number])
        rows.committed()
    database.close()
    return Built(left, time.perf_counter() - began, each)


async def _through_runtime(place: Path, kinds: Sequence[Kind], samples: int) -> list[str]:
    """Real runs that ask; one of each kind."""
    texts = _texts(random.Random(1), samples * len(kinds))  # noqa: S311
    firsts = []
    async with Runtime(log=place) as runtime:
        for kind in kinds:
            for number in range(samples):
                run = await runtime.start(kind.flow, Case(text=next(texts), cost=1.0), by="otto")
                await run.wait_settled()
                if number == 0:
                    firsts.append(run.id)
    return firsts


def _kind(name: str, role: str, passages: bool = False) -> Kind:
    judge = ScriptedAgent[Found if passages else Case, Mood]("judge", lambda told: _judged(told, role))  # type: ignore[misc]
    review = Review[Mood, Mood](
        f"{name}-desk", ask_below=1.0, risk=2.0,
        rules=[Rule("sure", "what is said that surely is so", lambda mood: mood.confidence > 0.55)],
    )  # fmt: skip
    made = Workflow(name, Case, Mood)
    if passages:
        find = ScriptedAgent[Case, Found]("find", _found)
        made.start(find)
        made.edge(find, judge)
    else:
        made.start(judge)
    made.edge(judge, review)
    made.end(review)
    return Kind(made.build(), review, role, passages)


def _found(case: Case) -> Found:
    passages = [
        Passage(
            id=f"{_lot(case.text)}-{number}", text=f"{part} {case.text}", score=0.9 - number / 10, source="book.txt"
        )
        for number, part in enumerate(("as said", "elsewhere", "in the annex"))
    ]
    return Found(text=case.text, passages=passages)


def _judged(told: Any, role: str) -> Mood:
    lot = _lot(told.text)
    label, other = LABELS[lot % 3], LABELS[(lot + 1) % 3]
    sure = round(0.4 + (lot // 3 % 5000) / 10_000, 4)
    ranked = ((label, sure), (other, round((1 - sure) * 0.6, 4)))
    return Mood(label=label, confidence=sure).made_by(Origin(role=role, weights="ab" * 32, alternatives=ranked))


def _lot(text: str) -> int:
    """The same for texts that differ only in their figures' endings, so that near-duplicates get the same label."""
    return int.from_bytes(hashlib.blake2b(text.rpartition(" ")[0].encode(), digest_size=4).digest())


def _made(kinds: Sequence[Kind], models: Sequence[Sequence[Event]], count: int, lots: random.Random) -> Iterator[Any]:
    """The facts of each run, with the number of its kind."""
    began = time.time() - 30 * 86_400
    digests = [digest_of(definition_of(kind.flow)) for kind in kinds]
    for number, text in enumerate(_texts(lots, count)):
        which = lots.choices(range(len(kinds)), (6, 3, 1))[0]
        kind = kinds[which]
        case = Case(text=text, cost=lots.choice((1.0, 1.0, 1.0, 5.0, 20.0)))
        said = kind.messages(case)
        run, at = f"{lots.getrandbits(48):012x}", began + number * 20
        asking = kind.review.asking(said[Mood], {}, run)
        assert asking is not None  # noqa: S101 - ask_below=1.0
        told = words_in(said[Found] if kind.passages else case)
        asked = asking._replace(case=told, risk=case.cost)
        facts = [_fact(fact, said, run, at, asked) for fact in models[which]]
        yield which, [facts[0]._replace(definition=digests[which]), *facts[1:]]


def _fact(fact: Any, said: dict[type[Message], Message], run: str, at: float, asking: Any) -> Any:
    changed: dict[str, Any] = {"run": run, "at": at + fact.seq / 100}
    for name in ("message", "output"):
        if hasattr(fact, name):
            changed[name] = said[type(getattr(fact, name))]
    if hasattr(fact, "inputs"):
        changed["inputs"] = tuple(said[type(one)] for one in fact.inputs)
    if hasattr(fact, "asking"):
        changed["asking"] = asking
    return fact._replace(**changed)


def _texts(lots: random.Random, count: int) -> Iterator[str]:
    """Sentences; half have near-duplicates, in groups of 2 to 200, and one group is very large."""
    words = [f"{''.join(lots.choices('bcdfglmnprst', k=2))}{lots.choice('aeiou')}{lots.choice('nrstlm')}{lots.choice('aeiou')}" for _ in range(3000)]  # fmt: skip  # noqa: E501
    pending: list[str] = []
    largest = min(LARGEST, count // 20)
    pending += _group(lots, words, largest)
    while len(pending) < count:
        size = 1 if lots.random() < 0.85 else min(200, int(lots.paretovariate(1.1)) + 1)
        pending += _group(lots, words, size)
    pending = pending[:count]
    lots.shuffle(pending)
    for number, text in enumerate(pending):
        head, _, tail = text.rpartition(" ")
        yield f"{head} {RARE} {tail}" if number % 10_000 == 5_000 else text


def _group(lots: random.Random, words: Sequence[str], size: int) -> list[str]:
    sentence = " ".join(lots.choices(words, k=lots.choice((8, 12, 20, 60))))
    return [f"Firm {sentence} said EUR {lots.randrange(10**6)}" for _ in range(size)]
