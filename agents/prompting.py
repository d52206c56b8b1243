"""Putting a message to a language model within its context: what is shown, in which order, and what is cut.

A small model heeds most what it read last, so passages come first, the best of them last; then the message's fields,
the first of them last.
This file knows nothing of roles, grammars and decoding.
"""

import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .agent import Exchange
from .errors import ContextOverflow
from .inference import ChatTurn, Inference
from .messages import Message, Passage
from .rendering import LINKS, NUMBERS, text_of

SHORTEST_PASSAGE = 24  # tokens; a passage for which there is less room is left out
PIECES = 32  # tokens kept free for a chat template and for the labels of the turn
WIDEST_TOKEN = 8  # characters that are read of a long text for each token there is room for


@dataclass(frozen=True, slots=True)
class Prompt:
    """The turns that are put to the model, and how many passages they show."""

    turns: tuple[ChatTurn, ...]
    shown: int


@dataclass(frozen=True, slots=True)
class Prompter:
    """Makes prompts of at most `room` tokens for the language model `base`."""

    engine: Inference
    base: str
    room: int  # tokens

    async def prompt(
        self, instructions: str, message: Message, history: Sequence[Exchange], history_tokens: int
    ) -> Prompt:
        """Instructions, earlier turns within `history_tokens`, and `message` with its passages numbered from 1.

        Passages are cut evenly, then left out from the last one on, until all fits.

        Raises:
            ContextOverflow: the message does not fit even without passages and history.
        """
        fields = [self._cut(text, self.room // 2) for text in _fields_of(message)]
        asked = "\n".join([*fields[1:], *fields[:1]])
        needed = sum(await self._count([instructions, asked])) + PIECES
        if needed > self.room:
            raise ContextOverflow(self.base, needed, self.room)
        earlier, taken = await self._earlier(history, min(history_tokens, self.room - needed))
        shown = await self._passages(list(passages_in(message)), self.room - needed - taken)
        user = "\n\n".join(part for part in ("\n".join(reversed(shown)), asked) if part)
        return Prompt((ChatTurn("system", instructions), *earlier, ChatTurn("user", user)), len(shown))

    async def _earlier(self, history: Sequence[Exchange], budget: int) -> tuple[list[ChatTurn], int]:
        """The latest exchanges that fit `budget`, oldest first, and how many tokens they take."""
        turns: list[ChatTurn] = []
        taken = 0
        for exchange in reversed(history):
            pair = [
                ChatTurn("user", self._cut(text_of(exchange.told), budget)),
                ChatTurn("assistant", self._cut(text_of(exchange.answered), budget)),
            ]
            needed = sum(await self._count([turn.text for turn in pair])) + PIECES
            if taken + needed > budget:
                break
            turns, taken = pair + turns, taken + needed
        return turns, taken

    async def _passages(self, passages: Sequence[Passage], budget: int) -> list[str]:
        """A line for each passage, cut so that together they take at most `budget` tokens."""
        most = max(0, budget // SHORTEST_PASSAGE)
        texts = [self._cut(" ".join(passage.text.split()), budget) for passage in passages[:most]]
        lines = [f"[{handle}] {text}\n" for handle, text in zip(handles(len(texts)), texts, strict=True)]
        if not lines:
            return []
        lengths = await self._count(lines)
        allowed = _even_share(lengths, budget)
        while sum(await self._count(lines)) > budget:  # a cut text may take more tokens than its share of the whole
            lines = [_shortened(line, length, allowed) for line, length in zip(lines, lengths, strict=True)]
            lengths, allowed = await self._count(lines), allowed * 9 // 10
        return [line.rstrip("\n") for line in lines]

    async def _count(self, texts: Sequence[str]) -> list[int]:
        return await self.engine.count_tokens(self.base, texts)

    def _cut(self, text: str, tokens: int) -> str:
        """`text` without what cannot fit `tokens`, however its tokens fall; only long texts are cut."""
        return text[: max(0, tokens) * WIDEST_TOKEN]


def handles(count: int) -> list[str]:
    """Under which names passages are shown: A to Z, then AA, AB, …. Numbers would be mistaken for figures."""
    letters = string.ascii_uppercase
    return [letters[n] if n < 26 else letters[n // 26 - 1] + letters[n % 26] for n in range(count)]


def passages_in(value: Any) -> Iterator[Passage]:
    """Every passage in a message, its lists and nested messages, in order."""
    if isinstance(value, Passage):
        yield value
    elif isinstance(value, Message):
        for name in type(value).model_fields:
            yield from passages_in(getattr(value, name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from passages_in(item)


def _fields_of(message: Message) -> list[str]:
    """A labelled line for each field that says something and holds no passage."""
    return [
        f"{name.replace('_', ' ').capitalize()}: {shown}"
        for name in type(message).model_fields
        if name not in LINKS and (shown := _shown(getattr(message, name)))
    ]


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: ""}[value]
    if isinstance(value, NUMBERS):
        return f"{value:.4g}"
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, Message):
        return "" if isinstance(value, Passage) else text_of(value)
    if isinstance(value, list | tuple):
        return "; ".join(shown for item in value if (shown := _shown(item)))
    return str(getattr(value, "value", value))


def _shortened(line: str, length: int, allowed: int) -> str:
    """`line`, which takes `length` tokens, cut at a word to about `allowed` of them."""
    if length <= allowed:
        return line
    return line[: max(4, len(line) * allowed // length - 2)].rsplit(" ", 1)[0] + " …\n"


def _even_share(lengths: Sequence[int], budget: int) -> int:
    """The largest length to which all can be cut so that their sum is within `budget`."""
    left = budget
    for position, length in enumerate(sorted(lengths)):
        share = left // (len(lengths) - position)
        if length > share:
            return max(1, share)
        left -= length
    return max(lengths)
