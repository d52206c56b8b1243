"""What two texts can have in common: their words, and pairs of neighbouring words.

Shingles as in Broder, "On the resemblance and containment of documents", 1997, of one and two words. Figures count as
one word, so that texts which differ only in them are alike. This file does not know what is compared, or why.
"""

import re
from itertools import pairwise

WORD = re.compile(r"\d+(?:[.,]\d+)*|\w+")


def words_of(text: str) -> list[str]:
    """The words and figures of `text`, in lower case."""
    return [found.group().casefold() for found in WORD.finditer(text)]


def shingles_of(text: str) -> frozenset[str]:
    """The words and the pairs of neighbouring words of `text`, each figure as "0"; none where it has no words."""
    words = ["0" if word[0].isdigit() else word for word in words_of(text)]
    return frozenset({*words, *(f"{one} {other}" for one, other in pairwise(words))})
