"""Text from models, corpora and users, made safe to show in a terminal."""

import unicodedata

REPLACEMENT = "\ufffd"
_BLANK = {"Zs", "Zl", "Zp"}  # spaces of every width, and separators that some terminals break lines at
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn"}  # control, format (bidi, zero width), surrogates, private, unassigned


def safe(text: str, most: int = 4_000) -> str:
    """`text` without control, bidi and zero-width characters, cut to `most` characters.

    Line breaks, tabs and spaces of other widths become spaces, so that the text stays where it was put. Markup is not
    escaped: wrap the result in `rich.text.Text`, which reads none.
    """
    shown = "".join(_shown(character) for character in text[: most + 1])
    return shown if len(text) <= most else f"{shown[:most]}…"


def _shown(character: str) -> str:
    category = unicodedata.category(character)
    if character in "\n\r\t" or category in _BLANK:
        return " "
    if category not in _HIDDEN:
        return character
    return "" if category == "Cf" else REPLACEMENT
