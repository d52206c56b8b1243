"""The gate: what it promotes, what it keeps, what it refuses, and how often it errs."""

from dataclasses import replace

import numpy as np
import pytest

from coterie.tuning.errors import GateRefused
from coterie.tuning.gate import gate, judge
from coterie.tuning.outcomes import ACCURACY, COSINE, Outcome, mean_score
from coterie.tuning.spending import uses
from coterie.tuning.verdict import Check, Cost, Policy, Side, Verdict
from tests.tuning.simulated import CANDIDATE, LIVE, answering, scoring, sides


def check(verdict: Verdict, name: str) -> Check:
    """The check called `name`."""
    return next(one for one in verdict.checks if one.name == name)


def test_a_clear_gain_is_promoted() -> None:
    """And the verdict says what changed, how sure that is, and which rows flipped, the worst first."""
    live, candidate = sides([True] * 60 + [False] * 40, [True] * 59 + [False] + [True] * 30 + [False] * 10)
    verdict = judge(live, candidate, ACCURACY)
    assert verdict.decision == verdict.headline == "promote"
    assert verdict.comparison.difference == pytest.approx(0.29)
    assert str(verdict).startswith("promote: accuracy 0.6000 -> 0.8900, a change of +0.2900 [")
    assert [flip.change for flip in verdict.flips] == [-1.0] + [1.0] * 30
    assert verdict.flips[0].row_id == "row 59"


def test_a_loss_keeps_live_and_a_draw_is_not_enough() -> None:
    """A draw on few rows leaves open whether there is a gain, and says how many more reviews would tell."""
    worse = judge(*sides([True] * 90 + [False] * 10, [True] * 60 + [False] * 40), ACCURACY)
    assert worse.decision == "keep live"
    assert "which rules out the least gain of 0.005" in str(worse)
    draw = judge(*sides([True, False] * 25, [False, True] + [True, False] * 24), ACCURACY)
    assert draw.decision == "not enough evidence"
    assert draw.more_reviews is not None
    assert str(draw).endswith(f"; by the gain that was seen, about {50 + draw.more_reviews:,} rows would settle it")
    assert draw.headline == f"not enough evidence, about {draw.more_reviews:,} more reviews"


def test_a_gain_that_is_sure_but_tiny_keeps_live() -> None:
    """A release has its price, so `delta` must be reached."""
    live, candidate = sides([False] * 40 + [True] * 3_960, [True] * 12 + [False] * 28 + [True] * 3_960)
    assert judge(live, candidate, ACCURACY, Policy(delta=0.001)).decision == "promote"
    assert "less than the least gain of 0.005" in str(judge(live, candidate, ACCURACY))


def test_the_live_release_and_its_twin_are_refused() -> None:
    """The same digest, or the same outcome on every row, means that nothing was trained."""
    live, candidate = sides([True, False] * 30, [True, False] * 30)
    with pytest.raises(GateRefused, match=r"the candidate does the same as live on all 60 rows; was anything trained"):
        judge(live, candidate, ACCURACY)
    with pytest.raises(GateRefused, match="the candidate aaaaaaaaaaaa is the live release itself"):
        judge(live, Side(LIVE, candidate.outcomes), ACCURACY)


def test_rows_that_do_not_pair_are_refused_by_name() -> None:
    """Missing, repeated, of another thread, not finite, or without what the measure needs."""
    live, candidate = sides([True, False] * 30, [False, True] * 30)
    first = candidate.outcomes[0]
    wrong = {
        "the candidate has no outcome of row 'row 0' and 0 others": candidate.outcomes[1:],
        "row 'row 0' comes twice in what the candidate did": [first, *candidate.outcomes],
        "row 'row 0' has another thread": [replace(first, thread="x"), *candidate.outcomes[1:]],
        "row 'row 0' has no accuracy": [replace(first, correct=None), *candidate.outcomes[1:]],
        "row 'row 0' has confidence nan": [replace(first, confidence=float("nan")), *candidate.outcomes[1:]],
    }
    for message, outcomes in wrong.items():
        with pytest.raises(GateRefused, match=message):
            judge(live, Side(CANDIDATE, outcomes), ACCURACY)
    with pytest.raises(GateRefused, match="nDCG of row 'row 0' is no finite number: its score is nan"):
        judge(live, Side(CANDIDATE, [replace(first, score=float("nan")), *candidate.outcomes[1:]]), mean_score("nDCG"))
    with pytest.raises(GateRefused, match="there are no held-out rows"):
        judge(Side(LIVE, []), Side(CANDIDATE, []), ACCURACY)


def test_a_protected_slice_that_gets_worse_keeps_live() -> None:
    """However much the whole gains; and one that is too small to tell is not enough evidence."""
    live, candidate = sides([True] * 60 + [False] * 240, [False] * 20 + [True] * 280)

    def sliced(side: Side, name: str, rows: range) -> Side:
        return replace(
            side,
            outcomes=[
                replace(one, slices=frozenset({name})) if number in rows else one
                for number, one in enumerate(side.outcomes)
            ],
        )

    def judged(rows: range, protected: tuple[str, ...] = ("rare",)) -> Verdict:
        policy = Policy(protected=protected)
        return judge(sliced(live, "rare", rows), sliced(candidate, "rare", rows), ACCURACY, policy)

    assert judged(range(60)).decision == "keep live"
    assert "slice 'rare': accuracy 1.0000 -> 0.6667" in str(judged(range(60)))
    assert judged(range(60), protected=()).decision == "promote"
    assert judged(range(60, 300)).decision == "promote"
    few = judged(range(20, 30))
    assert few.decision == "not enough evidence"
    assert few.more_reviews is not None
    assert few.more_reviews > 300  # a slice of one row in thirty grows slowly
    with pytest.raises(GateRefused, match="no row is in the protected slice 'rear'; the rows' slices are: rare"):
        judged(range(60), protected=("rear",))


