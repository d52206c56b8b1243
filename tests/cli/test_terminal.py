"""What a person sees and types: the live view, the prompt of a review, text made safe."""

import io
from collections.abc import Sequence

import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from coterie.agents import Message
from coterie.cli.live import Counts, LiveRuns
from coterie.cli.reviewing import ask_person
from coterie.cli.text import safe
from coterie.orchestration import Approve, Edit, Flow, Reject, Review, Runtime, Workflow, node
from coterie.orchestration.events import (
    EffectSettled,
    EffectUnknown,
    RunFailed,
    RunFinished,
    RunResumed,
    TaskFinished,
    TaskRetried,
    TaskStarted,
)
from coterie.orchestration.review import Answer


class Draft(Message):
    text: str
    stars: int = 1


@node
async def write(draft: Draft) -> Draft:
    return draft


def reviewed() -> Flow[Draft, Draft]:
    desk = Review[Draft, Draft]("desk")
    workflow = Workflow("reviewed", Draft, Draft)
    workflow.start(write)
    workflow.edge(write, desk)
    workflow.end(desk)
    return workflow.build()


class Typist(Console):
    """A console at which somebody types these lines; after the last, the keyboard is gone."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__(file=io.StringIO(), width=80, force_terminal=False)
        self.lines = list(lines)

    def input(self, prompt: object = "", **_: object) -> str:  # type: ignore[override]
        if not self.lines:
            raise EOFError
        return self.lines.pop(0)

    @property
    def shown(self) -> str:
        assert isinstance(self.file, io.StringIO)
        return self.file.getvalue()


async def answered(*lines: str, text: str = "hello") -> tuple[Answer | None, str]:
    console = Typist(lines)
    async with Runtime() as runtime:
        run = await runtime.start(reviewed(), Draft(text=text))
        await run.wait_settled()
        return await ask_person(console, run, run.pending[0]), console.shown


@pytest.mark.anyio
async def test_a_approves() -> None:
    """One key."""
    assert (await answered("a"))[0] == Approve()


@pytest.mark.anyio
async def test_enter_alone_never_approves() -> None:
    """It asks again; with the keyboard gone the review is left waiting."""
    answer, shown = await answered("", "", "yes")
    assert answer is None
    assert "press one of" in shown


@pytest.mark.anyio
async def test_a_rejection_needs_a_reason() -> None:
    """Without one it asks again."""
    assert (await answered("r", "", "r", "too short"))[0] == Reject(reason="too short")


@pytest.mark.anyio
async def test_an_edit_keeps_what_is_not_typed() -> None:
    """Enter keeps a field; JSON or plain text replaces it."""
    assert (await answered("e", "better", ""))[0] == Edit(message=Draft(text="better", stars=1))
    assert (await answered("e", "", "5"))[0] == Edit(message=Draft(text="hello", stars=5))


@pytest.mark.anyio
async def test_an_edit_that_does_not_fit_is_told_and_asked_again() -> None:
    """With the field and the reason."""
    answer, shown = await answered("e", "", "many", "s")
    assert answer is None
    assert "stars: Input should be a valid integer" in shown


@pytest.mark.anyio
async def test_hostile_text_is_shown_as_text() -> None:
    """No escape codes, no bidi, no markup."""
    _, shown = await answered("s", text="\x1b[2J[red]red[/red] \u202eabc\u200b")
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "[red]red[/red]" in shown


@pytest.mark.anyio
async def test_the_live_view_counts_runs_and_nodes() -> None:
    """Also off a terminal, where it ends with one line."""
    console = Console(file=io.StringIO(), width=80, force_terminal=False)
    async with Runtime() as runtime, LiveRuns(console, total=2) as view:
        runs = [await runtime.start(reviewed(), Draft(text="x")) for _ in range(2)]
        for number, run in enumerate(runs):
            view.watch(run, f"run {number}")
            await run.wait_settled()
        await runs[0].answer("desk", Approve())
        await runs[0].result()
        for _ in range(20):
            await checkpoint()
    assert isinstance(console.file, io.StringIO)
    assert "waiting 1" in console.file.getvalue()


def test_the_live_view_counts_what_an_interrupted_run_has_open() -> None:
    """What was at work when the process ended is counted once; a question about an effect waits for a person."""
    counts = Counts(total=2)
    counts.runs = {"a": "running", "b": "running"}
    for run in counts.runs:
        counts.take(run, TaskStarted(run, 1, 0.0, "send", "send", 1, [], {}))
    counts.take("a", RunResumed("a", 2, 0.0))
    assert counts.nodes["send"]["running"] == 1
    counts.take("a", EffectUnknown("a", 3, 0.0, "send", "send", "a/send"))
    assert (counts.states()["waiting"], counts.states()["running"]) == (1, 1)
    counts.take("a", EffectSettled("a", 4, 0.0, "send", "send", happened=True, by="operator"))
    counts.take("a", TaskFinished("a", 5, 0.0, "send", "send", Draft(text="x")))
    counts.take("a", RunFinished("a", 6, 0.0, Draft(text="x")))
    counts.take("b", RunFailed("b", 2, 0.0, "send", "RunFailed", "no"))
    assert counts.line().startswith("2 of 2 · done 1 · running 0 · waiting 0 · failed 1")
    counts.take("b", TaskRetried("b", 3, 0.0, "send", "operator"))
    assert counts.line().startswith("1 of 2 · done 1 · running 1 · waiting 0 · failed 0")
    assert dict(counts.nodes["send"]) == {"running": 0, "retried": 0, "waiting": 0, "done": 1}


@given(st.text())
def test_safe_text_has_nothing_hidden(text: str) -> None:
    """Whatever comes in."""
    shown = safe(text)
    assert not any(character in shown for character in "\x1b\u202e\u200b\x00\n")
    assert all(character.isprintable() or character == " " for character in shown if character != "\ufffd")


def test_safe_text_is_cut() -> None:
    """A megabyte line stays readable."""
    assert safe("x" * 1_000_000, 10) == "xxxxxxxxxx…"
