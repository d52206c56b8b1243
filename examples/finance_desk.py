"""Ask the finance desk: questions about companies -> notes that cite the reports, or reviews for a person.

    python examples/finance_desk.py
    python examples/finance_desk.py --ask "How many passengers were carried?" --company "Norrfell Ferries"
    python examples/finance_desk.py --questions questions.jsonl --reports reports/ --auto --out notes.jsonl
    python examples/finance_desk.py --questions questions.jsonl --log desk.db             # and, if it was interrupted:
    python examples/finance_desk.py --questions questions.jsonl --log desk.db --resume
    python examples/finance_desk.py --log desk.db --auto                                  # and in another terminal:
    coterie review --log desk.db                                                          # its runs go on as you decide
    python examples/finance_desk.py --log desk.db --learn                                 # and then, better

The graph is in finance_flow.py, what it reads besides reports in finance_sources.py. Exit codes: 0 every question has a
note or waits for a person, 1 something failed, 3 lines of the input were bad (the rest was answered), 130 interrupted.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TextIO

import anyio
import typer
from finance_flow import Evidence, Publish, Question, desk
from finance_learning import learn
from finance_sources import News, Prices, QuestionRow, Rows
from rich.console import Console, Group
from rich.panel import Panel
from rich.text import Text

from coterie.agents import CoterieError, Passage, Retriever
from coterie.agents.errors import CorpusError, StorageError
from coterie.agents.jsonlines import BadLine
from coterie.cli.exits import Exit, leave
from coterie.cli.live import LiveRuns
from coterie.cli.reviewing import ask_person
from coterie.cli.text import safe
from coterie.orchestration import Flow, Log, Run, RunError, Runtime
from coterie.orchestration.events import RunResumed, TaskFailed, TaskFinished
from coterie.tuning.recipes import Recipe

SHIPPED = Path(__file__).parent / "data" / "finance"
DEMO = ("q01", "q13", "q20", "q35")  # one for each company, picked because their notes are published
AT_ONCE = 8  # questions at work at the same time: as many as the engine decodes together

flow = desk(SHIPPED / "reports.jsonl", News(SHIPPED / "news.jsonl"), Prices(SHIPPED / "prices"))


@dataclass
class Session:
    """One call of the program: what it was told to do, and what has come of it so far."""

    reports: Path
    news: News
    prices: Prices
    questions: list[tuple[str, Question]]
    bad_lines: list[BadLine]
    ask: bool  # whether a person sits at the terminal
    out: TextIO | None
    console: Console
    seed: int
    log: Path | None = None  # where facts are kept; None: in memory
    resume: bool = False  # whether questions that the log has are gone on with
    learn: bool = False  # whether roles are tuned on what the log knows, before anything is asked
    wait: bool = False  # whether to stay until people have decided at their desks what waits for them
    statuses: list[str] = field(default_factory=list)
    taken_up: Counter[str] = field(default_factory=Counter)  # what the log had already
    document_of: Callable[[str], str] = str  # passage id -> id of the report it was cut from; known once indexed

    async def answer_all(self) -> None:
        """Every question, `AT_ONCE` of them at the same time."""
        flow = desk(self.reports, self.news, self.prices)
        search: Retriever[Any, Any] = flow.nodes["search"]  # type: ignore[assignment]
        limiter = anyio.CapacityLimiter(AT_ONCE)
        async with AsyncExitStack() as stack:
            runtime = await stack.enter_async_context(Runtime(seed=self.seed, log=self.log))
            await self.look_into(runtime.log, flow)
            if self.learn:
                await learn(runtime.log, flow, runtime.engine, Recipe.balanced(seed=self.seed), self.console)
            view = await stack.enter_async_context(LiveRuns(self.console, total=len(self.questions)))
            view.say("loading the encoder")
            index = await search.index(
                runtime, lambda done, total: view.say(f"embedding reports: {done:,} of {total:,}")
            )
            self.bad_lines += index.bad_lines
            self.document_of = index.document_of
            view.say("")

            async def answer_one(number: str, question: Question) -> None:
                async with limiter:
                    run = await runtime.start(flow, question, key=self.key(number, question))
                    self.count(run)
                    view.watch(run, number)
                    await self.see_through(run, view)
                await self.see_out(number, question, run, view)

            async with anyio.create_task_group() as group:
                for number, question in self.questions:
                    group.start_soon(answer_one, number, question)

    def key(self, number: str, question: Question) -> str | None:
        """The question's idempotency key: the same question in the same log is the same run."""
        return None if self.log is None else f"{number} {question.company}: {question.text} ({self.seed})"

    async def look_into(self, log: Log, flow: Flow[Question, Publish]) -> None:
        """Refuse to ask again what the log has, unless it is to be gone on with."""
        keys = [key for number, question in self.questions if (key := self.key(number, question)) is not None]
        known = [key for key in keys if await log.find(flow.name, key) is not None]
        if known and not self.resume and not self.learn:
            raise CorpusError(
                f"{str(self.log)!r} has {len(known)} of these {len(self.questions)} questions already; "
                f"go on with them by --resume, or give another --log"
            )

    def count(self, run: Run[Publish]) -> None:
        """What of `run` was done before this program began."""
        facts = run.facts()
        if run.ended or any(isinstance(fact, RunResumed) for fact in facts):
            self.taken_up["ended" if run.ended else "going on"] += 1
            self.taken_up["tasks"] += sum(isinstance(fact, TaskFinished) for fact in facts)

    async def see_through(self, run: Run[Publish], view: LiveRuns) -> None:
        """One run to its end, or to the point where only a person could go on and none is asked."""
        await run.wait_settled()
        while run.pending and self.ask:
            request = run.pending[0]
            answer = await view.ask(run, request, ask_person)
            if answer is None:
                break
            await run.answer(request.task, answer)
            await run.wait_settled()

    async def see_out(self, number: str, question: Question, run: Run[Publish], view: LiveRuns) -> None:
        """Write what came of a run; where somebody may decide at a desk, once they have."""
        if run.pending and self.wait:
            view.say(f"decide in another terminal: coterie review --log {self.log}; Ctrl-C leaves the rest waiting")
            waiting = run.pending[0].message.model_dump()
            try:
                await run.wait_ended()
            except anyio.get_cancelled_exc_class():
                self.keep(number, question, run, "waiting", waiting)
                raise
        if run.pending:
            self.keep(number, question, run, "waiting", run.pending[0].message.model_dump())
            return
        try:
            note = await run.result()
        except RunError as error:
            self.keep(number, question, run, "rejected" if _rejected(run) else "failed", {"reason": str(error)})
        else:
            self.keep(number, question, run, "published", note.model_dump())

    def keep(self, number: str, question: Question, run: Run[Publish], status: str, outcome: dict[str, Any]) -> None:
        """Write what came of a question at once, so that an interruption loses nothing that was finished."""
        self.statuses.append(status)
        cited = [found for found in _evidence(run) if found.id in outcome.get("citations", ())]
        if self.out is not None:
            row = {"id": number, "question": question.text, "company": question.company, "status": status, **outcome}
            row["citations"] = list(dict.fromkeys(self.document_of(found.id) for found in cited))
            row["passages"] = [found.model_dump() for found in cited]
            self.out.write(json.dumps(row, ensure_ascii=False) + "\n")
            try:
                self.out.flush()
            except OSError as error:
                raise StorageError(Path(self.out.name), error) from error
        if self.out is None or len(self.questions) <= 5:
            self.console.print(_panel(question, status, outcome, cited))

    def finish(self) -> int:
        """Say how it went; the exit code."""
        if self.taken_up:
            self.console.print(
                f"resumed: {self.taken_up['ended']} questions were done and {self.taken_up['going on']} went on where "
                f"they were; no model was called for the {self.taken_up['tasks']} tasks that had finished"
            )
        bad = [*self.bad_lines, *self.news.rows.bad_lines, *self.prices.rows.bad_lines]
        counts = {status: self.statuses.count(status) for status in ("published", "waiting", "rejected", "failed")}
        told = f"{counts['published']} published, {counts['waiting']} wait for a person, {counts['failed']} failed"
        self.console.print(f"{told}, {counts['rejected']} rejected" if counts["rejected"] else told)
        for line in bad[:20]:
            self.console.print(Text(f"bad line: {safe(str(line))}"))
        if bad:
            lines = "1 bad line was" if len(bad) == 1 else f"{len(bad)} bad lines were"
            self.console.print(f"{lines} left out; the rest was answered")
        if counts["waiting"] and self.log is not None:
            self.console.print(
                f"decide: coterie review --log {self.log}, then go on: the same command with --resume", soft_wrap=True
            )
        if counts["failed"]:
            return 1
        return 3 if bad else 0


