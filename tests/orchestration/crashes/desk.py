"""A flow with everything that a crash can hit, and a program that performs it and goes on with it.

What it does outside goes to files in the current folder, one line each, written at once.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, text

from coterie.agents import Context, Failure, Message
from coterie.orchestration import Flow, Run, Runtime, Workflow, node
from coterie.orchestration.database_log import DatabaseLog
from coterie.orchestration.events import TaskFinished

PAID, MAILED = Path("paid"), Path("mailed")
TABLE = "CREATE TABLE IF NOT EXISTS booked (run TEXT, amount INTEGER)"


class Text(Message):
    text: str


class Count(Message):
    number: int


class Done(Message):
    text: str


class Both(Message):
    text: str


class Seen(Message):
    """What the program found in the end, inside and outside."""

    text: str
    tasks: list[str]
    booked: list[int]
    paid: int  # payments, told apart by their keys
    mailed: int  # letters


def note(file: Path, line: str) -> None:
    """Do something outside that no crash can undo."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(handle, f"{line}\n".encode())
    os.close(handle)


def lines(file: Path) -> Sequence[str]:
    return file.read_text().splitlines() if file.exists() else []


@node
async def greet(question: Text) -> Text:
    return question


@node
async def ask(question: Text) -> Text:
    return Text(text=question.text + "?")


@node
async def split(question: Text) -> list[Count]:
    return [Count(number=number) for number in range(3)]


@node
async def square(one: Count) -> Count:
    return Count(number=one.number**2)


@node
async def total(squares: list[Count]) -> Count:
    return Count(number=sum(one.number for one in squares))


@node
async def polish(draft: Text) -> Text | Done:
    longer = draft.text + "!"
    return Done(text=longer) if longer.endswith("!!") else Text(text=longer)


@node
async def both(draft: Done, summed: Count) -> Both:
    return Both(text=f"{draft.text} {summed.number}")


@node
async def risky(found: Both) -> Text:
    raise RuntimeError(f"{found.text} never works")


@node
async def rescue(failed: Failure) -> Text:
    return Text(text=failed.reason)


@node(effect="idempotent")
async def pay(told: Text, *, ctx: Context) -> Text:
    note(PAID, ctx.key)
    return told


@node
async def book(told: Text, *, ctx: Context) -> Text:
    def insert(connection: Connection) -> None:
        connection.execute(text(TABLE))
        connection.execute(text("INSERT INTO booked VALUES (:run, 7)"), {"run": ctx.run})

    ctx.transaction(insert)
    return told


@node(effect="ask")
async def mail(told: Text, *, ctx: Context) -> Text:
    note(MAILED, ctx.key)
    return Text(text=told.text + " (mailed)")


def built() -> Flow[Text, Text]:
    workflow: Workflow[Text, Text] = Workflow("desk", Text, Text)
    workflow.start(greet, split)
    workflow.edge(greet, ask)
    workflow.map(split, square)
    workflow.join(square, total)
    workflow.edge(ask, polish)
    workflow.edge(polish, polish, on=Text, max_visits=5)
    workflow.gather((polish, total), both)
    workflow.edge(both, risky)
    workflow.on_error(risky, rescue, catch=RuntimeError)
    workflow.edge(risky, pay)  # where its handler stands in
    workflow.edge(pay, book)
    workflow.edge(book, mail)
    workflow.end(mail)
    return workflow.build()


flow = built()


async def settle(run: Run) -> None:
    """What a person does who can see the letters."""
    for asked in run.unknown:
        if asked.key in lines(MAILED):
            await run.settle(asked.task, happened=True, output=Text(text="a?!! 5 never works (mailed)"))
        else:
            await run.settle(asked.task, happened=False)


async def booked(runtime: Runtime) -> list[int]:
    def amounts(connection: Connection) -> list[int]:
        return list(connection.execute(text("SELECT amount FROM booked")).scalars())

    assert isinstance(runtime.log, DatabaseLog)
    return await runtime.log.call(lambda database: database.read(amounts))


async def program(runtime: Runtime) -> Seen:
    """Start the run or go on with it, and say what came of it."""
    run = await runtime.start(flow, Text(text="a"), key="trial")
    while not run.ended:
        await run.wait_settled()
        await settle(run)
    result = await run.result()
    return Seen(
        text=result.text,
        tasks=sorted(fact.task for fact in run.facts() if isinstance(fact, TaskFinished)),
        booked=await booked(runtime),
        paid=len(set(lines(PAID))),
        mailed=len(lines(MAILED)),
    )
