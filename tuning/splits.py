"""Which part of its data a row belongs to: a pure function of its thread's name, so it holds for ever.

A thread is a conversation of the log, else a run; of a labelled file, the row's text. All rows of a thread, and all
that are near-duplicates of each other, lie on one side; the earliest thread among them decides which. So a row that is
added moves no other, unless it joins two groups that lay apart: then the later group goes to the side of the earlier.
This file knows nothing of files and logs.
"""

import hashlib
from collections.abc import Mapping, Sequence

from ..agents.shingles import words_of
from .near_duplicates import Groups, near_duplicate_groups
from .rows import SPLITS, ClassifierRow, RetrieverRow, Row, Split

SHARES: Mapping[Split, float] = {"train": 0.6, "validation": 0.1, "calibration": 0.1, "gate": 0.2}
"""The share of threads that each part has, in the order of `SPLITS`. To change it would move threads: never do."""


def split_of(thread: str) -> Split:
    """The part that `thread` belongs to, by its hash alone."""
    digest = hashlib.blake2b(thread.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    place = int.from_bytes(digest, "big") / 2**64  # 0 to 1
    for split in SPLITS:
        place -= SHARES[split]
        if place < 0:
            return split
    return SPLITS[-1]


def thread_of_text(text: str) -> str:
    """The thread of a row that has none: a hash of its words in lower case, 32 hex digits."""
    plain = " ".join(words_of(text)) or text.strip()
    return hashlib.blake2b(plain.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def splits_of(threads: Sequence[str], texts: Sequence[str]) -> list[Split]:
    """The part of each row, given its thread and its text, earliest row first."""
    groups = Groups(len(threads))
    first: dict[str, int] = {}
    for index, (thread, alike) in enumerate(zip(threads, near_duplicate_groups(texts), strict=True)):
        groups.join(first.setdefault(thread, index), index)
        groups.join(alike, index)
    return [split_of(threads[groups.of(index)]) for index in range(len(threads))]


def compared_text(row: Row) -> str:
    """The text by which rows are told to be alike: what is asked, or all that is said in a conversation."""
    if isinstance(row, ClassifierRow):
        return row.text
    if isinstance(row, RetrieverRow):
        return row.query
    return "\n".join(turn.text for turn in row.turns if turn.speaker != "system")
