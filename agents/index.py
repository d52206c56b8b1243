"""`Index`: passages that can be searched by meaning and by words while they are added, updated and deleted.

A search reads one immutable `_Snapshot`; a change builds the next one beside it and swaps a single reference, so that
readers never wait and never see half of a change. A change embeds only the texts that are new, and builds the search
by words anew in a thread: about 0.2 s for 1,600 passages of 60 words, and 14 s and 0.5 GB for 100,000, where a search
takes 12 ms. The search itself runs in a thread too.

One index serves every release of its role: a snapshot holds what each way of searching needs, for the few that were
used last. A way that has not been seen yet is built at its first search, while others go on being served.

This file does not know where passages come from, nor how a model computes an embedding.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, TypeVarTuple, Unpack

import anyio
import anyio.to_thread
import numpy as np

from .errors import CorpusError
from .fusion import Fusion
from .inference import Inference
from .jsonlines import BadLine
from .lexical import LexicalIndex
from .messages import Passage
from .passage_vectors import PassageEncoder, PassageVectors, unheard
from .passages import Chunking, Corpus, Document, check_unique, documents_of, split
from .served_search import ServedSearch

if TYPE_CHECKING:
    from .inference import FloatArray

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")
WordSettings: TypeAlias = tuple[float, float]  # k1 and b

MOST_KEPT = 4  # ways of searching that are kept up to date
_DECIMALS = 6  # of scores, so that ties are ties on every machine
_FUSION = Fusion()
_CHUNKING = Chunking()


@dataclass(frozen=True, slots=True)
class _Form:
    """What a way of searching needs of a snapshot."""

    documents: str  # the encoder of passages
    words: WordSettings

    @classmethod
    def of(cls, search: ServedSearch) -> "_Form":
        return cls(search.documents, (search.fusion.k1, search.fusion.b))


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """All that a search reads. N passages, D dimensions."""

    documents: Mapping[str, tuple[Passage, ...]]  # a document's id -> its passages, in order
    passages: tuple[Passage, ...]  # (N)
    vectors: Mapping[str, PassageVectors]  # by the encoder of passages
    lexical: Mapping[WordSettings, LexicalIndex]

    def holds(self, form: _Form) -> bool:
        return form.documents in self.vectors and form.words in self.lexical

    def best(self, text: str, query: "FloatArray", k: int, search: ServedSearch) -> list[Passage]:
        """The `k` best passages for a query, its embedding (D,) given; equal scores in the order of their ids."""
        if not self.passages:
            return []
        form = _Form.of(search)
        # Not `@`: its threads would spin on the processors that embed the next queries, three times slower together.
        cosine = np.einsum("nd,d->n", self.vectors[form.documents].stacked, search.placed(query))
        fused = search.fusion.combine(self.lexical[form.words].scores(text), cosine)
        scores = np.round(fused.astype(np.float64), _DECIMALS)  # (N,)
        k = min(k, len(scores))
        least = np.partition(scores, -k)[-k]
        rows: list[int] = np.flatnonzero(scores >= least).tolist()
        rows.sort(key=lambda row: (-scores[row], self.passages[row].id))
        return [self.passages[row].model_copy(update={"score": float(scores[row])}) for row in rows[:k]]


class Index:
    """Dense and BM25 search over one corpus, safe for any number of concurrent tasks. Make it with `open`."""

    def __init__(self, engine: Inference, usual: ServedSearch, cache_folder: Path, chunking: Chunking) -> None:
        self._engine = engine
        self._usual = usual
        self._cache_folder = cache_folder
        self._chunking = chunking
        self._writing = anyio.Lock()
        self._searching = anyio.Semaphore(os.cpu_count() or 1)  # more threads would only wait for each other
        self._encoders: dict[str, PassageEncoder] = {}
        self._forms = [_Form.of(usual)]  # used least recently first
        self._snapshot = _Snapshot({}, (), {}, {})
        self.bad_lines: tuple[BadLine, ...] = ()  # what of the corpus could not be read
        self.weights = ""  # sha256 hex digest of the encoder's weights and the fusion's settings

    @classmethod
    async def open(
        cls,
        corpus: Corpus,
        engine: Inference,
        base: str,
        cache_folder: Path,
        *,
        fusion: Fusion = _FUSION,
        chunking: Chunking = _CHUNKING,
        on_progress: Callable[[int, int], None] = unheard,
    ) -> "Index":
        """An index of `corpus`; texts that `cache_folder` holds embeddings of are not embedded again.

        `on_progress` is called on the event loop with how many of the texts to embed are done, and how many there are.

        Raises:
            CorpusError: two passages have the same id.
            StorageError: the cache folder cannot be written.
            CheckpointError: `base` cannot be had.
        """
        digest = await engine.digest(base)
        index = cls(engine, ServedSearch(base, base, fusion), cache_folder, chunking)
        settings = json.dumps({"base": digest, "fusion": asdict(fusion)}, sort_keys=True)
        index.weights = hashlib.sha256(settings.encode()).hexdigest()
        index.bad_lines = corpus.bad_lines
        parts = await _threaded(index._split, corpus.documents)
        await index._replace(parts, index._forms, on_progress)
        return index

    def __len__(self) -> int:
        """How many passages can be found."""
        return len(self._snapshot.passages)

    def __contains__(self, document: str) -> bool:
        return document in self._snapshot.documents

    def document_of(self, passage: str) -> str:
        """The id of the document that the passage with this id was cut from; a whole document's is its own."""
        return passage if passage in self else passage.rpartition("#")[0]

    @property
    def embedded(self) -> int:
        """Texts that the engine had to embed, since neither memory nor disk held them."""
        return sum(encoder.embedded for encoder in self._encoders.values())

    @property
    def notices(self) -> tuple[str, ...]:
        """What was mended while opening, in sentences."""
        return tuple(
            f"{path.name} in the embedding cache was damaged; it was deleted and its texts were embedded again"
            for encoder in self._encoders.values()
            for path in encoder.damaged
        )

    async def search(self, text: str, k: int, search: ServedSearch | None = None) -> list[Passage]:
        """The `k` best passages (fewer where there are fewer), best first, scores 0 to 1 rounded to 6 decimals.

        A text without a single word, such as one of emoji only, is searched for by meaning alone.

        Args:
            text: the query.
            k: how many passages, at least 1.
            search: how a release searches; None: as the index was opened.

        Raises:
            CheckpointError: an encoder of `search` cannot be had.
            ValueError: `k` is below 1.
        """
        if k < 1:
            raise ValueError(f"cannot search for {k} passages; expected k >= 1")
        how = search or self._usual
        query = (await self._engine.embed(how.queries, [text]))[0]
        snapshot = await self._ready(_Form.of(how))
        async with self._searching:
            return await _threaded(snapshot.best, text, query, k, how)

    async def add(self, *passages: Passage | Mapping[str, Any]) -> None:
        """Index new passages; long ones are split.

        Raises:
            CorpusError: an id is taken already, or a text is blank.
        """
        async with self._writing:
            documents = documents_of(passages)
            taken = [document.id for document in documents if document.id in self]
            if taken:
                raise CorpusError(f"passage {taken[0]!r} is indexed already; update it instead")
            await self._put(documents)

    async def update(self, *passages: Passage | Mapping[str, Any]) -> None:
        """Replace the texts of passages that are indexed, whole as they were given.

        Raises:
            CorpusError: an id is not indexed, or a text is blank.
        """
        async with self._writing:
            documents = documents_of(passages)
            self._check_known([document.id for document in documents])
            await self._put(documents)

    async def delete(self, *ids: str) -> None:
        """Forget passages, all their chunks included.

        Raises:
            CorpusError: an id is not indexed.
        """
        async with self._writing:
            self._check_known(ids)
            gone = set(ids)
            kept = {name: parts for name, parts in self._snapshot.documents.items() if name not in gone}
            await self._replace(kept, self._forms)

    def _check_known(self, ids: Sequence[str]) -> None:
        unknown = [name for name in ids if name not in self]
        if unknown:
            raise CorpusError(f"passage {unknown[0]!r} is not indexed; add it first, under the id of the whole text")

    async def _put(self, documents: Sequence[Document]) -> None:
        parts = await _threaded(self._split, documents)
        await self._replace({**self._snapshot.documents, **parts}, self._forms)

    def _split(self, documents: Sequence[Document]) -> dict[str, tuple[Passage, ...]]:
        return {document.id: split(document, self._chunking) for document in documents}

    async def _ready(self, form: _Form) -> _Snapshot:
        """A snapshot that can be searched in `form`, which is built now if it has not been."""
        if not self._snapshot.holds(form):
            async with self._writing:
                if not self._snapshot.holds(form):
                    others = [other for other in self._forms if other != form]
                    self._forms = await self._extended([*others, form][-MOST_KEPT:])
        elif self._forms[-1] != form and form in self._forms:
            self._forms = [*(other for other in self._forms if other != form), form]
        return self._snapshot

    async def _extended(self, forms: list[_Form]) -> list[_Form]:
        await self._replace(self._snapshot.documents, forms)
        return forms

    async def _replace(
        self,
        documents: Mapping[str, tuple[Passage, ...]],
        forms: Sequence[_Form],
        on_progress: Callable[[int, int], None] = unheard,
    ) -> None:
        """Swap in a snapshot of `documents` that can be searched in each of `forms`."""
        old = self._snapshot
        passages = tuple(passage for parts in documents.values() for passage in parts)
        check_unique((passage.id for passage in passages), "the index")
        texts = [passage.text for passage in passages]
        vectors = {}
        for encoder in dict.fromkeys(form.documents for form in forms):
            known = old.vectors.get(encoder, PassageVectors.empty())
            vectors[encoder] = await (await self._encoder(encoder)).vectors(texts, known, on_progress)
        kept = old.lexical if old.passages == passages else {}
        lexical = await _threaded(_word_indexes, passages, {form.words for form in forms}, kept)
        self._snapshot = _Snapshot(documents, passages, vectors, lexical)

    async def _encoder(self, base: str) -> PassageEncoder:
        if base not in self._encoders:
            self._encoders[base] = await PassageEncoder.open(self._engine, base, self._cache_folder)
        return self._encoders[base]


def _word_indexes(
    passages: Sequence[Passage], settings: set[WordSettings], known: Mapping[WordSettings, LexicalIndex]
) -> dict[WordSettings, LexicalIndex]:
    # A source often names whom or what a passage is about (a company, a policy), though its text does not.
    texts = [f"{passage.source}\n{passage.text}" for passage in passages]
    return {(k1, b): known.get((k1, b)) or LexicalIndex(texts, Fusion(k1=k1, b=b)) for k1, b in settings}


async def _threaded(function: Callable[[Unpack[Arguments]], Result], *arguments: *Arguments) -> Result:
    """`function` in a thread; a cancel does not wait for it, since what it computes is only used when it returns."""
    return await anyio.to_thread.run_sync(function, *arguments, abandon_on_cancel=True)
