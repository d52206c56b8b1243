"""Embeddings that requests share: one that is known is not asked for again, and one that is under way is awaited.

Everything here happens on the event loop. This file knows nothing of torch, threads or models.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .ticket import Ticket

if TYPE_CHECKING:
    from .inference import FloatArray

CACHE_BYTES = 64 << 20  # of vectors and texts together


@dataclass(eq=False, slots=True)
class EmbeddingJob:
    """One text that is being embedded, and the requests that wait for it."""

    digest: str  # of the weights
    text: str
    requests: "list[EmbeddingRequest]" = field(default_factory=list)

    @property
    def abandoned(self) -> bool:
        return not self.requests


@dataclass(eq=False, slots=True)
class EmbeddingRequest:
    """The texts of one call, and those of their vectors that are there."""

    texts: Sequence[str]
    ticket: "Ticket[FloatArray]"
    vectors: "dict[str, FloatArray]" = field(default_factory=dict)
    missing: dict[str, EmbeddingJob] = field(default_factory=dict)

    def take(self, text: str, vector: "FloatArray") -> None:
        """Takes the vector of one text; with the last one the call returns."""
        self.vectors[text] = vector
        self.missing.pop(text, None)
        if not self.missing:
            self.ticket.resolve(np.stack([self.vectors[text] for text in self.texts]))


class SharedEmbeddings:
    """What is known, least recently used first, and what is under way. Keys are the weights' digest and the text."""

    def __init__(self, cache_bytes: int = CACHE_BYTES) -> None:
        self._known: OrderedDict[tuple[str, str], FloatArray] = OrderedDict()
        self._under_way: dict[tuple[str, str], EmbeddingJob] = {}
        self._bytes = 0
        self._most_bytes = cache_bytes
        self.hits = 0

    def request(self, digest: str, request: EmbeddingRequest) -> list[EmbeddingJob]:
        """Fills in what is known and returns the jobs that nobody does yet."""
        new = []
        for text in dict.fromkeys(request.texts):
            known = self._known.get((digest, text))
            if known is not None:
                self._known.move_to_end((digest, text))
                self.hits += 1
                request.vectors[text] = known
                continue
            job = self._under_way.get((digest, text))
            if job is None:
                job = self._under_way[digest, text] = EmbeddingJob(digest, text)
                new.append(job)
            job.requests.append(request)
            request.missing[text] = job
        return new

    def deliver(self, jobs: Sequence[EmbeddingJob], outcome: "FloatArray | Exception") -> None:
        """Hands the vectors (len(jobs), D) of `jobs`, or what went wrong, to the requests that wait for them."""
        for index, job in enumerate(jobs):
            if self._under_way.get((job.digest, job.text)) is job:
                del self._under_way[job.digest, job.text]
            if isinstance(outcome, Exception):
                for request in job.requests:
                    request.ticket.fail(outcome)
                continue
            self._remember(job, outcome[index])
            for request in job.requests:
                request.take(job.text, outcome[index])

    def abandon(self, request: EmbeddingRequest) -> None:
        """Forgets a request; jobs that only it waited for will not be done."""
        for job in request.missing.values():
            job.requests.remove(request)
            if job.abandoned and self._under_way.get((job.digest, job.text)) is job:
                del self._under_way[job.digest, job.text]

    def _remember(self, job: EmbeddingJob, vector: "FloatArray") -> None:
        if (job.digest, job.text) in self._known:
            return
        self._known[job.digest, job.text] = vector.copy()  # a view would keep its whole batch
        self._bytes += _size(job.text, vector)
        while self._bytes > self._most_bytes:
            (_, text), dropped = self._known.popitem(last=False)
            self._bytes -= _size(text, dropped)


def _size(text: str, vector: "FloatArray") -> int:
    return len(text) + int(vector.nbytes)
