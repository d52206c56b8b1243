"""A candidate against the live release, on the same held-out rows: promote, keep live, or not enough evidence yet.

    verdict = gate("finance/mood", Side(live.digest, before), Side(candidate.digest, after), ACCURACY, dataset=digest)
    print(verdict)       # promote: accuracy 0.8120 -> 0.8460, a change of +0.0340 …

It promotes only where all of these hold: the gain is significant and at least `delta`; no protected slice is worse by
more than a margin; confidence is no worse calibrated; and it is neither slower nor larger than allowed. As all must
hold, an equal candidate is promoted no more often than the first test errs, and that pays for every use of the rows
(spending.py). Where something fails live is kept; where it is only unclear, the verdict says how many more reviews
would settle it.

This file knows nothing of models, of files or of who is asked.
"""

import hashlib
from collections.abc import Sequence

from .checks import Levels, calibration_check, cost_checks, gain_check, slice_check
from .comparison import Comparison, Pairs, compare
from .errors import GateRefused
from .outcomes import MINUS_BRIER, MINUS_ECE, Measure, paired
from .spending import Use, level, next_level, spend
from .verdict import Check, Cost, Decision, Flip, Policy, Side, Verdict

_USUAL = Policy()


def gate(
    role: str,
    live: Side,
    candidate: Side,
    measure: Measure,
    policy: Policy = _USUAL,
    *,
    dataset: str,
    expected: float | None = None,
) -> Verdict:
    """Judges a candidate of `role` and writes down, before it looks, that the rows were used. Blocks.

    Args:
        role: the role's name.
        live: what the live release did on the gate's rows.
        candidate: what the candidate did on the same rows.
        measure: what is to get better.
        policy: what the candidate must show.
        dataset: digest of the data set that the rows are of.
        expected: the gain that validation rows showed, by which to count how many more reviews are needed.

    Raises:
        GateRefused: the candidate is the live one, the two do not pair, or a row lacks what the measure needs.
        LedgerDamaged: nobody knows how often the rows were used.
        StorageError: COTERIE_HOME cannot be written.
    """
    pairs = _admitted(live, candidate, measure, policy)
    use = spend(
        role,
        [one.row_id for one, _ in pairs],
        live=live.digest,
        candidate=candidate.digest,
        dataset=dataset,
        comparison=_digest(pairs, measure),
        alpha=policy.alpha,
    )
    return _judged(pairs, (live.cost, candidate.cost), measure, policy, use, expected)


def judge(
    live: Side,
    candidate: Side,
    measure: Measure,
    policy: Policy = _USUAL,
    *,
    expected: float | None = None,
) -> Verdict:
    """The same as `gate` on rows that were never used, and nothing is written down.

    Raises:
        GateRefused: the candidate is the live one, the two do not pair, or a row lacks what the measure needs.
    """
    pairs = _admitted(live, candidate, measure, policy)
    return _judged(pairs, (live.cost, candidate.cost), measure, policy, None, expected)


def _levels(use: Use | None, alpha: float) -> Levels:
    if use is None:
        return Levels(level(alpha, 1), lambda rows: level(alpha, 1))
    return Levels(use.level, lambda rows: next_level(use, rows))


def _admitted(live: Side, candidate: Side, measure: Measure, policy: Policy) -> Pairs:
    if candidate.digest and candidate.digest == live.digest:
        raise GateRefused(
            f"the candidate {candidate.digest[:12]} is the live release itself; there is nothing to judge"
        )
    pairs = paired(live.outcomes, candidate.outcomes)
    measure.sums([side for pair in pairs for side in pair])  # refuses a row that lacks something, before it is paid for
    if all(one == two for one, two in pairs):
        raise GateRefused(
            f"the candidate does the same as live on all {len(pairs):,} rows; "
            f"was anything trained, and are its weights the ones that answered?"
        )
    known = {name for one, _ in pairs for name in one.slices}
    missing = [name for name in policy.protected if name not in known]
    if missing:
        have = ", ".join(sorted(known)) or "none"
        raise GateRefused(f"no row is in the protected slice {missing[0]!r}; the rows' slices are: {have}")
    return pairs


def _digest(pairs: Pairs, measure: Measure) -> str:
    told = [
        (side.row_id, side.thread, side.score, side.units, side.target, side.correct, side.confidence)
        for pair in sorted(pairs, key=lambda pair: pair[0].row_id)
        for side in pair
    ]
    return hashlib.sha256(repr((measure.name, told)).encode()).hexdigest()


def _judged(
    pairs: Pairs,
    costs: tuple[Cost | None, Cost | None],
    measure: Measure,
    policy: Policy,
    use: Use | None,
    expected: float | None,
) -> Verdict:
    levels = _levels(use, policy.alpha)

    def against(some: Pairs, by: Measure) -> Comparison:
        return compare(some, by, level=levels.now, resamples=policy.resamples, seed=policy.seed)

    names = sorted({name for one, _ in pairs for name in one.slices})
    slices = tuple((name, against([pair for pair in pairs if name in pair[0].slices], measure)) for name in names)
    whole = against(pairs, measure)
    calibrated = all(side.confidence is not None and side.correct is not None for pair in pairs for side in pair)
    calibration = tuple(against(pairs, by) for by in (MINUS_ECE, MINUS_BRIER)) if calibrated else ()
    checks = (
        gain_check(whole, policy, levels, expected),
        *(slice_check(name, found, whole.rows, policy, levels) for name, found in slices if name in policy.protected),
        *(calibration_check(found, policy) for found in calibration),
        *cost_checks(costs, policy),
    )
    decision = _decision(checks)
    return Verdict(
        decision=decision,
        checks=checks,
        comparison=whole,
        slices=slices,
        calibration=calibration,
        flips=_flips(pairs, measure),
        level=levels.now,
        more_reviews=_more(checks, whole.rows, policy) if decision == "not enough evidence" else None,
        use=use,
    )


def _decision(checks: Sequence[Check]) -> Decision:
    states = {check.state for check in checks}
    return "keep live" if "fails" in states else "not enough evidence" if "unclear" in states else "promote"


def _more(checks: Sequence[Check], rows: int, policy: Policy) -> int | None:
    needed = [check.rows for check in checks if check.state == "unclear"]
    if any(one is None for one in needed):
        return None
    return max(1, round((max(one or 0 for one in needed) - rows) / policy.gate_share))


def _flips(pairs: Pairs, measure: Measure) -> tuple[Flip, ...]:
    """Rows that changed, the worst first."""
    changes = ((measure.quality(two) - measure.quality(one), one, two) for one, two in pairs)
    flips = [Flip(one.row_id, one.thread, change, one.answer, two.answer) for change, one, two in changes if change]
    return tuple(sorted(flips, key=lambda flip: flip.change))
