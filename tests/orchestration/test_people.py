"""Who may do what: nobody but those who are named, in a role that allows it; while nobody is named, everybody."""

import pytest

from coterie.orchestration import Approve, Reject, RunFailed, Runtime
from coterie.orchestration.decisions import RIGHTS, Role, grant, withdraw
from coterie.orchestration.errors import NotAllowed
from coterie.orchestration.review_desk import ReviewDesk
from tests.orchestration.desks import Headline, acts, left, moods, opened, waiting

NAMED: dict[str, Role] = {"olga": "operator", "anna": "reviewer", "otto": "author", "ada": "auditor"}


def name_people(database: str) -> None:
    with opened(database) as log, log.write() as connection:
        for name, role in NAMED.items():
            grant(connection, "olga", name, role, 1.0)


@pytest.mark.anyio
async def test_while_nobody_is_named_everybody_may_do_everything(database: str) -> None:
    """A log belongs to whoever can open it."""
    (run,) = await left(database, moods(), Headline(text="one"), by="stranger")
    with ReviewDesk(database, "another") as desk:
        desk.answer(desk.item(run, "desk"), Approve())


@pytest.mark.anyio
async def test_each_role_may_do_what_it_is_for_and_nothing_else(database: str) -> None:
    """Starting, looking and deciding, for each of the roles and for somebody who has none."""
    flow = moods(grace=60.0)
    runs = await left(database, flow, *(Headline(text=name) for name in NAMED), by="otto")
    name_people(database)
    for run, (name, role) in zip(runs, NAMED.items(), strict=True):
        may = RIGHTS[role]
        if "look" not in may:
            with pytest.raises(NotAllowed, match=f"'{name}' is {role} here and may not look: that takes auditor or op"):
                ReviewDesk(database, name).__enter__()
            continue
        with ReviewDesk(database, name) as desk:
            item = desk.item(run, "desk")
            if "decide" in may:
                desk.answer(item, Approve())
                continue
            for refused in (lambda: desk.answer(item, Approve()), lambda: desk.skip(item)):  # noqa: B023
                with pytest.raises(
                    NotAllowed, match=f"'{name}' is {role} here and may not decide: that takes reviewer"
                ):
                    refused()
    with pytest.raises(NotAllowed, match="'eve' has no role here and may not look"):
        ReviewDesk(database, "eve").__enter__()
    assert [act for by, act in acts(database) if by != "olga"] == ["approve"]


@pytest.mark.anyio
async def test_runs_are_started_and_answered_by_those_who_may(database: str) -> None:
    """In the program as at a desk; nothing is kept of what is refused."""
    flow = moods()
    name_people(database)
    async with Runtime(log=database) as runtime:
        with pytest.raises(
            NotAllowed, match="'anna' is reviewer here and may not start: that takes author or operator"
        ):
            await runtime.start(flow, Headline(text="one"), by="anna")
        (run,) = await waiting(runtime, flow, Headline(text="one"), by="otto")
        for by in ("otto", "olga", "ada", "eve"):
            with pytest.raises(NotAllowed, match=f"'{by}' .* may not decide"):
                await run.answer("desk", Approve(by=by))
        assert [request.task for request in run.pending] == ["desk"]
        await run.answer("desk", Approve(by="anna"))
        await run.result()
    assert [by for by, act in acts(database) if act == "approve"] == ["anna"]


@pytest.mark.anyio
async def test_only_an_operator_names_people_and_the_last_one_stays(database: str) -> None:
    """Else nobody could name anybody any more."""
    name_people(database)
    with opened(database) as log, log.write() as connection:
        with pytest.raises(NotAllowed, match="'anna' is reviewer here and may not operate"):
            grant(connection, "anna", "anna", "operator", 2.0)
        with pytest.raises(NotAllowed, match="the last operator stays one; name another first"):
            withdraw(connection, "olga", "olga", "operator", 2.0)
        withdraw(connection, "olga", "anna", "reviewer", 2.0)
    with pytest.raises(NotAllowed, match="'anna' has no role here and may not look"):
        ReviewDesk(database, "anna").__enter__()


@pytest.mark.anyio
async def test_the_first_to_name_somebody_is_an_operator(database: str) -> None:
    """So that they can take it back."""
    with opened(database) as log, log.write() as connection:
        grant(connection, "olga", "anna", "reviewer", 1.0)
        grant(connection, "olga", "bob", "reviewer", 1.0)
        with pytest.raises(NotAllowed):
            grant(connection, "anna", "bob", "author", 1.0)


@pytest.mark.anyio
async def test_a_run_is_retried_by_those_who_may_operate(database: str) -> None:
    """Others are told, and the run stays as it is."""
    flow = moods(codes={"no": "no"})
    async with Runtime(log=database) as runtime:
        (run,) = await waiting(runtime, flow, Headline(text="one"))
        await run.answer("desk", Reject(code="no", by="anna"))
        with pytest.raises(RunFailed):
            await run.result()
        name_people(database)
        with pytest.raises(NotAllowed, match="'anna' is reviewer here and may not operate: that takes operator"):
            await runtime.retry(flow, run.id, by="anna")
        again = await runtime.retry(flow, run.id, by="olga")
        await again.wait_settled()
        assert [request.task for request in again.pending] == ["desk"]
