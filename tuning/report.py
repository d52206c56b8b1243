"""What was measured of a candidate beside live, as one HTML page that needs no network and no script.

The verdict and what it rests on, each measure before and after with its interval, over all rows and every slice, rows
that flipped, and the data that it was learned from. All text is escaped. This file computes nothing.
"""

import base64
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from .comparison import Comparison
from .evaluation import Figure
from .report_style import STYLE
from .verdict import Check, Flip, Verdict

FLIPS = 20  # rows that are shown, the worst and the best
CUT = 400  # characters of a text
_SIGNS = {"holds": "✓", "fails": "✗", "unclear": "?"}
_WIDTH, _HEIGHT = 180, 14  # pixels of an interval's picture


@dataclass(frozen=True, slots=True)
class Report:
    """What a page shows; what is empty is left out."""

    role: str
    verdict: Verdict
    figures: Sequence[Figure]  # of `evaluate`: first system "live", second the candidate
    releases: Mapping[str, str] = field(default_factory=dict)  # name of a system -> digest
    card: Mapping[str, str] = field(default_factory=dict)  # of the data: what is counted -> the number, for a person
    recipe: Mapping[str, str] = field(default_factory=dict)  # setting -> value
    texts: Mapping[str, str] = field(default_factory=dict)  # row id -> its text, for rows that flipped
    pictures: Mapping[str, bytes] = field(default_factory=dict)  # caption -> PNG


def page(report: Report) -> str:
    """The report as HTML."""
    title = f"{_text(report.role)}: {_text(report.verdict.headline)}"
    digests = ", ".join(f"{_text(name)} {_text(digest[:12])}" for name, digest in report.releases.items())
    parts = [
        f"<h1>{_text(report.role)}</h1>",
        f"<p class=dim>{digests}</p>" if digests else "",
        _verdict(report.verdict),
        _figures(report.figures),
        _slices(report.verdict.slices),
        _pictures(report.pictures),
        _flips(report.verdict.flips, report.texts),
        _pairs("Data", report.card),
        _pairs("Recipe", report.recipe),
    ]
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


def _verdict(verdict: Verdict) -> str:
    kind = {"promote": "promote", "keep live": "keep", "not enough evidence": "open"}[verdict.decision]
    counted = "" if verdict.use is None else f"; use {verdict.use.count:.3g} of these rows"
    checks = "".join(_check(check) for check in verdict.checks)
    return (
        f'<div class="verdict {kind}"><b>{_text(verdict.headline)}</b><p class=dim>tested at level {verdict.level:.4g}'
        f"{counted}</p></div><h2>Checks</h2><div class=scroll><table>{checks}</table></div>"
    )


def _check(check: Check) -> str:
    said = f"{_SIGNS[check.state]} {check.state}"
    cells = f"<td>{_text(check.name)}</td><td class={check.state}>{said}</td><td class=text>{_text(check.found)}</td>"
    return f"<tr>{cells}</tr>"


def _figures(figures: Sequence[Figure]) -> str:
    """A row for each measure and slice, the systems next to each other."""
    if not figures:
        return ""
    groups: dict[tuple[str, str], list[Figure]] = {}
    for figure in figures:
        groups.setdefault((figure.measure, figure.slice), []).append(figure)
    systems = list(dict.fromkeys(figure.system for figure in figures))
    head = "".join(f"<th>{_text(name)}</th>" for name in systems)
    rows = "".join(_figure_row(name, group, systems) for name, group in groups.items())
    confidence = figures[0].interval.confidence
    return (
        f"<h2>Before and after</h2><p class=dim>with intervals of {confidence:.0%}</p><div class=scroll><table>"
        f"<tr><th>measure</th><th>slice</th><th>rows</th>{head}<th></th></tr>{rows}</table></div>"
    )


def _figure_row(name: tuple[str, str], group: Sequence[Figure], systems: Sequence[str]) -> str:
    found = {figure.system: figure for figure in group}
    cells = "".join(
        f"<td class=number>{_text(str(found[system].interval)) if system in found else ''}</td>" for system in systems
    )
    measure, part = name
    return (
        f"<tr><td>{_text(measure)}</td><td class=text>{_text(part or 'all rows')}</td>"
        f"<td class=number>{group[0].rows:,}</td>{cells}<td>{_whiskers(group)}</td></tr>"
    )


