"""Which tokens of a conversation are learned: a role mask over the chat template as it is rendered when serving.

A conversation is cut where replies begin, just as a prompt ends there, and each piece is turned into tokens by itself.
So what is learned after a prompt has the very tokens that the engine would see before and after it. Supervised are the
tokens of supervised turns with the token that ends the turn; what the template writes around them is not.

This file knows nothing of weights, batches or losses.
"""

import json
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import PreTrainedTokenizerFast

from ..agents.errors import EngineError
from ..agents.inference import ChatTurn
from ..agents.language_model import conversation_text
from ..agents.tokens import load_tokenizer
from .errors import DatasetError
from .rows import DialogueRow

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAMED = 3  # rows that a sentence about many names


@dataclass(frozen=True, slots=True)
class SupervisedTokens:
    """A conversation of T tokens, some of which are learned."""

    row: str  # its id
    tokens: "NDArray[np.int64]"  # (T)
    supervised: "NDArray[np.bool_]"  # (T), the first is never
    weight: float = 1.0  # of each supervised token
    turns_cut: int = 0  # oldest turns that were left out

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True, slots=True)
class Supervision:
    """What is learned of many conversations."""

    sequences: tuple[SupervisedTokens, ...]
    too_long: tuple[str, ...] = ()  # ids of rows that were left out: nothing supervised of them fits the context

    @property
    def tokens(self) -> int:
        """Of all conversations."""
        return sum(map(len, self.sequences))

    @property
    def supervised(self) -> int:
        """Tokens that are learned."""
        return sum(int(one.supervised.sum()) for one in self.sequences)

    @property
    def share(self) -> float:
        """Of tokens that are learned, 0 to 1."""
        return self.supervised / self.tokens if self.tokens else 0.0

    def __str__(self) -> str:
        said = [
            f"{len(self.sequences):,} conversations of {self.tokens:,} tokens, of which {self.supervised:,} "
            f"({self.share:.1%}) are learned"
        ]
        if cut := [one for one in self.sequences if one.turns_cut]:
            turns = sum(one.turns_cut for one in cut)
            said.append(f"{_named([one.row for one in cut])} lost their oldest turns, {turns:,} in all, to the context")
        if self.too_long:
            said.append(f"{_named(self.too_long)} were left out: not even their last supervised turn fits the context")
        return "; ".join(said)


