"""The report as a page: complete, escaped, and in need of nothing else."""

import re
from html.parser import HTMLParser

import numpy as np

from coterie.tuning.evaluation import evaluate
from coterie.tuning.gate import gate, judge
from coterie.tuning.outcomes import ACCURACY, Outcome
from coterie.tuning.report import Report, page
from coterie.tuning.verdict import Policy, Side, Verdict

HOSTILE = '<script>alert("1")</script>\u202e & "quotes"'
VOID = {"meta", "img", "line", "circle", "link", "br"}


class Reader(HTMLParser):
    """Which elements a page has, whether they are closed in order, and what its text is."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.said = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said += data


def read(html: str) -> Reader:
    """The page, as a browser would see it."""
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    return reader


def outcomes(rights: np.ndarray, answer: str = "up") -> list[Outcome]:
    """One for each, every third in a slice of its own."""
    return [
        Outcome.answered(
            f"row {row}",
            str(row),
            correct=bool(right),
            confidence=0.8,
            answer=answer,
            slices=frozenset({HOSTILE}) if row % 3 == 0 else frozenset(),
        )
        for row, right in enumerate(rights)
    ]


def example() -> tuple[Verdict, list[Outcome], list[Outcome]]:
    """A candidate that turns one row in five right and one in fifty wrong."""
    drawn = np.random.default_rng(0).random(200)
    before, after = outcomes(drawn < 0.6), outcomes((drawn < 0.8) & (drawn > 0.02), HOSTILE)
    policy = Policy(protected=(HOSTILE,), resamples=200)
    return (
        gate("report/mood", Side("a" * 64, before), Side("b" * 64, after), ACCURACY, policy, dataset="d"),
        before,
        after,
    )


def test_a_report_says_what_was_found() -> None:
    """The verdict, the checks, before and after, slices, flips, the data and the recipe."""
    verdict, before, after = example()
    figures = evaluate({"live": before, "candidate": after}, (ACCURACY,), resamples=200)
    html = page(
        Report(
            "finance/mood",
            verdict,
            figures,
            releases={"live": "a" * 64, "candidate": "b" * 64},
            card={"rows": "1,234"},
            recipe={"method": "top"},
            texts={verdict.flips[0].row_id: "Profit fell."},
            pictures={"Confusion": b"\x89PNG"},
        )
    )
    said = read(html).said
    parts = [verdict.headline, str(figures[0].interval), "use 1 of these rows", "Profit fell.", "Confusion", "a" * 12]
    for part in (
        *parts,
        "rows1,234",
        "methodtop",
        f"got worse and {sum(one.change > 0 for one in verdict.flips)} better",
    ):
        assert part in said
    assert "<svg" in html
    assert "data:image/png;base64,iVBORw==" in html


def test_no_text_becomes_markup() -> None:
    """Whatever a row, a label, a slice or a role is called; characters that hide others are shown."""
    verdict, before, after = example()
    figures = evaluate({HOSTILE: before, "candidate": after}, (ACCURACY,), resamples=200)
    hostile = {HOSTILE: HOSTILE}
    html = page(
        Report(HOSTILE, verdict, figures, hostile, hostile, hostile, {verdict.flips[0].row_id: HOSTILE}, {HOSTILE: b""})
    )
    reader = read(html)
    assert "script" not in reader.tags
    assert "\u202e" not in html
    assert "⟨202E⟩" in reader.said


def test_a_report_needs_no_network() -> None:
    """Every address in it is data."""
    verdict, before, _ = example()
    html = page(Report("a", verdict, evaluate({"live": before}, (ACCURACY,)), pictures={"Reliability": b"x"}))
    assert all(address.startswith("data:image/png;base64,") for address in read(html).addresses)
    assert not re.search(r"https?://|@import|url\(", html)


def test_what_is_not_known_is_left_out() -> None:
    """No headings over nothing; and of many flips the worst and the best are shown."""
    drawn = np.random.default_rng(1).random(400)
    before = [Outcome.answered(str(row), str(row), correct=bool(one < 0.4)) for row, one in enumerate(drawn)]
    after = [Outcome.answered(str(row), str(row), correct=bool(one > 0.3)) for row, one in enumerate(drawn)]
    verdict = judge(Side("", before), Side("b" * 64, after), ACCURACY)
    said = read(page(Report("a", verdict, ()))).said
    for heading in ("Before and after", "Slices", "Pictures", "Data", "Recipe"):
        assert heading not in said
    assert "40 are shown" in said
