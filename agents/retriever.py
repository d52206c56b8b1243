"""`Retriever`: an agent that answers a message with the passages that fit it best.

A light description: which passages, which encoder, how many. The index itself lives in the host, one for each
retriever, and is opened when it is first needed; it serves whichever release of the role is live, which is asked for
each message, so that a promotion counts from the next one on. This file imports no numpy and does not know how passages
are scored.
"""

from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import anyio.to_thread

from .agent import Context, Described, Host, In, Out
from .checkpoints import home
from .errors import OutputTypeError
from .fusion import Fusion
from .loading import load
from .messages import Message, Origin, Passage
from .passages import Chunking, CorpusSource, read_corpus
from .releases import check_role, live_digest
from .rendering import text_of
from .type_forms import accepts, describe, item_of

if TYPE_CHECKING:
    from .index import Index
    from .served_search import ServedSearch

AnyMessage = TypeVar("AnyMessage", bound=Message)

_CHUNKING = Chunking()


def _unheard(done: int, total: int) -> None:
    return None


class Retriever(Described[In, Out]):
    """Finds passages by meaning and by words.

        search = Retriever[Query, Evidence]("finance/search", passages="reports.jsonl")

    `Evidence` has one field `list[Passage]`; its other fields are copied from fields of the same name in the query, or
    have defaults.

    Args:
        role: the role's name, under which it is tuned and logged.
        passages: a file of JSON lines (`id`, `text`, optional `source`), a .txt or .md file, a folder of such text
            files, or an iterable of passages, texts or mappings.
        base: the encoder: a base checkpoint's name, a folder or a hub id.
        top_k: passages in an answer, at most.
        name: its name in a graph; the last part of the role unless given.
        fusion: how the search by words and the search by meaning are joined; unless given, as the role's live release
            says, else `Fusion()`.
        chunking: how long texts are cut.
        cache_folder: where embeddings are kept; `embeddings` in COTERIE_HOME unless given.

    Raises:
        CheckpointError: `role` cannot name a role.
        ValueError: `top_k` is below 1.
    """

    def __init__(
        self,
        role: str,
        *,
        passages: CorpusSource,
        base: str = "minilm-l6",
        top_k: int = 5,
        name: str | None = None,
        fusion: Fusion | None = None,
        chunking: Chunking = _CHUNKING,
        cache_folder: Path | None = None,
    ) -> None:
        check_role(role)
        if top_k < 1:
            raise ValueError(f"retriever {role!r} cannot answer with {top_k} passages; expected top_k >= 1")
        self.role = role
        self.name = name or role.rpartition("/")[2]
        self.base = base
        self.top_k = top_k
        self.fusion = fusion
        self.chunking = chunking
        self._passages = passages if isinstance(passages, str | PathLike) else tuple(passages)
        self._cache_folder = cache_folder

    def faults(self) -> list[str]:
        """Why these types cannot be answered with passages, in sentences; empty where they can."""
        consumes, produces = self.signature.consumes, self.signature.produces
        if not _is_message(consumes):
            return [f"a retriever takes one message type, not {describe(consumes)}"]
        if not _is_message(produces):
            return [
                f"a retriever answers with one message type that has a field `list[Passage]`, not {describe(produces)}"
            ]
        return [*_faults_of_passages(produces), *_faults_of_copies(consumes, produces)]

    async def index(self, host: Host, on_progress: Callable[[int, int], None] = _unheard) -> "Index":
        """The live index in `host`: opened now if it was not yet; add, update and delete passages through it.

        `on_progress` is called with how many texts were embedded and how many there are, if this call opens it.

        Raises:
            CorpusError: the passages cannot be read, there are none, or two have the same id.
            StorageError: the embeddings cannot be kept on disk.
        """

        async def open_index() -> "Index":
            module = await anyio.to_thread.run_sync(load, "agents.index", abandon_on_cancel=True)
            corpus = await anyio.to_thread.run_sync(read_corpus, self._passages, abandon_on_cancel=True)
            index: Index = await module.Index.open(
                corpus,
                host.engine,
                self.base,
                self._cache_folder or home() / "embeddings",
                fusion=self.fusion or Fusion(),
                chunking=self.chunking,
                on_progress=on_progress,
            )
            return index

        return await host.resource(("index", self), open_index)

    async def handle(self, message: In, context: Context) -> Out:
        """The `top_k` passages that fit the text of `message` best.

        Raises:
            OutputTypeError: the output type has no single field for passages.
            CorpusError: the passages cannot be read.
            CheckpointError: the base or the role's release cannot be used.
        """
        faults = self.faults()
        if faults:
            raise OutputTypeError(f"retriever {self.name!r}: {'; '.join(faults)}")
        pinned = context.releases.get(self.role)
        release = live_digest(self.role) if pinned is None else pinned
        index = await self.index(context.host)
        search = await context.host.resource(("search", self, release), lambda: self.served(context.host, release))
        asked = cast("Message", message)  # as faults() made sure
        found = await index.search(text_of(asked), self.top_k, search)
        origin = Origin(role=self.role, weights=search.digest or index.weights)
        return cast("Out", _answer(asked, self.signature.produces, found).made_by(origin))

    async def served(self, host: Host, release: str) -> "ServedSearch":
        """How it searches by the release with this digest; "": by none, the base as it is.

        Raises:
            CheckpointError: the base or the release cannot be used.
        """
        module = await anyio.to_thread.run_sync(load, "agents.served_search", abandon_on_cancel=True)
        search: ServedSearch = await module.serve_search(self.role, self.base, host.engine, release, self.fusion)
        return search


def _is_message(form: Any) -> bool:
    return isinstance(form, type) and issubclass(form, Message)


def _fields_of_passages(kind: type[Message]) -> list[str]:
    forms: dict[str, Any] = {name: field.annotation for name, field in kind.model_fields.items()}
    return [name for name, form in forms.items() if item_of(form) is Passage]


def _copied(consumes: type[Message], produces: type[Message]) -> list[str]:
    """Fields of the answer that are filled from the question."""
    passages = _fields_of_passages(produces)
    return [name for name in produces.model_fields if name in consumes.model_fields and name not in passages]


def _faults_of_passages(produces: type[Message]) -> Iterator[str]:
    found = _fields_of_passages(produces)
    if len(found) != 1:
        what = f"{len(found)} ({', '.join(found)})" if found else "none"
        yield f"{produces.__name__} needs exactly one field `list[Passage]` for what is found, but has {what}"


def _faults_of_copies(consumes: type[Message], produces: type[Message]) -> Iterator[str]:
    copied, passages = _copied(consumes, produces), _fields_of_passages(produces)
    for name, field in produces.model_fields.items():
        if name in copied:
            source = consumes.model_fields[name].annotation
            if not accepts(field.annotation, source):
                yield (
                    f"{produces.__name__}.{name} is {describe(field.annotation)}, but {consumes.__name__}.{name}, "
                    f"from which it would be copied, is {describe(source)}; make them the same, or rename one"
                )
        elif name not in passages and field.is_required():
            yield (
                f"nothing fills {produces.__name__}.{name}; give it a default, "
                f"or give {consumes.__name__} a field of this name to copy"
            )


def _answer(message: Message, produces: type[AnyMessage], found: list[Passage]) -> AnyMessage:
    values: dict[str, Any] = {name: getattr(message, name) for name in _copied(type(message), produces)}
    return produces(**values, **{_fields_of_passages(produces)[0]: found})
