"""Grammars that a reply cannot leave: which tokens may come next.

This file knows nothing of models, sampling or what a grammar is for.
"""

import llguidance.hf
import llguidance.numpy
import numpy as np
import torch
from llguidance import LLMatcher, LLTokenizer
from transformers import PreTrainedTokenizerFast

from .errors import EngineError
from .inference import END_OF_TURN

COMPLETE = frozenset({"NoExtension", "EndOfSentence"})  # reasons to stop that leave a whole sentence


class Grammars:
    """Makes constraints for one tokenizer. Making this takes up to a second, a constraint about a millisecond."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, vocabulary: int) -> None:
        self._tokenizer: LLTokenizer = llguidance.hf.from_tokenizer(tokenizer, n_vocab=vocabulary)
        self._vocabulary = vocabulary
        self._end_of_turn = f"<[{tokenizer.eos_token_id}]>"

    def constraint(self, grammar: str) -> "Constraint":
        """The start of a sentence of `grammar`, an llguidance Lark grammar.

        Raises:
            EngineError: it is not a valid grammar.
        """
        compiled = LLMatcher.grammar_from_lark(grammar.replace(END_OF_TURN, self._end_of_turn))
        fault = LLMatcher.validate_grammar(compiled, self._tokenizer)
        if fault:
            raise EngineError(f"this is no valid grammar: {fault}\n{grammar}")
        return Constraint(LLMatcher(self._tokenizer, compiled, log_level=0), self._vocabulary)


class Constraint:
    """How far a reply has come in its grammar."""

    def __init__(self, matcher: LLMatcher, vocabulary: int) -> None:
        self._matcher = matcher
        self._bits = llguidance.numpy.allocate_token_bitmask(1, vocabulary)
        self._vocabulary = vocabulary

    @property
    def ended(self) -> bool:
        """Whether the sentence is whole and nothing can follow."""
        return bool(self._matcher.is_stopped()) and self._matcher.stop_reason() in COMPLETE

    @property
    def may_end(self) -> bool:
        """Whether what has been written so far is a whole sentence."""
        return self.ended or bool(self._matcher.is_accepting())

    def masked(self, logits: torch.Tensor) -> torch.Tensor:
        """`logits` (V) with minus infinity for every token that may not come next."""
        llguidance.numpy.fill_next_token_bitmask(self._matcher, self._bits)
        self._check()
        allowed = np.unpackbits(self._bits.view(np.uint8)[0], bitorder="little")[: self._vocabulary]
        return logits.masked_fill(torch.from_numpy(allowed == 0), float("-inf"))

    def take(self, token: int) -> None:
        """Goes on with `token`.

        Raises:
            EngineError: the token is not allowed here, or the grammar is too complex to follow.
        """
        self._matcher.consume_token(token)
        self._check()
        if self._matcher.is_stopped() and not self.ended:
            raise EngineError(f"the grammar stopped before its end ({self._matcher.stop_reason()})")

    def _check(self) -> None:
        if self._matcher.is_error():
            raise EngineError(f"the grammar cannot be followed: {self._matcher.get_error()}")
