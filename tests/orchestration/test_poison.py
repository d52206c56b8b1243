"""Tasks that take their process down, again and again, are given up; nothing else is."""

import signal
from pathlib import Path
from typing import Any

import anyio
import pytest

from coterie.orchestration import Flow, Run, RunCancelled, RunError, RunFailed, Runtime, Workflow, node
from coterie.orchestration.crash_points import process_maker
from coterie.orchestration.database import Database
from coterie.orchestration.events import RunResumed, RunSuspended, TaskFailed, TaskFinished, TaskRetried, TaskStarted
from coterie.orchestration.queries import RunFilter, dead, list_runs, show
from tests.orchestration.crashes import poison
from tests.orchestration.crashes.poison import Item, Text, dinner, feast, live, lunch

anyio_test = pytest.mark.anyio
ABORTED = -signal.SIGABRT
MOST = 20  # lives that no test needs


class Lives:
    """A log in a file, and processes that live on it one after the other."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def one(self, *orders: tuple[str, str]) -> int:
        """The exit code of one process that is given these orders."""
        process = process_maker(poison.__name__)(target=live, args=(str(self.place), orders))
        process.start()
        process.join()
        assert process.exitcode is not None
        return process.exitcode

    def until_one_survives(self, *orders: tuple[str, str]) -> int:
        """How many died before one came to its end."""
        died = [self.one(*orders)]
        while died[-1] != 0 and len(died) < MOST:
            died.append(self.one())
        assert set(died[:-1]) <= {ABORTED}
        assert died[-1] == 0
        return len(died) - 1

    def states(self) -> dict[str, list[str]]:
        """For each flow, how its runs ended, oldest first."""
        found: dict[str, list[str]] = {}
        for run in reversed(self.read(lambda connection: list_runs(connection, RunFilter()))):
            found.setdefault(run.flow, []).append(run.state)
        return found

    def read(self, function: Any) -> Any:
        database = Database(self.place)
        try:
            return database.read(function)
        finally:
            database.close()

    def run_of(self, flow: Flow[Any, Any]) -> str:
        (found,) = self.read(lambda connection: list_runs(connection, RunFilter(flow=flow.name)))
        identity: str = found.id
        return identity

    def kinds(self, run: str, task: str) -> list[str]:
        return [fact.kind for fact in self.read(lambda connection: show(connection, run)) if fact.task == task]


@pytest.fixture
def lives(tmp_path: Path) -> Lives:
    return Lives(tmp_path / "desk.db")


async def result_of(lives: Lives, flow: Flow[Text, Text]) -> Text:
    async with Runtime(log=lives.place) as runtime:
        return await (await runtime.resume_run(flow, lives.run_of(flow))).result()


def test_a_task_that_ends_its_process_is_given_up_after_three_tries(lives: Lives) -> None:
    """Its run fails with that as its cause, and is listed among the dead."""
    assert lives.until_one_survives(("lunch", "poison")) == 3
    run = lives.run_of(lunch)
    assert lives.kinds(run, "bite") == ["task-started"] * 3 + ["task-failed"]
    (found,) = lives.read(lambda connection: dead(connection, RunFilter()))
    assert (found.run.id, found.run.state, found.task, found.error) == (run, "failed", "bite", "TaskGivenUp")
    assert found.reason == "the process ended in each of 3 attempts at node 'bite'; it is not tried again"


@anyio_test
async def test_a_handler_can_catch_what_is_given_up(lives: Lives) -> None:
    """The run goes on with what the handler makes of it."""
    assert lives.until_one_survives(("dinner", "poison")) == 3
    assert await result_of(lives, dinner) == Text(
        text="the process ended in each of 3 attempts at node 'bite'; it is not tried again"
    )


@anyio_test
async def test_what_was_given_up_can_be_put_back(lives: Lives, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once its cause is mended, it goes on from there, and what had finished does not run again."""
    lives.until_one_survives(("lunch", "poison"))
    monkeypatch.setattr(poison, "cured", True)
    async with Runtime(log=lives.place) as runtime:
        run = await runtime.retry(lunch, lives.run_of(lunch), by="ann")
        assert await run.result() == Text(text="poison bitten")
        assert [fact.by for fact in run.facts() if isinstance(fact, TaskRetried)] == ["ann"]
        assert sum(isinstance(fact, TaskStarted) and fact.task == "think" for fact in run.facts()) == 1
    assert lives.states() == {"lunch": ["finished"]}


