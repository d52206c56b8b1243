"""Confusion and reliability as pictures. Needs matplotlib; reached through `load`, so that nothing else does.

Draws with a figure of its own and no global state, so it needs no screen and leaves no setting behind. Letters in shape
comments: K labels.
"""

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from .classification import ReliabilityBin

if TYPE_CHECKING:
    from numpy.typing import NDArray

DOTS = 100  # to the inch
NAMED = 40  # labels; with more, a confusion names none
WRITTEN = 15  # labels; with more, its counts are not written
CUT = 18  # characters of a label
COLOURS, MARKERS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7"), ("o", "s", "^", "D")
"""Told apart without red and green, too: Okabe and Ito 2008, "Color universal design"."""


def confusion(counts: "NDArray[np.int64]", labels: Sequence[str], title: str = "") -> bytes:
    """The confusion of K labels as PNG: a row for each true label, shaded by the share that was answered so.

    Args:
        counts: (K, K), rows true, columns answered.
        labels: K names.
        title: above it.

    Raises:
        ValueError: the counts are not (K, K).
    """
    if counts.shape != (len(labels), len(labels)) or not labels:
        raise ValueError(f"a confusion of shape {counts.shape} has no place for {len(labels)} labels")
    side = min(max(4.0, 1.8 + 0.42 * len(labels)), 12.0)  # inches
    figure = Figure(figsize=(side + 0.6, side), dpi=DOTS, layout="constrained")
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)  # (K, K)
    shown = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(shown, ax=axes, shrink=0.8, label="share of the true label")
    if len(labels) <= WRITTEN:
        _write(axes, counts, shares)
    names = [_name(label) for label in labels] if len(labels) <= NAMED else []
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_xlabel("answered")
    axes.set_ylabel("true")
    axes.set_title(title)
    return _png(figure)


def reliability(systems: Mapping[str, Sequence[ReliabilityBin]], title: str = "") -> bytes:
    """How often answers of a confidence are right, as PNG; a calibrated system lies on the diagonal.

    A point's area grows with its rows. At most four systems are told apart.

    Raises:
        ValueError: there are no systems, or more than four.
    """
    if not 1 <= len(systems) <= len(COLOURS):
        raise ValueError(f"cannot draw {len(systems)} systems in one picture; expected 1 to {len(COLOURS)}")
    figure = Figure(figsize=(5.2, 5.0), dpi=DOTS, layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="#999999", linestyle="--", linewidth=1)
    most = max((one.rows for bins in systems.values() for one in bins), default=1)
    for (name, bins), colour, marker in zip(systems.items(), COLOURS, MARKERS, strict=False):
        places = [one.confidence for one in bins], [one.accuracy for one in bins]
        axes.plot(*places, color=colour, linewidth=1, alpha=0.6)
        areas = [20 + 120 * one.rows / most for one in bins]
        axes.scatter(*places, s=areas, color=colour, marker=marker, alpha=0.8, label=_name(name))
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel("confidence")
    axes.set_ylabel("share that is right")
    axes.set_title(title)
    axes.legend(frameon=False, markerscale=0.7)
    return _png(figure)


def _write(axes: Axes, counts: "NDArray[np.int64]", shares: "NDArray[np.float64]") -> None:
    for row, column in np.ndindex(counts.shape):
        colour = "white" if shares[row, column] > 0.6 else "black"
        axes.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", color=colour, fontsize=8)


def _name(text: str) -> str:
    shown = "".join(character if character.isprintable() else " " for character in text[: CUT + 1])
    return shown if len(shown) <= CUT else f"{shown[:CUT]}…"


def _png(figure: Figure) -> bytes:
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a label may hold dollar signs
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)  # a name in letters the font lacks
        figure.savefig(content, format="png")
    return content.getvalue()
