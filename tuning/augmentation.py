"""Changed copies of texts that mean the same: typos, case, numbers, names, punctuation, and an end cut off.

    for row, text in changed_copies(texts, amount=0.5, seed=0):   # half as many again
        ...                                                        # `text` has the label of row number `row`

Each augmenter is a pure function of a text and of chance; a text that offers nothing to change comes back as it is.
Which keep a label is for whoever knows the labels to say: numbers keep their order and signs, but a label that says how
large a number is would not survive them.

This file knows nothing of rows, labels or languages other than those written with spaces between words.
"""

import itertools
import math
import random
import re
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

Augmenter: TypeAlias = Callable[[str, random.Random], str]

NUMBER = re.compile(r"(?<![\w.,])\d+(?:,\d{3})*(?:\.\d+)?(?![\w])")
YEAR = re.compile(r"(19|20)\d\d")
NAME = re.compile(r"(?<=[a-z,;] )[A-Z][A-Za-z]+(?: [A-Z][A-Za-z]+)*")  # capitals within a sentence
LETTERS_PER_TYPO = 20
SPREAD = 0.25  # of the logarithm of the factor of numbers
CLOSING = (".", "!", "?", "")
KEPT = 0.7  # share of words that are left when an end is cut off, at the least
NEIGHBOURS = {  # on a keyboard
    "a": "qsz", "b": "vgn", "c": "xdv", "d": "sfe", "e": "wrd", "f": "dgr", "g": "fht", "h": "gjy", "i": "uok",
    "j": "hku", "k": "jli", "l": "kop", "m": "nj", "n": "bmh", "o": "ipl", "p": "ol", "q": "wa", "r": "etf", "s": "adw",
    "t": "ryg", "u": "yij", "v": "cbf", "w": "qes", "x": "zcs", "y": "tuh", "z": "xa",
}  # fmt: skip


def typos(text: str, chance: random.Random) -> str:
    """One slip of the keyboard in about every twenty letters: left out, doubled, or a neighbouring key.

    The first letter of a word stays, for readers and tokenizers lean on it. At least one slip where a word has room.
    """
    places = [place for place in range(1, len(text)) if text[place].isalpha() and text[place - 1].isalpha()]
    slips = min(len(places), max(1, len(text) // LETTERS_PER_TYPO))
    for place in sorted(chance.sample(places, slips), reverse=True):
        text = text[:place] + _slip(text[place], chance) + text[place + 1 :]
    return text


def case(text: str, chance: random.Random) -> str:
    """All small, all capital, or a small first letter: as people type."""
    return chance.choice((str.lower, str.upper, _small_first))(text)


def numbers(text: str, chance: random.Random) -> str:
    """Every number multiplied by one factor near 1; years, decimals and signs stay, and so does which is larger.

    Where rounding would make two numbers equal or swap them, the text stays as it is.
    """
    factor = math.exp(chance.uniform(-SPREAD, SPREAD))
    changed = {number: _multiplied(number, factor) for number in NUMBER.findall(text)}
    ordered = sorted(changed, key=_value)
    pairs = itertools.pairwise(ordered)
    if any((_value(a) < _value(b)) != (_value(changed[a]) < _value(changed[b])) for a, b in pairs):
        return text
    return NUMBER.sub(lambda found: changed[found[0]], text)


def punctuation(text: str, chance: random.Random) -> str:
    """Another sign at the end, or none, and now and then commas and apostrophes left out."""
    bare = text.rstrip(string.punctuation + " ")
    changed = bare + chance.choice(CLOSING)
    return re.sub(r"(?<!\d)[,'](?!\d)", "", changed) if chance.random() < 0.5 else changed


def truncation(text: str, chance: random.Random) -> str:
    """The last words cut off, up to three in ten."""
    words = list(re.finditer(r"\S+", text))
    fewest = max(1, math.ceil(KEPT * len(words)))
    return text[: words[chance.randint(fewest, len(words)) - 1].end()] if words else text


def entities(names: Sequence[str]) -> Augmenter:
    """An augmenter that puts another of `names` for each name in a text, the same for the same name.

    entities(names_in(texts))
    """

    def changed(text: str, chance: random.Random) -> str:
        found = sorted(set(NAME.findall(text)))
        chosen = {name: chance.choice(others) for name in found if (others := [one for one in names if one != name])}
        return NAME.sub(lambda match: chosen.get(match[0], match[0]), text)

    return changed


def names_in(texts: Sequence[str]) -> tuple[str, ...]:
    """What looks like a name in `texts`: words with capitals within a sentence, sorted, each once."""
    return tuple(sorted({name for text in texts for name in NAME.findall(text)}))


AUGMENTERS: Mapping[str, Augmenter] = {
    "typos": typos,
    "case": case,
    "numbers": numbers,
    "punctuation": punctuation,
    "truncation": truncation,
}
"""Those that need nothing but the text."""


def changed_copies(
    texts: Sequence[str], amount: float, seed: int, augmenters: Sequence[Augmenter] = tuple(AUGMENTERS.values())
) -> Iterator[tuple[int, str]]:
    """`amount` changed copies of each text, each by one augmenter: (place of the text, copy).

    Of a fraction, that share of texts gets one copy more. A copy that came out equal to its text is left out.
    The same seed gives the same copies.
    """
    for place, text in enumerate(texts):
        chance = random.Random(f"{seed}/{place}")  # noqa: S311 -- variety, not a secret
        copies = int(amount) + (chance.random() < amount % 1)
        for _ in range(copies):
            changed = chance.choice(augmenters)(text, chance)
            if changed != text:
                yield place, changed


def _slip(letter: str, chance: random.Random) -> str:
    """What stands for `letter`."""
    keys = NEIGHBOURS.get(letter.lower(), "")
    kinds = ["", letter * 2, *([chance.choice(keys)] if keys else [])]
    return chance.choice(kinds)


def _small_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _multiplied(number: str, factor: float) -> str:
    """`number` times `factor`, with as many decimals, and grouped where it was."""
    if YEAR.fullmatch(number):
        return number
    decimals = len(number.partition(".")[2])
    value = _value(number) * factor
    return f"{value:,.{decimals}f}" if "," in number else f"{value:.{decimals}f}"


def _value(number: str) -> float:
    return float(number.replace(",", ""))
