"""One reply being written: each of its tokens is chosen here, from the logits that a model gives.

This file knows nothing of models, slots, batches or event loops.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

import torch
from transformers import PreTrainedTokenizerFast

from .constraints import Constraint
from .errors import EngineError
from .inference import Completion, Generation

UNFINISHED_CHARACTER = "\ufffd"


class Recipient(Protocol):
    """Who awaits a reply. Its methods may be called on any thread."""

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits any more."""
        ...

    def write(self, text: str) -> None:
        """Takes the next piece of text."""
        ...

    def resolve(self, result: Completion) -> None:
        """Takes the whole reply. Nothing follows."""
        ...

    def fail(self, error: Exception) -> None:
        """Takes the reason why there is no reply. Nothing follows."""
        ...


class Reply:
    """The tokens of one reply, how they are chosen, and when they end."""

    def __init__(
        self,
        request: Generation,
        prompt: Sequence[int],
        tokenizer: PreTrainedTokenizerFast,
        stops: frozenset[int],
        constraint: Constraint | None,
        recipient: Recipient,
    ) -> None:
        self.prompt = list(prompt)
        self.new: list[int] = []
        self.recipient = recipient
        self.ended = False
        self._request = request
        self._tokenizer = tokenizer
        self._stops = stops  # tokens that end a reply and are no part of it
        self._constraint = constraint
        self._shown = ""
        self._generator = torch.Generator().manual_seed(request.seed % (1 << 63))

    @property
    def longest(self) -> int:
        """How many positions prompt and reply can take."""
        return len(self.prompt) + self._request.max_new_tokens

    def extend(self, logits: torch.Tensor) -> None:
        """Chooses the next token from `logits` ((V) float32, on the CPU), hands on its text, and ends where it must.

        Raises:
            EngineError: the grammar has no end within max_new_tokens.
        """
        token = self._choose(logits if self._constraint is None else self._constraint.masked(logits))
        if self._constraint is not None:
            self._constraint.take(token)
        if token in self._stops and (self._constraint is None or self._constraint.ended):
            self._end("end")
            return
        self.new.append(token)
        if self._constraint is not None and self._constraint.ended:
            self._end("end")
        elif len(self.new) == self._request.max_new_tokens:
            self._end_at_length()
        else:
            self._show(self._text())

    def fail(self, error: Exception) -> None:
        """Ends the reply without a result."""
        self.ended = True
        self.recipient.fail(error)

    def _choose(self, logits: torch.Tensor) -> int:
        if self._request.temperature <= 0:
            return int(logits.argmax())
        weights = torch.softmax((logits - logits.max()) / self._request.temperature, dim=-1)
        return int(torch.multinomial(weights, 1, generator=self._generator))

    def _end_at_length(self) -> None:
        if self._constraint is None:
            self._end("length")
        elif self._constraint.may_end:
            self._end("end")
        else:
            limit = self._request.max_new_tokens
            raise EngineError(
                f"the grammar did not end within max_new_tokens={limit:,}; the reply so far ends in "
                f"{self._text()[-60:]!r}. Allow more tokens, or bound the grammar's rules with max_tokens"
            )

    def _end(self, stopped: Literal["end", "length"]) -> None:
        self.ended = True
        text = self._text()
        if text != self._shown:
            self.recipient.write(text[len(self._shown) :])
        self.recipient.resolve(Completion(text, len(self.prompt), len(self.new), stopped))

    def _show(self, text: str) -> None:
        """Hands on what is new in `text`, unless its last character still lacks bytes."""
        if len(text) > len(self._shown) and not text.endswith(UNFINISHED_CHARACTER):
            self.recipient.write(text[len(self._shown) :])
            self._shown = text

    def _text(self) -> str:
        text = self._tokenizer.decode(self.new, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        assert isinstance(text, str)  # noqa: S101 -- of one sequence, not of a batch
        return text