def test_confidence_that_is_worse_calibrated_keeps_live() -> None:
    """A gain in accuracy does not pay for probabilities that lie."""
    live, candidate = answering(np.random.default_rng(0), 400, fixed=0.15, broken=0.01)
    honest = Side(LIVE, [replace(one, confidence=0.8) for one in live.outcomes])
    sure = Side(CANDIDATE, [replace(one, confidence=1.0) for one in candidate.outcomes])
    modest = Side(CANDIDATE, [replace(one, confidence=0.85) for one in candidate.outcomes])
    assert judge(honest, modest, ACCURACY).decision == "promote"
    lying = judge(honest, sure, ACCURACY)
    assert lying.decision == "keep live"
    assert check(lying, "gain").state == "holds"
    assert check(lying, "ECE").state == "fails"


def test_a_candidate_that_is_too_slow_or_too_large_keeps_live() -> None:
    """Each is named with what is allowed."""
    live, candidate = answering(np.random.default_rng(0), 400, fixed=0.15, broken=0.01)
    live = replace(live, cost=Cost(0.010, 100_000_000))
    assert judge(live, replace(candidate, cost=Cost(0.014, 140_000_000)), ACCURACY).decision == "promote"
    slow = judge(live, replace(candidate, cost=Cost(0.016, 100_000_000)), ACCURACY)
    assert str(slow) == "keep live: 16 ms a row against 10; at most 1.5 times are allowed"
    large = judge(live, replace(candidate, cost=Cost(0.010, 400_000_000)), ACCURACY)
    assert str(large) == "keep live: 400 MB against 100; at most 1.5 times are allowed"


def test_the_gate_fits_every_role() -> None:
    """A retriever's nDCG a query, a number's cosine, and a dialogue's loss a token, where long rows count more."""
    chance = np.random.default_rng(4)
    assert judge(*scoring(chance, 400, gain=0.1), mean_score("nDCG@10")).decision == "promote"
    truth = chance.normal(size=300)

    def numbers(digest: str, noise: float) -> Side:
        said = truth + chance.normal(0, noise, 300)
        return Side(
            digest,
            [
                Outcome(str(row), str(row), float(one), target=float(two))
                for row, (one, two) in enumerate(zip(said, truth, strict=True))
            ],
        )

    found = judge(numbers(LIVE, 1.0), numbers(CANDIDATE, 0.5), COSINE)
    assert found.decision == "promote"
    assert found.comparison.live == pytest.approx(1 / 2**0.5, abs=0.05)

    def tokens(digest: str, losses: list[float]) -> Side:
        return Side(
            digest, [Outcome(str(row), str(row), -loss, units=1 + 99 * (row % 2)) for row, loss in enumerate(losses)]
        )

    loss = judge(tokens(LIVE, [2.0, 2.0] * 50), tokens(CANDIDATE, [3.0, 1.9] * 50), mean_score("minus loss a token"))
    assert loss.decision == "promote"  # though half of the rows got worse by ten times as much: they are one token long
    assert loss.comparison.difference == pytest.approx((100 * 0.1 - 1.0) / 101)


def test_few_threads_are_not_enough_for_a_bootstrap() -> None:
    """Ten threads that all gain would look certain, so it asks for fifty."""
    verdict = judge(*scoring(np.random.default_rng(0), 40, gain=0.5, thread_rows=4), mean_score("nDCG@10"))
    assert verdict.decision == "not enough evidence"
    assert verdict.more_reviews == 160


def test_a_policy_that_is_no_policy_is_refused() -> None:
    """Shares are shares."""
    with pytest.raises(ValueError, match=r"alpha is 5; expected a share above 0 and below 1"):
        Policy(alpha=5)


def test_reviews_are_counted_by_the_share_that_reaches_the_gate() -> None:
    """Where one review in five becomes a row of the gate, five times as many are needed."""
    sides_of = answering(np.random.default_rng(6), 60, fixed=0.1, broken=0.06)
    every, fifth = (judge(*sides_of, ACCURACY, Policy(gate_share=share), expected=0.1) for share in (1.0, 0.2))
    assert every.more_reviews is not None
    assert fifth.more_reviews == 5 * every.more_reviews
    assert "by the expected gain of 0.1, about" in str(every)


def test_each_use_of_the_same_rows_is_paid_for() -> None:
    """The second candidate on the same rows must be surer; the same comparison again costs nothing."""
    chance = np.random.default_rng(5)
    first, second = (answering(chance, 200, fixed=0.15, broken=0.05) for _ in range(2))
    one = gate("finance/paid", *first, ACCURACY, dataset="d")
    two = gate("finance/paid", *second, ACCURACY, dataset="d")
    assert two.level == pytest.approx(one.level / 4)
    again = (replace(side, outcomes=side.outcomes[::-1]) for side in first)  # in whatever order
    assert gate("finance/paid", *again, ACCURACY, dataset="d").use == one.use
    assert [use.count for use in uses("finance/paid")] == [1, 2]
    assert [use.candidate for use in uses("finance/paid")] == [CANDIDATE, CANDIDATE]
    assert judge(*first, ACCURACY).level == one.level


def test_what_is_refused_is_not_paid_for() -> None:
    """Nothing was learned from the rows."""
    live, candidate = sides([True, False] * 30, [True, False] * 30)
    with pytest.raises(GateRefused):
        gate("finance/unpaid", live, candidate, ACCURACY, dataset="d")
    assert uses("finance/unpaid") == ()