class RoleMask:
    """Turns conversations into supervised tokens, by the chat template of the checkpoint in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = load_tokenizer(folder)
        self._stops = _stop_tokens(folder, self._tokenizer)

    def supervise(self, rows: Sequence[DialogueRow], limit: int) -> Supervision:
        """The supervised tokens of `rows`, each at most `limit` tokens long.

        Of a longer row the oldest turns are left out, but for the system's, until it begins with a user's turn and
        fits; a row of which nothing supervised would be left is itself left out, and named in `too_long`.

        Raises:
            DatasetError: a row has no supervised token, or the chat template cannot be learned from.
        """
        found = [(row.id, self.fitting(row, row.supervised, limit)) for row in rows]
        return Supervision(
            sequences=tuple(one for _, one in found if one is not None),
            too_long=tuple(row for row, one in found if one is None),
        )

    def fitting(self, row: DialogueRow, supervised: Sequence[bool], limit: int) -> SupervisedTokens | None:
        """The row with these turns supervised, cut to at most `limit` tokens; None where it cannot be.

        Raises:
            DatasetError: as `supervise` does.
        """
        whole = self.tokens_of(row, supervised)
        if len(whole) <= limit:
            return whole
        cuts = _possible_cuts(row, supervised)
        fits = bisect_left(cuts, True, key=lambda cut: len(self.without(row, supervised, cut)) <= limit)
        return self.without(row, supervised, cuts[fits]) if fits < len(cuts) else None

    def without(self, row: DialogueRow, supervised: Sequence[bool], cut: int) -> SupervisedTokens:
        """The row without its `cut` oldest turns, those of the system at its start not counted.

        Raises:
            DatasetError: as `supervise` does.
        """
        first = _first_said(row.turns)
        kept = [*range(first), *range(first + cut, len(row.turns))]
        shorter = replace(
            row,
            turns=tuple(row.turns[place] for place in kept),
            supervised=tuple(supervised[place] for place in kept),
        )
        return replace(self.tokens_of(shorter, shorter.supervised), turns_cut=cut)

    def tokens_of(self, row: DialogueRow, supervised: Sequence[bool]) -> SupervisedTokens:
        """The whole row with these turns supervised.

        Raises:
            DatasetError: as `supervise` does.
        """
        _check(row, supervised)
        try:
            tokens, learned = self._pieces(row.turns, supervised)
        except (EngineError, DatasetError) as error:
            raise DatasetError(f"conversation {row.id!r} ({row.source.where}) cannot be learned: {error}") from error
        return SupervisedTokens(row.id, np.array(tokens, np.int64), np.array(learned, np.bool_), row.weight)

    def _pieces(self, turns: tuple[ChatTurn, ...], supervised: Sequence[bool]) -> tuple[list[int], list[bool]]:
        whole = conversation_text(self._tokenizer, turns, begin_reply=False)
        tokens: list[int] = []
        learned: list[bool] = []
        done = 0  # characters
        for place in (place for place, chosen in enumerate(supervised) if chosen):
            before = conversation_text(self._tokenizer, turns[:place])
            after = conversation_text(self._tokenizer, turns[: place + 1], begin_reply=False)
            if not (whole.startswith(after) and after.startswith(before)):
                raise DatasetError(
                    f"the chat template renders turns {place + 1} differently before and after later ones, so that "
                    f"what is learned would not be what is served; supervise the last turn only"
                )
            context, reply = self._encode(whole[done : len(before)]), self._encode(whole[len(before) : len(after)])
            end = self._end(reply)
            tokens += [*context, *reply]
            learned += [False] * len(context) + [True] * end + [False] * (len(reply) - end)
            done = len(after)
        rest = self._encode(whole[done:])
        return tokens + rest, learned + [False] * len(rest)

    def _encode(self, text: str) -> list[int]:
        return [int(token) for token in self._tokenizer.encode(text, add_special_tokens=False)]

    def _end(self, reply: Sequence[int]) -> int:
        """How many tokens of `reply` the model must write: its text and the token that ends it."""
        ends = next((place for place, token in enumerate(reply) if token in self._stops), None)
        if ends is None:
            raise DatasetError(
                "the chat template ends a reply with no token that the checkpoint stops at, so that the model would "
                "never learn to end; name that token as eos_token_id in generation_config.json"
            )
        return ends + 1


def _check(row: DialogueRow, supervised: Sequence[bool]) -> None:
    place = f"conversation {row.id!r} ({row.source.where})"
    if len(supervised) != len(row.turns):
        raise DatasetError(f"{place} has {len(row.turns)} turns, but {len(supervised)} marks of what is learned")
    learned = [turn for turn, chosen in zip(row.turns, supervised, strict=True) if chosen]
    if not learned:
        raise DatasetError(
            f"{place} has no supervised token: none of its {len(row.turns)} turns is learned; mark at least one turn "
            f"of the assistant, or leave the row out"
        )
    strange = next((turn.speaker for turn in learned if turn.speaker != "assistant"), None)
    if strange is not None:
        raise DatasetError(f"{place} would learn a turn of the {strange}; only turns of the assistant may be learned")


def _first_said(turns: Sequence[ChatTurn]) -> int:
    """How many turns of the system a conversation begins with."""
    return next((place for place, turn in enumerate(turns) if turn.speaker != "system"), len(turns))


def _possible_cuts(row: DialogueRow, supervised: Sequence[bool]) -> list[int]:
    """How many turns may be left out, so that the row begins with a user's turn and still has something supervised."""
    first = _first_said(row.turns)
    last = max(place for place, chosen in enumerate(supervised) if chosen)
    return [place - first for place in range(first + 1, last) if row.turns[place].speaker == "user"]


def _stop_tokens(folder: Path, tokenizer: PreTrainedTokenizerFast) -> frozenset[int]:
    """Tokens that end a reply when the checkpoint in `folder` is served, as its files name them."""
    named: list[Any] = [tokenizer.eos_token_id]
    for path in (folder / "generation_config.json", folder / "config.json"):
        if path.is_file():
            named.append(json.loads(path.read_text(encoding="utf-8")).get("eos_token_id"))
    flat = [token for item in named for token in (item if isinstance(item, list) else [item])]
    return frozenset(int(token) for token in flat if token is not None)


def _named(rows: Sequence[str]) -> str:
    shown = ", ".join(repr(row) for row in islice(rows, NAMED))
    return shown if len(rows) <= NAMED else f"{shown} and {len(rows) - NAMED:,} more"
