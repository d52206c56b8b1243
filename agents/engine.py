"""`Engine`: the one owner of torch. Agents of any number of runs ask it on the event loop, and one thread works.

What is here is the event loop's side: finding checkpoints, tickets, sharing, closing. Loading, batching and decoding
are the thread's side (models.py and what it uses).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import anyio
import anyio.to_thread
import numpy as np
from anyio.lowlevel import checkpoint

from .checkpoints import home, locate, weights_digest
from .devices import DeviceProfile
from .encoder import Job
from .errors import EngineClosed, EngineError
from .inference import ChatTurn, Completion, Generation
from .messages import repair_text
from .models import Models
from .shared_embeddings import EmbeddingRequest, SharedEmbeddings
from .ticket import Post, Ticket, post_to_this_loop
from .tokens import TokenCounter, context_length, quiet_transformers
from .torch_thread import TorchThread

if TYPE_CHECKING:
    from .inference import FloatArray

T = TypeVar("T")

PATIENCE = 0.5  # seconds that closing waits for the thread, which may be in native code
SLOTS = 16  # replies that a language model writes at the same time
SEED_STRIDE = 1_000_003  # keeps requests with neighbouring seeds apart under neighbouring seeds of engines


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A base checkpoint that an engine has used."""

    base: str
    folder: Path
    digest: str  # sha256 hex of the weights


@dataclass(frozen=True, slots=True)
class EngineStatistics:
    """What an engine has done since it was opened."""

    queued: int  # texts and replies that wait to begin
    batches: int  # of texts
    texts_embedded: int
    cache_hits: int  # texts whose embedding was known
    tokens_generated: int
    models: tuple[LoadedModel, ...]