def _evidence(run: Run[Publish]) -> list[Passage]:
    answers = [event.output for event in run.facts() if isinstance(event, TaskFinished)]
    return [passage for answer in answers if isinstance(answer, Evidence) for passage in answer.passages]


def _rejected(run: Run[Publish]) -> bool:
    """Whether a person turned the note down, which is an answer and no failure of the desk."""
    failures = [event.error for event in run.facts() if isinstance(event, TaskFailed)]
    return failures[-1:] == ["ReviewRejected"]


def _panel(question: Question, status: str, outcome: dict[str, Any], cited: list[Passage]) -> Panel:
    said = outcome.get("text") or outcome.get("reason", "")
    parts = [Text(safe(said)), Text(safe(outcome.get("why", "")), style="yellow")]
    for found in cited:
        parts.append(Text(f"[{found.id}] {safe(found.source)}", style="cyan"))
        parts.append(Text(f"  {safe(found.text[:200])}", style="dim"))
    title = Text(f"{safe(question.company)}: {safe(question.text)}".removeprefix(": "))
    style = {"published": "green", "waiting": "yellow", "rejected": "red", "failed": "red"}[status]
    return Panel(Group(*parts), title=title, subtitle=status, border_style=style)


def _questions(path: Path, bad: list[BadLine]) -> list[tuple[str, Question]]:
    rows = Rows(path, QuestionRow)
    asked = [
        (row.id or str(number), Question(text=row.text, company=row.company))
        for number, row in enumerate(rows.of(QuestionRow), start=1)
    ]
    bad += rows.bad_lines
    return asked


