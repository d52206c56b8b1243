"""The tables that reviewers' work amounts to, and the laws that hold whatever was decided."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import to_json

from coterie.orchestration.review_items import Act, Decision
from coterie.orchestration.review_stats import node_of, quantile, review_stats
from coterie.orchestration.review_tables import Band, LabelChange, MarkStats, Rate, Spread, Tally

ACTS: tuple[Act, ...] = ("approve", "choose", "edit", "reject", "skip", "amend", "mark", "check", "undo", "refused")
NOON = 1_790_000_000.0 // 86_400 * 86_400 + 43_200  # of some day, UTC


@st.composite
def histories(draw: st.DrawFn) -> list[Decision]:
    """Decisions of three people about a few items, undos and refusals among them."""
    label = st.sampled_from(["up", "down", None])
    rows = []
    for seq in range(1, draw(st.integers(0, 25)) + 1):
        body = {
            "flow": draw(st.sampled_from(["desk", "claims"])),
            "role": draw(st.sampled_from(["desk/mood", None])),
            "seconds": draw(st.sampled_from([0.0, 0.5, 3.0, 400.0])),
            "asked": NOON - draw(st.integers(-10, 10_000)),
            "proposed": draw(label),
            "label": draw(label),
            "known": draw(label),
            "blind": draw(st.booleans()),
            "first": draw(label),
            "before": {"label": draw(label)},
            "after": {"label": draw(label)},
            "right": draw(st.booleans()),
        }
        by, act = draw(st.sampled_from(["ana", "bo", "cy"])), draw(st.sampled_from(ACTS))
        task = draw(st.sampled_from(["desk", "desk#2", "inner/desk"]))
        rows.append(Decision(seq, NOON + 3_000 * seq, by, act, "r1", task, body))
    return rows


def decided(seq: int, act: Act = "approve", *, by: str = "ana", task: str = "", **body: object) -> Decision:
    """A decision, of an item of its own where no task is named."""
    return Decision(seq, NOON + seq, by, act, "r1", task or f"desk#{seq}", body)


def added(some: Sequence[Tally]) -> Tally:
    names = ("approved", "chosen", "edited", "rejected", "skipped")
    return Tally(*(sum(getattr(one, name) for one in some) for name in names))


def test_nothing_decided_gives_empty_tables() -> None:
    """Each table is there, and each share says that there are no cases."""
    stats = review_stats([])
    assert stats.done == Tally(0, 0, 0, 0, 0)
    assert (stats.reviewers, stats.nodes, stats.fields, stats.marks, stats.days) == ((), (), (), (), ())
    assert stats.seconds == stats.waited == Spread(0, None, None)
    assert (stats.since, stats.until, {band.count for band in stats.bands}) == (None, None, {0})


@given(histories())
def test_counts_add_up(rows: list[Decision]) -> None:
    """What people did, what was done at nodes and what was done on days are the same acts."""
    stats = review_stats(rows)
    assert added([node.done for node in stats.nodes]) == added([day.done for day in stats.days]) == stats.done
    assert sum(row.decided for row in stats.reviewers) == stats.done.decided == stats.waited.count
    assert sum(row.skipped for row in stats.reviewers) == stats.done.skipped
    assert sum(band.count for band in stats.bands) == stats.seconds.count <= stats.done.decided
    acts = [row.act for row in rows]
    answered = sum(acts.count(act) for act in ("approve", "choose", "edit", "reject"))
    assert answered - stats.undone <= stats.done.decided + stats.refused <= answered
    assert all(sum(node.shares.values()) == pytest.approx(1) for node in stats.nodes)
    for rate in (rate for row in stats.reviewers for rate in (row.agreement, row.blind_agreement, row.caught)):
        assert 0 <= rate.hits <= rate.of
        assert rate.share == (rate.hits / rate.of if rate.of else None)


@given(histories(), st.data())
def test_the_order_in_which_decisions_are_read_does_not_matter(rows: list[Decision], data: st.DataObject) -> None:
    """They are numbered."""
    assert review_stats(data.draw(st.permutations(rows))) == review_stats(rows)


@given(histories(), st.data())
def test_an_undone_decision_counts_as_undone_only(rows: list[Decision], data: st.DataObject) -> None:
    """Nothing else changes by something that is done and taken back at once."""
    act = data.draw(st.sampled_from(["approve", "choose", "edit", "reject", "skip", "amend", "mark", "check"]))
    kept = {"flow": "desk", "seconds": 2.0, "proposed": "up", "label": "down", "asked": NOON}
    done = Decision(98, NOON, "ana", act, "r1", "desk", kept)
    undo = Decision(99, NOON, "ana", "undo", "r1", "desk", {})
    before, after = review_stats(rows), review_stats([*rows, done, undo])
    assert after.undone == before.undone + 1
    assert (after.done, after.nodes, after.fields, after.marks) == (
        before.done,
        before.nodes,
        before.fields,
        before.marks,
    )
    assert (after.days, after.bands, after.waited) == (before.days, before.bands, before.waited)
    assert after.amended == before.amended


@settings(max_examples=50)
@given(histories())
def test_filters_part_what_was_done(rows: list[Decision]) -> None:
    """By person and by flow, the parts are the whole; JSON has all of it."""
    whole = review_stats(rows)
    assert added([review_stats(rows, by=name).done for name in ("ana", "bo", "cy")]) == whole.done
    assert added([review_stats(rows, flow=name).done for name in ("desk", "claims")]) == whole.done
    assert review_stats(rows, since=NOON) == whole
    assert review_stats(rows, since=NOON + 1e6) == review_stats([])
    for row in whole.reviewers:
        assert row in review_stats(rows, by=row.by).reviewers
    assert to_json(whole)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 1))
def test_a_quantile_lies_between_the_least_and_the_greatest(values: list[float], share: float) -> None:
    """And grows with the share."""
    found = quantile(values, share)
    assert found is not None
    assert min(values) <= found <= max(values)
    assert quantile(values, 0.0) == min(values)
    assert quantile(values, 1.0) == max(values)


def test_quantiles_are_between_two_values_where_they_must_be() -> None:
    """The median of an even number is the middle of two."""
    assert quantile([4.0, 1.0, 2.0, 3.0], 0.5) == 2.5
    assert quantile([float(number) for number in range(11)], 0.9) == 9.0
    assert quantile([], 0.5) is None


def test_a_persons_row() -> None:
    """Speed, agreement with the model when it is seen and when it is not, agreement with others, what was caught."""
    rows = [
        decided(1, seconds=4.0, proposed="up", label="up", blind=True, first="down"),
        decided(2, seconds=6.0, proposed="up", label="up", blind=True, first="up"),
        decided(3, "choose", task="two", seconds=8.0, proposed="up", label="down"),
        decided(4, "skip", seconds=2.0),
        decided(5, "check", seconds=10.0, proposed="up", known="down", label="down"),
        decided(6, "check", seconds=10.0, proposed="up", known="up", label="down"),
        decided(7, "reject", by="bo", task="two", proposed="up"),
        decided(8, seconds=1.0),
        decided(9, "undo", task="desk#8"),
    ]
    ana, bo = review_stats(rows).reviewers
    assert (ana.by, ana.decided, ana.skipped, ana.undone) == ("ana", 3, 1, 1)
    assert ana.seconds == Spread(3, 6.0, pytest.approx(7.6))
    assert ana.per_hour == pytest.approx(3600 * 3 / 40)
    assert (ana.agreement, ana.blind_agreement) == (Rate(2, 3, 2 / 3), Rate(1, 2, 0.5))
    assert (ana.shared, ana.kappa) == (1, 0.0)
    assert (ana.caught, ana.checks) == (Rate(2, 2, 1.0), Rate(1, 2, 0.5))
    assert (bo.per_hour, bo.seconds, bo.kappa) == (None, Spread(0, None, None), 0.0)


def test_a_person_is_measured_by_what_others_said_outside_the_filter() -> None:
    """`by` chooses whose work is shown, not whom it is compared with."""
    rows = [decided(1, task="a", label="x"), decided(2, "reject", by="bo", task="a")]
    assert [row.shared for row in review_stats(rows, by="ana").reviewers] == [1]


def test_corrections_by_role_and_field() -> None:
    """Labels with before and after, texts only counted; a label chosen anew corrects the role that proposed it."""
    mood = {"role": "desk/mood"}
    rows = [
        decided(1, "amend", before={"label": "up", "why": "a"}, after={"label": "down", "why": "a"}, **mood),
        decided(2, "choose", proposed="up", label="down", field="label", **mood),
        decided(3, "choose", proposed="up", label="up", field="label", **mood),
        decided(4, "amend", before={"text": "long " * 20}, after={"text": "short"}, role="desk/writer"),
        decided(5, "amend", before={"fresh": True}, after={"fresh": False, "note": None}),
    ]
    found = {(one.role, one.field): (one.count, one.labels) for one in review_stats(rows).fields}
    assert found == {
        ("desk/mood", "label"): (2, (LabelChange("up", "down", 2),)),
        ("desk/writer", "text"): (1, ()),
        ("", "fresh"): (1, (LabelChange("true", "false", 1),)),
        ("", "note"): (1, ()),
    }
    assert review_stats(rows).fields[0].count == 2


def test_passages_that_were_marked() -> None:
    """Right and wrong ones, by the role that found them."""
    rows = [decided(seq, "mark", role="desk/search", right=seq == 1) for seq in (1, 2, 3)]
    assert review_stats(rows).marks == (MarkStats("desk/search", right=1, wrong=2),)


def test_times_from_asking_and_for_answering() -> None:
    """A band takes what is at most its limit; what was not timed is in none."""
    rows = [
        decided(seq, seconds=seconds, asked=NOON - 59 * seq) for seq, seconds in enumerate([1.0, 1.01, 999.0, 0], 1)
    ]
    stats = review_stats(rows)
    assert stats.waited == Spread(4, 150.0, pytest.approx(222.0))
    assert [band for band in stats.bands if band.count] == [Band(1.0, 1), Band(2.0, 1), Band(None, 1)]


def test_days_are_those_of_the_reader() -> None:
    """Noon here is the next day elsewhere."""
    day = datetime.fromtimestamp(NOON, UTC).date()
    rows = [decided(0)]
    assert [row.day for row in review_stats(rows, zone=UTC).days] == [day]
    assert [row.day for row in review_stats(rows, zone=timezone(timedelta(hours=13))).days] == [day + timedelta(days=1)]


def test_the_node_is_read_from_the_task_where_it_is_not_told() -> None:
    """Of visits, of items of a map and of flows inside flows only the node's name counts."""
    assert [node_of(task) for task in ("desk", "desk#2", "inner#3/desk", "desk[4]")] == ["desk"] * 4
    row = review_stats([decided(1, task="inner/desk#2", flow="finance", role="desk/mood")]).nodes[0]
    assert (row.flow, row.node, row.role, row.shares["approve"]) == ("finance", "desk", "desk/mood", 1.0)
