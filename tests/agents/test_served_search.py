"""A retriever answers as the live release of its role says."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save, save_file

from coterie.agents.agent import Context
from coterie.agents.checkpoints import weights_digest
from coterie.agents.errors import CheckpointError, ReleaseCorrupt
from coterie.agents.fusion import Fusion
from coterie.agents.hosting import LocalHost
from coterie.agents.messages import Message, Passage
from coterie.agents.promotion import add, promote, rollback
from coterie.agents.releases import Release, StoredHead, StoredSearch
from coterie.agents.retriever import Retriever
from coterie.agents.served_search import read_map, serve_search

if TYPE_CHECKING:
    from coterie.agents.engine import Engine

pytestmark = pytest.mark.anyio

ROLE = "finance/search"
BY_MEANING = StoredSearch(lexical_share=0.0, k1=0.9, b=0.4)
BY_WORDS = StoredSearch(lexical_share=1.0, k1=0.1, b=0.3)
REPORTS = [
    Passage(id="sales", text="net sales rose in the first quarter"),
    Passage(id="board", text="the board approved a dividend"),
    Passage(id="costs", text="costs were higher and the outlook is weak"),
]


class Query(Message):
    text: str


class Evidence(Message):
    passages: list[Passage]


class Releases:
    """Stores and promotes releases of ROLE over one base."""

    def __init__(self, base: Path) -> None:
        self.base = base

    def __call__(self, search: StoredSearch | None, files: dict[str, bytes | Path], **changes: Any) -> Release:
        settings: dict[str, Any] = {"kind": "retriever", "base_digest": weights_digest(self.base)} | changes
        made = add(ROLE, base=str(self.base), files=files, search=search, **settings)
        return promote(ROLE, made.digest)


@pytest.fixture
def release(tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Releases:
    """In a home of this test's own."""
    monkeypatch.setenv("COTERIE_HOME", str(tmp_path / "home"))
    return Releases(tiny_encoder)


@pytest.fixture
def host(engine: "Engine") -> LocalHost:
    return LocalHost(engine)


def retriever(base: Path, fusion: Fusion | None = None) -> Retriever[Query, Evidence]:
    return Retriever[Query, Evidence](ROLE, passages=REPORTS, base=str(base), top_k=3, fusion=fusion)


def other_weights(base: Path, folder: Path) -> dict[str, bytes | Path]:
    """The files of a checkpoint like `base` with other weights."""
    shutil.copytree(base, folder)
    weights = load_file(folder / "model.safetensors")
    chance = np.random.default_rng(0)
    moved = {
        name: (tensor + chance.normal(0, 0.5, tensor.shape)).astype(tensor.dtype) for name, tensor in weights.items()
    }
    save_file(moved, folder / "model.safetensors", metadata={"format": "pt"})
    return {f"model/{path.name}": path for path in folder.iterdir()}


async def test_a_promotion_counts_from_the_next_message_on(release: Releases, host: LocalHost) -> None:
    """Without a restart, and so does a rollback; every answer carries the digest of what made it."""
    search = retriever(release.base)
    before = await search.handle(Query(text="dividend"), Context(host))
    first = release(BY_WORDS, {})
    after = await search.handle(Query(text="dividend"), Context(host))
    rollback(ROLE)
    again = await search.handle(Query(text="dividend"), Context(host))
    assert [passage.score for passage in after.passages] == [1, 0, 0]
    assert before.passages == again.passages != after.passages
    origins = [answer.origin.weights for answer in (before, after, again) if answer.origin is not None]
    index = await search.index(host)
    assert origins == [index.weights, first.digest, index.weights]


async def test_a_pinned_release_answers_whatever_is_live(release: Releases, host: LocalHost) -> None:
    """As a resumed run asks for; "" pins the base as it is."""
    pinned = release(BY_WORDS, {})
    release(BY_MEANING, {})
    search = retriever(release.base)
    told = await search.handle(Query(text="dividend"), Context(host, releases={ROLE: pinned.digest}))
    untuned = await search.handle(Query(text="dividend"), Context(host, releases={ROLE: ""}))
    assert [passage.score for passage in told.passages] == [1, 0, 0]
    assert untuned.origin is not None
    assert untuned.origin.weights == (await search.index(host)).weights


