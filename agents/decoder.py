"""Slot decoding: replies of many requests advance together, one token a step; they join and leave between steps.

Each reply has a slot of keys and values. Slots in use are always the first ones, so that a step works on views; when
a reply ends, the last one moves into its slot. A prompt is computed alone, a chunk a turn, so that it delays the
others by little and is computed the same whoever else is there.

This file knows nothing of event loops, tokenizers or grammars.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from .devices import is_out_of_memory, run_in_halves
from .errors import OutOfMemory
from .llama import KEY_BLOCK, Llama, SlotCache
from .reply import Reply

PROMPT_CHUNK = 256  # tokens of a prompt in one turn
FIRST_SLOTS = 8
FIRST_POSITIONS = 1_024  # tokens that each slot holds at first


class Decoder(Protocol):
    """Writes replies, a little in each turn."""

    tokens: int  # written so far

    @property
    def busy(self) -> bool: ...

    @property
    def waiting(self) -> int:
        """How many replies have not begun."""
        ...

    def add(self, reply: Reply) -> None: ...

    def turn(self) -> None:
        """Advances every reply that has begun by at most one step. What fails is delivered to its reply."""
        ...


@dataclass(slots=True)
class _Filling:
    """A reply whose prompt is being computed, in the slot where that happens."""

    reply: Reply
    slot: int
    done: int = 0  # tokens of the prompt that are in the slot

    @property
    def chunk(self) -> list[int]:
        """The tokens to compute next: chunks depend on the prompt alone, so its results do too."""
        return self.reply.prompt[self.done : self.done + PROMPT_CHUNK]


class SlotDecoder:
    """Decodes with `model` in up to `slots` slots, whose keys and values take up to `memory` bytes."""

    def __init__(self, model: Llama, slots: int, memory: int) -> None:
        self._model = model
        self._slots = slots
        self._memory = memory
        self._queue: deque[Reply] = deque()
        self._filling: _Filling | None = None
        self._active: list[Reply] = []  # the reply at index i is in slot i
        self._cache: SlotCache | None = None
        self.tokens = 0

    @property
    def busy(self) -> bool:
        return bool(self._queue or self._filling or self._active)

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def add(self, reply: Reply) -> None:
        self._queue.append(reply)

    def turn(self) -> None:
        self._leave()
        computed = 0  # tokens of prompts in this turn
        while (filling := self._next_filling()) is not None:
            self._filling = filling
            computed += len(filling.chunk)
            if computed > PROMPT_CHUNK:
                break
            self._fill(filling)
        if self._active:
            self._step()
        self._leave()
        if not self.busy and self._cache is not None and self._cache.positions > FIRST_POSITIONS:
            self._cache = None  # one long reply need not hold its memory for ever

    def _next_filling(self) -> _Filling | None:
        """The reply whose prompt is under way, or the next one that waits, if a slot is free and memory allows."""
        while self._queue and self._queue[0].recipient.abandoned:
            self._queue.popleft()
        if self._filling is not None or not self._queue or len(self._active) == self._slots:
            return self._filling
        try:
            roomy = self._make_room(self._queue[0].longest)
        except Exception as error:  # noqa: BLE001 -- raised again where the reply is awaited
            self._queue.popleft().fail(_explained(error))
            return None
        return _Filling(self._queue.popleft(), slot=len(self._active)) if roomy else None

    def _make_room(self, length: int) -> bool:
        """Sees to a free slot of `length` positions. False: not before another reply has ended."""
        held = 0 if self._cache is None else self._cache.positions
        positions = max(held, FIRST_POSITIONS)
        while positions < length:
            positions *= 2
        positions = min(positions, max(held, -(-self._model.context_length // KEY_BLOCK) * KEY_BLOCK))
        wanted = len(self._active) + 1
        if self._cache is not None and held >= length and self._cache.slots >= wanted:
            return True
        affordable = min(self._slots, self._memory // (self._model.cache_shape.bytes_per_position * positions))
        if wanted > max(1, affordable):
            return False
        slots = FIRST_SLOTS
        while slots < wanted:
            slots *= 2
        return self._resize(max(1, min(slots, affordable)), positions)

    def _resize(self, slots: int, positions: int) -> bool:
        """Moves the replies in progress to a cache of this size. False: there is no memory for it now."""
        try:
            grown = SlotCache(self._model.cache_shape, slots, positions, self._model.device, self._model.dtype)
        except RuntimeError as error:
            if is_out_of_memory(error) and self._active:
                return False
            raise
        for slot, reply in enumerate(self._active):
            grown.copy_slot(self._held, slot, slot, len(reply.prompt) + len(reply.new))
        self._cache = grown
        return True

    def _fill(self, filling: _Filling) -> None:
        """Computes the next chunk of a prompt; after the last one, its reply has a first token and joins the others."""
        reply, chunk = filling.reply, filling.chunk
        if reply.recipient.abandoned:
            self._filling = None
            return
        try:
            logits = self._model.prefill(chunk, self._held, filling.slot, filling.done)
            filling.done += len(chunk)
            if filling.done < len(reply.prompt):
                return
            self._extend(reply, logits.cpu())
        except Exception as error:  # noqa: BLE001 -- raised again where the reply is awaited
            reply.fail(_explained(error))
        self._filling = None
        if not reply.ended:
            if filling.slot != len(self._active):
                self._held.copy_slot(self._held, filling.slot, len(self._active), len(reply.prompt))
            self._active.append(reply)

    def _step(self) -> None:
        """One more token for every reply in a slot."""
        try:
            logits = run_in_halves(self._logits, range(len(self._active)))
        except Exception as error:  # noqa: BLE001 -- raised again where the replies are awaited
            for reply in self._active:
                reply.fail(_explained(error))
            return
        for reply, row in zip(self._active, logits, strict=True):
            self._extend(reply, row)

    def _logits(self, slots: Sequence[int]) -> list[torch.Tensor]:
        replies = [self._active[slot] for slot in slots]
        tokens = [reply.new[-1] for reply in replies]
        positions = [len(reply.prompt) + len(reply.new) - 1 for reply in replies]
        return list(self._model.step(tokens, positions, self._held, slots[0]).cpu())

    def _extend(self, reply: Reply, logits: torch.Tensor) -> None:
        self.tokens += 1
        try:
            reply.extend(logits)
        except Exception as error:  # noqa: BLE001 -- raised again where the reply is awaited
            reply.fail(_explained(error))

    def _leave(self) -> None:
        """Frees the slots of replies that have ended or that nobody awaits any more."""
        for slot in reversed(range(len(self._active))):
            if self._active[slot].ended or self._active[slot].recipient.abandoned:
                last = self._active.pop()
                if slot < len(self._active):
                    self._held.copy_slot(self._held, len(self._active), slot, len(last.prompt) + len(last.new))
                    self._active[slot] = last

    @property
    def _held(self) -> SlotCache:
        assert self._cache is not None  # noqa: S101 -- a reply is in a slot only after _make_room
        return self._cache


def _explained(error: Exception) -> Exception:
    """`error` as callers know it: torch has no one type for lack of memory."""
    if not is_out_of_memory(error) or isinstance(error, OutOfMemory):
        return error
    explained = OutOfMemory(f"the device has no memory left for this reply: {error}")
    explained.__cause__ = error
    return explained