def run(
    ask: Annotated[str | None, typer.Option(help="One question.")] = None,
    company: Annotated[str, typer.Option(help="The company that --ask is about; empty: whichever fits.")] = "",
    questions: Annotated[Path | None, typer.Option(help="JSON lines with `text` and, if known, `company`.")] = None,
    reports: Annotated[Path, typer.Option(help="JSON lines with `id` and `text`, or a folder of texts.")] = SHIPPED
    / "reports.jsonl",
    news: Annotated[Path, typer.Option(help="JSON lines with `text` and, if known, `company`.")] = SHIPPED
    / "news.jsonl",
    prices: Annotated[Path, typer.Option(help="JSON lines with `date`, `symbol`, `movement`, or a folder.")] = SHIPPED
    / "prices",
    out: Annotated[
        Path | None, typer.Option(help="Write a JSON line for each question, as soon as it is done.")
    ] = None,
    auto: Annotated[bool, typer.Option("--auto", help="Never ask a person; leave reviews waiting.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N questions.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same notes.")] = 0,
    log: Annotated[Path | None, typer.Option(help="Keep every step in this file, so that nothing is lost.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the questions that the log has.")] = False,
    learning: Annotated[
        bool, typer.Option("--learn", help="First tune the roles that people have corrected in the log often enough.")
    ] = False,
    wait: Annotated[
        bool | None,
        typer.Option(help="Stay until people have decided at their desks; with --auto and --log, at a terminal."),
    ] = None,
) -> None:
    """Answer questions about companies from their reports, with the mood of the news and the outlook of the prices.

    Without options, four questions about invented companies are answered. Exit codes: 0 done, 1 something failed,
    2 wrong usage, 3 lines of the input were bad, 130 interrupted.
    """
    if ask is not None and questions is not None:
        raise typer.BadParameter("give --ask or --questions, not both")
    if resume and log is None:
        raise typer.BadParameter("--resume needs the --log to go on from")
    if learning and log is None:
        raise typer.BadParameter("--learn needs the --log in which people have decided")
    if wait and log is None:
        raise typer.BadParameter("--wait needs the --log that people decide in: coterie review --log FILE")
    bad: list[BadLine] = []
    console = Console()
    try:
        if ask is not None:
            asked = [("1", Question(text=ask, company=company))]
        else:
            asked = _questions(questions or SHIPPED / "questions.jsonl", bad)
            asked = [(number, one) for number, one in asked if questions or number in DEMO][:limit]
            if not asked and not bad:
                raise CorpusError(f"{str(questions)!r} holds no questions; give JSON lines with `text`")
        with ExitStack() as files:
            session = Session(
                reports=reports,
                news=News(news),
                prices=Prices(prices),
                questions=asked,
                bad_lines=bad,
                ask=not auto and sys.stdin.isatty() and console.is_terminal,
                out=None if out is None else files.enter_context(out.open("w", encoding="utf-8")),
                console=console,
                seed=seed,
                log=log,
                resume=resume,
                learn=learning,
                wait=wait if wait is not None else auto and log is not None and console.is_terminal,
            )
            try:
                anyio.run(session.answer_all)
            except KeyboardInterrupt:
                console.print(f"interrupted; {len(session.statuses)} of {len(asked)} questions were finished")
                leave(Exit.INTERRUPTED)
            raise typer.Exit(session.finish())
    except CoterieError as error:
        console.print(Text(f"error: {safe(str(error))}", style="red"))
        raise typer.Exit(1) from None
    except OSError as error:
        told = f"cannot use {str(error.filename or 'a file')!r}: {error.strerror or error}; name another file or folder"
        console.print(Text(f"error: {safe(told)}", style="red"))
        raise typer.Exit(1) from None


if __name__ == "__main__":
    typer.run(run)