class Engine:
    """Embeds and generates with local models; use it as `async with Engine() as engine:`.

    Engine()                  # device, number type and threads as the probe found best
    Engine(device="cpu")      # the processor, though there is a GPU
    Engine(threads=1, seed=7) # leave the other cores alone; another seed for everything that is sampled
    """

    def __init__(self, device: str | None = None, threads: int | None = None, seed: int = 0) -> None:
        self._seed = seed
        self._open = False
        self._tickets: set[Ticket[Any]] = set()
        self._embeddings = SharedEmbeddings()
        self._bases: dict[str, LoadedModel] = {}
        self._counters: dict[Path, TokenCounter] = {}
        self._locks: dict[str, anyio.Lock] = {}
        self._ended = anyio.Event()
        self._thread = TorchThread(lambda error: self._post(self._thread_ended, error))
        self._models = Models(home(), device, threads, SLOTS, self._deliver_later, self._thread.workloads)

    async def __aenter__(self) -> Self:
        quiet_transformers()
        self._post: Post = post_to_this_loop()
        self._thread.start()
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Fails what is in flight with EngineClosed. Takes under a second, whatever the thread is doing."""
        self._open = False
        self._thread.stop()
        self._fail_all(EngineClosed())
        with anyio.move_on_after(PATIENCE, shield=True):
            await self._ended.wait()

    async def embed(self, base: str, texts: Sequence[str]) -> "FloatArray":
        """Sentence embeddings, mean-pooled over real tokens and of unit length: (len(texts), D) float32.

        A text is cut to the longest input of the model. Its vector does not depend on what else is embedded.

        Raises:
            CheckpointError: `base` cannot be had.
            OutOfMemory: there is no memory for even one of the texts.
        """
        model = await self._model(base)
        request = EmbeddingRequest(
            [repair_text(text) for text in texts] or [""], self._ticket(f"embedding with {base}")
        )
        jobs = self._embeddings.request(model.digest, request)
        if not request.missing:
            await checkpoint()
            return np.stack([request.vectors[text] for text in request.texts])[: len(texts)]
        if jobs:
            self._submit(
                lambda: self._models.encoder(model.folder).add(jobs), lambda error: self._deliver_later(jobs, error)
            )
        try:
            return (await self._wait(request.ticket))[: len(texts)]
        finally:
            self._embeddings.abandon(request)

    async def generate(self, request: Generation, on_text: Callable[[str], None] | None = None) -> Completion:
        """Text for `request`; `on_text` is called in this task with each piece. A cancel ends it within one step.

        Greedy text (temperature 0), and with the same seed sampled text too, does not depend on what else is asked.

        Raises:
            CheckpointError: the base cannot be had.
            ContextOverflow: prompt and reply do not fit the model's context.
            EngineError: the grammar is invalid, or did not end within max_new_tokens.
        """
        model = await self._model(request.base)
        turns = tuple(ChatTurn(turn.speaker, repair_text(turn.text)) for turn in request.turns)
        seeded = replace(request, turns=turns, seed=self._seed * SEED_STRIDE + request.seed)
        ticket: Ticket[Completion] = self._ticket(f"a reply of {request.base}")
        self._submit(lambda: self._models.language_model(model.folder).begin(seeded, ticket), ticket.fail)
        return await self._wait(ticket, on_text)

    async def count_tokens(self, base: str, texts: Sequence[str]) -> list[int]:
        """How many tokens each text takes, without special tokens."""
        folder = (await self._model(base)).folder
        async with self._lock(f"tokenizer of {folder}"):
            if folder not in self._counters:
                self._counters[folder] = await anyio.to_thread.run_sync(TokenCounter, folder)
        clean = [repair_text(text) for text in texts]
        return await anyio.to_thread.run_sync(self._counters[folder].count, clean)

    async def context_length(self, base: str) -> int:
        """How many tokens, prompt and reply together, `base` can hold."""
        return await anyio.to_thread.run_sync(context_length, (await self._model(base)).folder)

    async def digest(self, base: str) -> str:
        """sha256 hex digest of the weights of `base`."""
        return (await self._model(base)).digest

    async def profile(self) -> DeviceProfile:
        """Device, number types and threads that this engine uses, and why."""
        self._check_open()
        ticket: Ticket[DeviceProfile] = self._ticket("the device probe")
        self._submit(lambda: ticket.resolve(self._models.profile), ticket.fail)
        return await self._wait(ticket)

    def statistics(self) -> EngineStatistics:
        """What has been done up to now."""
        encoders = list(self._models.encoders.values())
        decoders = [model.decoder for model in list(self._models.language_models.values())]
        return EngineStatistics(
            queued=sum(queue.waiting for queue in encoders) + sum(decoder.waiting for decoder in decoders),
            batches=sum(queue.batches for queue in encoders),
            texts_embedded=sum(queue.texts for queue in encoders),
            cache_hits=self._embeddings.hits,
            tokens_generated=sum(decoder.tokens for decoder in decoders),
            models=tuple(self._bases.values()),
        )

    async def _model(self, base: str) -> LoadedModel:
        """Where `base` is and what its weights are, found once."""
        self._check_open()
        async with self._lock(base):
            if base not in self._bases:
                self._bases[base] = await anyio.to_thread.run_sync(_find, base, abandon_on_cancel=True)
        self._check_open()
        return self._bases[base]

    def _lock(self, key: str) -> anyio.Lock:
        return self._locks.setdefault(key, anyio.Lock())

    def _check_open(self) -> None:
        if not self._open:
            raise EngineClosed

    def _submit(self, call: Callable[[], None], fail: Callable[[Exception], object]) -> None:
        """Has `call` made on the thread; what it raises goes to `fail`."""

        def guarded() -> None:
            try:
                call()
            except Exception as error:  # noqa: BLE001 -- raised again where the result is awaited
                fail(error)

        self._thread.submit(guarded)

    def _ticket(self, purpose: str) -> Ticket[Any]:
        return Ticket(self._post, purpose)

    async def _wait(self, ticket: Ticket[T], on_text: Callable[[str], None] | None = None) -> T:
        self._tickets.add(ticket)
        try:
            return await ticket.wait(on_text)
        finally:
            self._tickets.discard(ticket)

    def _deliver_later(self, jobs: Sequence[Job], outcome: "FloatArray | Exception") -> None:
        """Called on the thread."""
        self._post(self._embeddings.deliver, jobs, outcome)

    def _thread_ended(self, error: BaseException | None) -> None:
        self._ended.set()
        if error is not None:
            self._open = False
            self._fail_all(EngineError(f"the engine's thread died: {type(error).__name__}: {error}"))

    def _fail_all(self, error: EngineError) -> None:
        for ticket in self._tickets:
            ticket.fail(error)


def _find(base: str) -> LoadedModel:
    folder = locate(base)
    return LoadedModel(base, folder, weights_digest(folder))
