"""The page of a tuning: what `coterie tune --html FILE` writes. Pictures are drawn where matplotlib is installed."""

from collections.abc import Mapping, Sequence

import numpy as np

from ..tuning.classification import reliability
from ..tuning.errors import ExtraMissing
from ..tuning.evaluation import evaluate
from ..tuning.extras import extra
from ..tuning.learning import Learned
from ..tuning.outcomes import ACCURACY, MINUS_BRIER, MINUS_ECE, Measure, Outcome
from ..tuning.report import Report, page
from ..tuning.splits import compared_text
from .tuning_card import TuningCard
from .tuning_subject import Subject


def tuning_page(learned: Learned, card: TuningCard, subject: Subject) -> str:
    """The verdict and what it rests on, as HTML that needs no network."""
    systems = {"live": learned.live_outcomes, "candidate": learned.candidate_outcomes}
    sure = all(one.confidence is not None and one.correct is not None for some in systems.values() for one in some)
    measures: Sequence[Measure] = (ACCURACY, MINUS_ECE, MINUS_BRIER) if sure else (subject.learner.measure,)
    data, taken = card.data, card.estimate
    counted = {
        **{f"rows to {part}": f"{count:,}" for part, count in data.parts.items()},
        "duplicates": f"{data.duplicates:,}",
        "contradicting labels": f"{data.contradicting:,}",
        "rows left out": f"{data.bad:,}",
        "data": data.digest,
        "seconds": f"{learned.seconds:.1f}" + ("" if taken.seconds is None else f" (expected {taken.seconds:.0f})"),
    }
    return page(
        Report(
            role=learned.role,
            verdict=learned.verdict,
            figures=evaluate(systems, measures),
            releases={"live": learned.live or "untuned", "candidate": learned.release.digest},
            card=counted,
            recipe={name: str(value) for name, value in card.recipe.model_dump(mode="json").items()},
            texts={row.id: compared_text(row) for row in subject.dataset.rows if row.split == "gate"},
            pictures=_pictures(systems) if sure else {},
        )
    )


def _pictures(systems: Mapping[str, Sequence[Outcome]]) -> dict[str, bytes]:
    bins = {
        name: reliability(
            np.array([one.confidence for one in outcomes], np.float64), np.array([one.correct for one in outcomes])
        )
        for name, outcomes in systems.items()
    }
    try:
        plots = extra("tuning.plots", "matplotlib", "plots")
    except ExtraMissing:
        return {}
    return {"How often answers of a confidence are right": plots.reliability(bins)}
