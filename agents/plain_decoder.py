"""Decoding for architectures that slots do not know: the model's own forward and cache, one reply at a time.

This file knows nothing of event loops, tokenizers or grammars.
"""

from collections import deque
from typing import Any

import torch
from transformers import DynamicCache, PreTrainedModel

from .decoder import PROMPT_CHUNK
from .devices import is_out_of_memory
from .errors import OutOfMemory
from .reply import Reply


class PlainDecoder:
    """Writes one reply after the other with `model`, a step or a chunk of the prompt a turn."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._queue: deque[Reply] = deque()
        self._current: Reply | None = None
        self._cache: Any = None
        self._done = 0  # tokens of prompt and reply that are in the cache
        self.tokens = 0

    @property
    def busy(self) -> bool:
        return bool(self._queue or self._current)

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def add(self, reply: Reply) -> None:
        self._queue.append(reply)

    def turn(self) -> None:
        if self._current is None and self._queue:
            self._current, self._done = self._queue.popleft(), 0
            self._cache = DynamicCache(config=self._model.config)
        reply = self._current
        if reply is None:
            return
        if not reply.recipient.abandoned:
            try:
                self._advance(reply)
            except Exception as error:  # noqa: BLE001 -- raised again where the reply is awaited
                reply.fail(OutOfMemory(str(error)) if is_out_of_memory(error) else error)
        if reply.ended or reply.recipient.abandoned:
            self._current = self._cache = None

    def _advance(self, reply: Reply) -> None:
        chunk = (reply.prompt + reply.new)[self._done :][:PROMPT_CHUNK]
        tokens = torch.tensor([chunk], device=self._model.device)
        with torch.inference_mode():
            logits = self._model(input_ids=tokens, past_key_values=self._cache, use_cache=True).logits
        self._done += len(chunk)
        if self._done >= len(reply.prompt):
            self.tokens += 1
            reply.extend(logits[0, -1].float().cpu())