def _whiskers(group: Sequence[Figure]) -> str:
    """Each system's value as a dot on its interval, all on one scale."""
    low = min(figure.interval.low for figure in group)
    scale = (_WIDTH - 12) / ((max(figure.interval.high for figure in group) - low) or 1.0)
    lines = []
    for number, figure in enumerate(group):
        left, dot, right = (
            6 + (value - low) * scale for value in (figure.interval.low, figure.interval.value, figure.interval.high)
        )
        y = 7 + number * _HEIGHT
        kind = "live" if number == 0 else "candidate"
        lines.append(
            f'<g class={kind}><line x1="{left:.1f}" y1="{y}" x2="{right:.1f}" y2="{y}"/>'
            f'<circle cx="{dot:.1f}" cy="{y}" r="3.5"/></g>'
        )
    height = _HEIGHT * len(group)
    return f'<svg width="{_WIDTH}" height="{height}" role="img" aria-label="intervals">{"".join(lines)}</svg>'


def _slices(slices: Sequence[tuple[str, Comparison]]) -> str:
    if not slices:
        return ""
    rows = "".join(
        f"<tr><td class=text>{_text(name)}</td><td class=number>{found.rows:,}</td>"
        f"<td class=number>{found.live:.4f}</td><td class=number>{found.candidate:.4f}</td>"
        f"<td class=number>{found.difference:+.4f} [{found.low:+.4f}, {found.high:+.4f}]</td></tr>"
        for name, found in slices
    )
    return (
        f"<h2>Slices</h2><p class=dim>the change, with the interval that the gate tests by</p><div class=scroll><table>"
        f"<tr><th>slice</th><th>rows</th><th>live</th><th>candidate</th><th>change</th></tr>{rows}</table></div>"
    )


def _flips(flips: Sequence[Flip], texts: Mapping[str, str]) -> str:
    if not flips:
        return ""
    worse, better = [flip for flip in flips if flip.change < 0], [flip for flip in flips if flip.change > 0]
    shown = [*worse[:FLIPS], *reversed(better[-FLIPS:])]
    rows = "".join(
        f"<tr><td class=text>{_text(flip.row_id)}</td><td class=text>{_text(texts.get(flip.row_id, ''))}</td>"
        f"<td class=text>{_text(flip.live)}</td><td class=text>{_text(flip.candidate)}</td>"
        f'<td class="number {"fails" if flip.change < 0 else "holds"}">{flip.change:+.4g}</td></tr>'
        for flip in shown
    )
    return (
        f"<h2>Rows that flipped</h2><p class=dim>{len(worse):,} got worse and {len(better):,} better; "
        f"{len(shown):,} are shown</p><div class=scroll><table><tr><th>row</th><th>text</th><th>live</th>"
        f"<th>candidate</th><th>change</th></tr>{rows}</table></div>"
    )


def _pictures(pictures: Mapping[str, bytes]) -> str:
    drawn = "".join(
        f'<figure><img alt="{_text(caption)}" src="data:image/png;base64,{base64.b64encode(content).decode()}">'
        f"<figcaption>{_text(caption)}</figcaption></figure>"
        for caption, content in pictures.items()
    )
    return f"<h2>Pictures</h2>{drawn}" if drawn else ""


def _pairs(heading: str, pairs: Mapping[str, str]) -> str:
    rows = "".join(
        f"<tr><td>{_text(name)}</td><td class=text>{_text(value)}</td></tr>" for name, value in pairs.items()
    )
    return f"<h2>{heading}</h2><div class=scroll><table>{rows}</table></div>" if rows else ""


def _text(text: str) -> str:
    """`text` for the page: escaped, hidden characters made visible, cut to `CUT` characters with a note."""
    note = f" … ({len(text):,} characters in all)" if len(text) > CUT else ""
    return escape("".join(_visible(text[:CUT]))) + note


def _visible(text: str) -> Iterator[str]:
    for character in text:
        hidden = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn") and character != "\n"
        yield f"⟨{ord(character):X}⟩" if hidden else character
