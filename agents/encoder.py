"""Sentence embeddings: texts queue, and each turn embeds one batch of them.

A batch holds texts of one padded length, which depends on a text alone. So an embedding is the same, bit for bit,
whatever else was in the batch, and hardly any arithmetic is spent on padding.

Letters in shape comments: B texts of a batch, T padded tokens of each, D width of an embedding.

This file knows nothing of event loops, caches or releases.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import torch
from transformers import AutoModel

from .bottleneck import apply_adapters
from .devices import run_in_halves
from .errors import EngineError
from .tokens import context_length, load_tokenizer

if TYPE_CHECKING:
    from .inference import FloatArray

Tokens: TypeAlias = list[int]

PADDING_STEP = 16  # tokens: vector instructions take whole steps, so sums do not depend on what follows the text
BATCH_TOKENS = {"cpu": 2_048, "cuda": 65_536}  # tokens of a batch, padding included
CHARACTERS_PER_TOKEN = 100  # a text is cut to this many times the longest input before it is tokenised


@dataclass(frozen=True, slots=True, order=True)
class Bucket:
    """Texts that may share a batch."""

    length: int  # padded, in tokens
    padded: bool  # whether any token is padding: attention without a mask takes another path through the arithmetic


class Job(Protocol):
    """A text whose embedding is awaited."""

    @property
    def text(self) -> str: ...

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits for it any more."""
        ...


Deliver: TypeAlias = Callable[[Sequence[Job], "FloatArray | Exception"], None]


class Encoder:
    """A transformer encoder, its tokenizer, and mean pooling (Reimers & Gurevych, 2019, arXiv:1908.10084)."""

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype) -> None:
        self.name = folder.name
        self.device = device
        self._tokenizer = load_tokenizer(folder)
        self._model: Any = AutoModel.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True, trust_remote_code=False
        )
        apply_adapters(self._model, folder)
        self._model.to(device).eval()
        self._longest = min(context_length(folder), self._tokenizer.model_max_length)
        pad = self._tokenizer.pad_token_id
        self._padding = pad if isinstance(pad, int) else 0

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """The tokens of each text with its special tokens, cut to the longest input of the model."""
        characters = self._longest * CHARACTERS_PER_TOKEN
        encoded = self._tokenizer([text[:characters] for text in texts], truncation=True, max_length=self._longest)
        tokens: list[Tokens] = encoded["input_ids"]
        return tokens

    def bucket(self, tokens: Tokens) -> Bucket:
        """Which texts these tokens may share a batch with."""
        length = min(-(-max(len(tokens), 1) // PADDING_STEP) * PADDING_STEP, self._longest)
        return Bucket(length, padded=length > len(tokens))

    def embed(self, batch: Sequence[Tokens], length: int) -> torch.Tensor:
        """Unit vectors of one bucket's texts: (B, D) float32, on the CPU."""
        ids = torch.full((len(batch), length), self._padding, dtype=torch.long)
        mask = torch.zeros((len(batch), length), dtype=torch.long)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = torch.tensor(tokens, dtype=torch.long)
            mask[row, : len(tokens)] = 1
        ids, mask = ids.to(self.device), mask.to(self.device)
        with torch.inference_mode():
            hidden = self._model(input_ids=ids, attention_mask=mask).last_hidden_state.float()  # (B, T, D)
            weights = mask[..., None].float()
            mean = (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
            return torch.nn.functional.normalize(mean, dim=-1).cpu()


@dataclass(frozen=True, slots=True)
class _Waiting:
    number: int  # in order of arrival
    job: Job
    tokens: Tokens


class EncoderQueue:
    """Jobs wait by bucket; each turn takes the bucket of the oldest and embeds as many as its tokens allow."""

    def __init__(self, encoder: Encoder, deliver: Deliver, batch_tokens: int | None = None) -> None:
        self._encoder = encoder
        self._deliver = deliver
        self._batch_tokens = batch_tokens or BATCH_TOKENS.get(encoder.device.type, BATCH_TOKENS["cpu"])
        self._buckets: dict[Bucket, deque[_Waiting]] = {}
        self._arrivals = 0
        self.batches = 0
        self.texts = 0

    @property
    def busy(self) -> bool:
        return bool(self._buckets)

    @property
    def waiting(self) -> int:
        """How many texts are queued."""
        return sum(len(queue) for queue in self._buckets.values())

    def add(self, jobs: Sequence[Job]) -> None:
        """Queues `jobs`; a text that cannot be tokenised fails alone."""
        for job, tokens in self._tokenized(jobs):
            self._arrivals += 1
            queue = self._buckets.setdefault(self._encoder.bucket(tokens), deque())
            queue.append(_Waiting(self._arrivals, job, tokens))

    def turn(self) -> None:
        """Embeds one batch and delivers it, or the exception that it raised, to exactly its jobs."""
        bucket, batch = self._next_batch()
        if not batch:
            return
        jobs = [waiting.job for waiting in batch]
        try:
            rows = run_in_halves(lambda some: list(self._encoder.embed(some, bucket.length)), [w.tokens for w in batch])
        except Exception as error:  # noqa: BLE001 -- raised again where the embeddings are awaited
            self._deliver(jobs, error)
            return
        self.batches += 1
        self.texts += len(jobs)
        self._deliver(jobs, torch.stack(rows).numpy())

    def _next_batch(self) -> tuple[Bucket, list[_Waiting]]:
        bucket = min(self._buckets, key=lambda bucket: self._buckets[bucket][0].number)
        queue = self._buckets[bucket]
        batch: list[_Waiting] = []
        while queue and (len(batch) + 1) * bucket.length <= max(self._batch_tokens, bucket.length):
            waiting = queue.popleft()
            if not waiting.job.abandoned:
                batch.append(waiting)
        if not queue:
            del self._buckets[bucket]
        return bucket, batch

    def _tokenized(self, jobs: Sequence[Job]) -> list[tuple[Job, Tokens]]:
        try:
            return list(zip(jobs, self._encoder.tokenize([job.text for job in jobs]), strict=True))
        except Exception as error:  # noqa: BLE001 -- raised again where the one text to blame is awaited
            if len(jobs) > 1:
                return [pair for job in jobs for pair in self._tokenized([job])]
            reason = EngineError(f"{self._encoder.name} cannot tokenise {jobs[0].text[:40]!r}: {error}")
            reason.__cause__ = error
            self._deliver(jobs, reason)
            return []