def test_what_was_put_back_has_all_its_tries_again(lives: Lives) -> None:
    """Three more processes, then it is given up anew."""
    lives.until_one_survives(("lunch", "poison"))
    run = lives.run_of(lunch)

    async def put_back() -> None:
        async with Runtime(log=lives.place) as runtime:
            await runtime.retry(lunch, run)

    anyio.run(put_back)
    assert lives.until_one_survives() == 3
    assert lives.kinds(run, "bite")[-1] == "task-failed"


def test_other_runs_go_on_to_their_ends(lives: Lives) -> None:
    """Those that were under way whenever the process ended are not given up with the one that ended it."""
    orders = [("lunch", "a"), ("lunch", "poison"), ("lunch", "b"), ("dinner", "c")]
    assert lives.until_one_survives(*orders) <= 4
    assert lives.states() == {"lunch": ["finished", "failed", "finished"], "dinner": ["finished"]}


def test_two_poisoned_runs_are_both_given_up(lives: Lives) -> None:
    """And the innocent one among them is not."""
    lives.until_one_survives(("lunch", "poison"), ("dinner", "a"), ("lunch", "poison"))
    assert lives.states() == {"lunch": ["failed", "failed"], "dinner": ["finished"]}


def test_poison_that_comes_later_harms_no_run_that_was_there_before(lives: Lives) -> None:
    """What was at work when the process ended the last time is kept apart from what has survived more often."""
    assert lives.one(("dinner", "a"), ("lunch", "poison")) == ABORTED
    assert lives.one(("lunch", "poison")) == ABORTED
    lives.until_one_survives(("dinner", "b"))
    assert lives.states() == {"lunch": ["failed", "failed"], "dinner": ["finished", "finished"]}