async def test_queries_go_through_the_map_of_the_release(release: Releases, host: LocalHost) -> None:
    """The mapped query has unit length again, and the passages are not embedded anew."""
    chance = np.random.default_rng(0)
    rotation = chance.normal(size=(32, 32)).astype(np.float32)
    release(BY_MEANING.model_copy(update={"query_map": True}), {"query.safetensors": save({"map": rotation})})
    found = await retriever(release.base).handle(Query(text="dividend"), Context(host))
    (query, *passages) = await host.engine.embed(str(release.base), ["dividend", *(one.text for one in REPORTS)])
    mapped = query @ rotation
    cosines = np.stack(passages) @ (mapped / np.linalg.norm(mapped))
    scores = (cosines + 1) / (cosines.max() + 1)
    assert {one.id: one.score for one in found.passages} == pytest.approx(
        {one.id: float(score) for one, score in zip(REPORTS, scores, strict=True)}, abs=1e-5
    )


@pytest.mark.parametrize("documents", ["base", "model"])
async def test_own_weights_embed_queries_and_passages_where_the_release_says_so(
    release: Releases, host: LocalHost, tmp_path: Path, documents: str
) -> None:
    """Passages by the base unless both sides were tuned."""
    files = other_weights(release.base, tmp_path / "own")
    release(BY_MEANING.model_copy(update={"documents": documents}), files)
    found = await retriever(release.base).handle(Query(text="dividend"), Context(host))
    base, own = str(release.base), str(tmp_path / "own")
    (query,) = await host.engine.embed(own, ["dividend"])
    passages = await host.engine.embed(own if documents == "model" else base, [one.text for one in REPORTS])
    best = REPORTS[int(np.argmax(passages @ query))].id
    cosines = passages @ query
    assert found.passages[0].id == best
    assert found.passages[-1].score == pytest.approx(float((cosines.min() + 1) / (cosines.max() + 1)), abs=1e-5)


async def test_a_fusion_that_the_user_gave_stays(release: Releases, host: LocalHost) -> None:
    """What is written in the code counts more than what was tuned."""
    release(BY_MEANING, {})
    found = await retriever(release.base, Fusion(lexical_share=1.0)).handle(Query(text="dividend"), Context(host))
    assert [passage.score for passage in found.passages] == [1, 0, 0]


async def test_passages_added_before_a_promotion_are_found_after_it(release: Releases, host: LocalHost) -> None:
    """One index serves every release, and more of them than it keeps ready."""
    search = retriever(release.base)
    index = await search.index(host)
    await index.add(Passage(id="tax", text="taxes were paid"))
    for step in range(6):
        release(BY_WORDS.model_copy(update={"k1": step / 10}), {})
        found = await search.handle(Query(text="taxes"), Context(host))
        assert found.passages[0].id == "tax"
    await index.delete("tax")
    found = await search.handle(Query(text="taxes"), Context(host))
    assert "tax" not in [passage.id for passage in found.passages]
    assert index.embedded == 4


async def test_a_release_that_does_not_fit_is_an_error(release: Releases, engine: "Engine") -> None:
    """In words, with what to do."""
    base = str(release.base)
    head = StoredHead(kind="classes", field="mood", labels=("a", "b"))
    classifier = release(None, {"head.safetensors": b"x"}, kind="classifier", heads=(head,))
    with pytest.raises(CheckpointError, match="is of a classifier, not a retriever"):
        await serve_search(ROLE, base, engine, classifier.digest)
    elsewhere = release(BY_WORDS, {}, base_digest="b" * 64)
    with pytest.raises(CheckpointError, match=r"was tuned over .* set base="):
        await serve_search(ROLE, base, engine, elsewhere.digest)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no tensors", "holds no tensor 'map'"),
        (save({"other": np.eye(2, dtype=np.float32)}), "holds no tensor 'map'"),
        (save({"map": np.ones((2, 3), np.float32)}), r"of shape \(2, 3\), expected finite float32"),
        (save({"map": np.full((2, 2), np.nan, np.float32)}), "expected finite float32"),
    ],
)
async def test_a_map_that_is_none_is_an_error(release: Releases, content: bytes, reason: str) -> None:
    """Before a query is mapped by it."""
    stored = release(BY_MEANING.model_copy(update={"query_map": True}), {"query.safetensors": content})
    with pytest.raises(ReleaseCorrupt, match=reason):
        read_map(stored)