@anyio_test
async def test_runs_that_wait_for_their_turn_are_left_as_they_are(
    lives: Lives, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runtime that is closed before their turn comes says so to whoever waits, and counts no crash."""
    lives.one(("lunch", "a"), ("lunch", "poison"), ("lunch", "b"))
    lives.one()
    async with Runtime(log=lives.place, flows=[lunch]) as runtime:
        runs = (await runtime.resume()).runs
        assert (await runtime.resume()).runs == ()
    assert len(runs) == 3
    for run in runs:
        with pytest.raises(RunCancelled):
            await run.result()
    monkeypatch.setattr(poison, "cured", True)
    async with Runtime(log=lives.place, flows=[lunch]) as runtime:
        texts = [(await run.result()).text for run in (await runtime.resume()).runs]
    assert texts == ["a bitten", "poison bitten", "b bitten"]


@anyio_test
async def test_other_tasks_of_the_same_run_are_not_given_up(lives: Lives) -> None:
    """Of a map whose items are at work at the same time, only the one that ends the process is."""
    lives.until_one_survives(("buffet", "a b poison c d"))
    assert await result_of(lives, feast) == Text(text="a b c d")
    run = lives.run_of(feast)
    failed = [fact for fact in lives.read(lambda connection: show(connection, run)) if fact.kind == "task-failed"]
    assert [fact.task for fact in failed] == ["split[2]/taste"]


@anyio_test
async def test_leaving_the_block_is_no_crash(tmp_path: Path) -> None:
    """However often a runtime is closed while a node is at work, its task is not given up."""
    attempts: list[int] = []
    stays = True

    @node
    async def slow(message: Text) -> Text:
        attempts.append(len(attempts) + 1)
        begun.set()
        if stays:
            await anyio.sleep_forever()
        return message

    workflow: Workflow[Text, Text] = Workflow("slow", Text, Text)
    workflow.start(slow)
    workflow.end(slow)
    flow, place = workflow.build(), tmp_path / "desk.db"
    for _ in range(5):
        begun = anyio.Event()
        async with Runtime(log=place) as runtime:
            await runtime.start(flow, Text(text="a"), key="k")
            await begun.wait()
    stays = False
    async with Runtime(log=place) as runtime:
        run = await runtime.start(flow, Text(text="a"), key="k")
        assert await run.result() == Text(text="a")
        assert sum(isinstance(fact, RunSuspended) for fact in run.facts()) == 5
        assert sum(isinstance(fact, RunResumed) for fact in run.facts()) == 5
    assert len(attempts) == 6


# Failed runs that are put back to work.


class Failing:
    """A node that fails until it is mended, alone, inside another flow and as one item of a map."""

    def __init__(self) -> None:
        self.mended = False
        self.calls: list[str] = []

        @node
        async def act(message: Item) -> Item:
            self.calls.append(message.text)
            if message.text == "b" and not self.mended:
                raise ConnectionError("refused")
            return message

        @node
        async def one(message: Text) -> Item:
            return Item(text=message.text)

        @node
        async def last(item: Item) -> Text:
            return Text(text=item.text)

        self.act, self.one, self.last = act, one, last

    def alone(self) -> Flow[Text, Text]:
        workflow: Workflow[Text, Text] = Workflow("alone", Text, Text)
        workflow.start(self.one)
        workflow.edge(self.one, self.act)
        workflow.edge(self.act, self.last)
        workflow.end(self.last)
        return workflow.build()

    def nested(self) -> Flow[Text, Text]:
        workflow: Workflow[Text, Text] = Workflow("around", Text, Text)
        workflow.start(poison.think)
        workflow.edge(poison.think, inner := self.alone())
        workflow.end(inner)
        return workflow.build()

    def mapped(self) -> Flow[Text, Text]:
        workflow: Workflow[Text, Text] = Workflow("mapped", Text, Text)
        workflow.start(poison.split)
        workflow.map(poison.split, self.act, limit=1)
        workflow.join(self.act, poison.together)
        workflow.end(poison.together)
        return workflow.build()


@anyio_test
@pytest.mark.parametrize(
    ("shape", "message", "task", "calls"),
    [
        ("alone", "b", "act", ["b", "b"]),
        ("nested", "b", "alone/act", ["b", "b"]),
        ("mapped", "a b c", "split[1]/act", ["a", "b", "b", "c"]),
    ],
)
@pytest.mark.parametrize("restarted", [False, True], ids=["same process", "another process"])
async def test_a_failed_run_can_be_retried(
    shape: str, message: str, task: str, calls: list[str], restarted: bool, tmp_path: Path
) -> None:
    """From the task that ended it; what had finished does not run again."""
    failing = Failing()
    flow: Flow[Text, Text] = getattr(failing, shape)()
    place = tmp_path / "desk.db"
    async with Runtime(log=place) as runtime:
        run = await runtime.start(flow, Text(text=message))
        with pytest.raises(RunFailed, match="ConnectionError: refused"):
            await run.result()
        failing.mended = True
        if not restarted:
            await retried(runtime, flow, run, message, task)
    if restarted:
        async with Runtime(log=place) as runtime:
            await retried(runtime, flow, run, message, task)
    assert failing.calls == calls


async def retried(runtime: Runtime, flow: Flow[Text, Text], run: Run[Text], message: str, task: str) -> None:
    again = await runtime.retry(flow, run.id)
    assert await again.result() == Text(text=message)
    (fact,) = [fact for fact in again.facts() if isinstance(fact, TaskRetried)]
    assert (fact.task, fact.by) == (task, "operator")
    assert [type(fact) for fact in again.facts() if getattr(fact, "task", "") == task] == [
        TaskStarted,
        TaskFailed,
        TaskRetried,
        TaskStarted,
        TaskFinished,
    ]


@anyio_test
async def test_a_run_that_no_task_ended_cannot_be_retried(tmp_path: Path) -> None:
    """A finished one, or one that is still at work in another runtime."""
    failing = Failing()
    flow = failing.alone()
    async with Runtime(log=tmp_path / "desk.db") as runtime:
        run = await runtime.start(flow, Text(text="a"))
        await run.result()
        with pytest.raises(RunError, match="has no failed task to retry"):
            await runtime.retry(flow, run.id)
