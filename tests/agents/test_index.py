"""Searching passages while they change."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from coterie.agents.errors import CorpusError, StorageError
from coterie.agents.index import Index
from coterie.agents.messages import Passage
from coterie.agents.passages import Chunking, read_corpus

if TYPE_CHECKING:
    from coterie.agents.engine import Engine

pytestmark = pytest.mark.anyio

WHOLE = Chunking()
REPORTS = [
    Passage(id="sales", text="Net sales rose by ten percent in the first quarter.", source="2019.md", start=40),
    Passage(id="profit", text="The company expects lower profit and warns of weak demand.", source="2019.md"),
    Passage(id="board", text="The board approved a dividend and a new chief executive.", source="2020.md"),
]


class Opener:
    """Opens indexes over the tiny encoder, with one cache folder."""

    def __init__(self, engine: "Engine", base: Path, folder: Path) -> None:
        self.engine, self.base, self.folder = engine, str(base), folder

    async def __call__(self, passages: Sequence[Passage] = REPORTS, chunking: Chunking = WHOLE) -> Index:
        return await Index.open(read_corpus(passages), self.engine, self.base, self.folder, chunking=chunking)


@pytest.fixture
def open_index(engine: "Engine", tiny_encoder: Path, tmp_path: Path) -> Opener:
    """An index over REPORTS, unless other passages are given."""
    return Opener(engine, tiny_encoder, tmp_path / "embeddings")


def ids(passages: Sequence[Passage]) -> list[str]:
    return [passage.id for passage in passages]


async def test_a_hit_says_where_it_stands(open_index: Opener) -> None:
    """Id, text, score, source and span."""
    (found,) = await (await open_index()).search("How did net sales develop?", 1)
    assert (found.id, found.text, found.source) == ("sales", REPORTS[0].text, "2019.md")
    assert (found.start, found.end) == (40, 40 + len(REPORTS[0].text))
    assert 0 < found.score <= 1
    assert found.score == round(found.score, 6)


async def test_a_hit_tells_which_document_it_was_cut_from(open_index: Opener) -> None:
    """A whole document's passage has its id, a chunk's id extends it, and ids may hold the sign that chunks use."""
    long = Passage(id="board#2020", text="The board approved a dividend. " * 8)
    index = await open_index([REPORTS[0], long], Chunking(size=80, overlap=0))
    found = await index.search("dividend", 10)
    assert {index.document_of(passage.id) for passage in found} == {"sales", "board#2020"}


async def test_hits_come_best_first_and_no_more_than_there_are(open_index: Opener) -> None:
    """However many are asked for, but at least one."""
    index = await open_index()
    found = await index.search("dividend of the board", 10)
    assert found[0].id == "board"
    assert [passage.score for passage in found] == sorted((passage.score for passage in found), reverse=True)
    assert len(found) == len(index) == 3
    with pytest.raises(ValueError, match="cannot search for 0 passages; expected k >= 1"):
        await index.search("dividend", 0)


async def test_equal_scores_come_in_the_order_of_ids(open_index: Opener) -> None:
    """Also where the tie goes across the last place."""
    index = await open_index([Passage(id=name, text="Net sales rose.") for name in "dbca"])
    assert ids(await index.search("sales", 2)) == ["a", "b"]


@pytest.mark.parametrize("query", ["😀", "", "\0\x07", "of the"])
async def test_a_query_without_words_is_searched_for_by_meaning(open_index: Opener, query: str) -> None:
    """The best hit then has a score of 1."""
    found = await (await open_index()).search(query, 3)
    assert len(found) == 3
    assert found[0].score == 1


async def test_a_second_start_embeds_nothing(open_index: Opener, engine: "Engine", tiny_encoder: Path) -> None:
    """Embeddings are found on disk by the hash of their text, whatever the passages are called now."""
    first = await open_index()
    before = engine.statistics().texts_embedded
    assert first.embedded == before == 3
    renamed = [passage.model_copy(update={"id": passage.id.upper()}) for passage in reversed(REPORTS)]
    second = await open_index(renamed)
    assert second.embedded == 0
    assert engine.statistics().texts_embedded == before
    assert ids(await second.search("dividend of the board", 1)) == ["BOARD"]


async def test_the_same_text_is_embedded_once(open_index: Opener) -> None:
    """Two passages may say the same."""
    index = await open_index([Passage(id="a", text="Costs fell."), Passage(id="b", text="Costs fell.")])
    assert (index.embedded, len(index)) == (1, 2)


async def test_a_damaged_cache_is_mended_and_told(open_index: Opener) -> None:
    """The file is deleted, its texts are embedded again, and the answers are the same."""
    before = await (await open_index()).search("profit", 3)
    (segment,) = open_index.folder.rglob("*.safetensors")
    segment.write_bytes(segment.read_bytes()[:-4])
    index = await open_index()
    assert index.embedded == 3
    assert index.notices == (
        f"{segment.name} in the embedding cache was damaged; it was deleted and its texts were embedded again",
    )
    assert await index.search("profit", 3) == before
    assert (await open_index()).notices == ()


async def test_a_cache_that_cannot_be_written_is_an_error(engine: "Engine", tiny_encoder: Path, tmp_path: Path) -> None:
    """With what to do."""
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="point COTERIE_HOME at a folder that can be written"):
        await Index.open(read_corpus(REPORTS), engine, str(tiny_encoder), tmp_path / "file")


async def test_progress_is_told_while_embedding(engine: "Engine", tiny_encoder: Path, tmp_path: Path) -> None:
    """From nothing to all; a start that embeds nothing tells nothing."""
    told: list[tuple[int, int]] = []
    for _ in range(2):
        await Index.open(
            read_corpus(REPORTS),
            engine,
            str(tiny_encoder),
            tmp_path,
            on_progress=lambda done, total: told.append((done, total)),
        )
    assert told == [(0, 3), (3, 3)]


async def test_passages_are_added_updated_and_deleted_while_serving(open_index: Opener) -> None:
    """A change is seen by the next search, and embeds only what is new."""
    index = await open_index()
    await index.add(
        Passage(id="cash", text="Cash flow from operations doubled."), {"id": 7, "text": "Taxes were paid."}
    )
    assert ids(await index.search("cash flow", 1)) == ["cash"]
    assert ("7" in index, len(index), index.embedded) == (True, 5, 5)
    await index.update(Passage(id="cash", text="Inventories were written down."))
    assert ids(await index.search("inventories written down", 1)) == ["cash"]
    assert (len(index), index.embedded) == (5, 6)
    await index.delete("cash", "7")
    assert ids(await index.search("inventories written down", 9)) == ids(
        await (await open_index()).search("inventories written down", 9)
    )
    assert index.embedded == 6


async def test_long_passages_are_split_and_deleted_whole(open_index: Opener) -> None:
    """Their chunks come and go together."""
    index = await open_index(chunking=Chunking(30, 0))
    await index.add({"id": "long", "text": "Cash rose. Taxes fell this year. Debt was repaid."})
    assert {"long#1", "long#2"} <= set(ids(await index.search("cash", 99)))
    await index.update({"id": "long", "text": "Cash fell."})
    assert {name for name in ids(await index.search("cash", 99)) if name.startswith("long")} == {"long"}
    await index.delete("long")
    assert not [name for name in ids(await index.search("cash", 99)) if name.startswith("long")]


async def test_an_index_may_become_empty_and_full_again(open_index: Opener) -> None:
    """It then finds nothing, without fault."""
    index = await open_index()
    await index.delete("sales", "profit", "board")
    assert await index.search("sales", 5) == []
    await index.add(Passage(id="new", text="Sales."))
    assert ids(await index.search("sales", 5)) == ["new"]


async def test_changes_that_make_no_sense_are_refused_whole(open_index: Opener) -> None:
    """Nothing is changed by them."""
    index = await open_index()
    new = Passage(id="new", text="Sales.")
    with pytest.raises(CorpusError, match="passage 'sales' is indexed already; update it instead"):
        await index.add(new, REPORTS[0])
    with pytest.raises(CorpusError, match="passage 'new' is not indexed; add it first"):
        await index.update(REPORTS[0], new)
    with pytest.raises(CorpusError, match="passage 'new' is not indexed"):
        await index.delete("sales", "new")
    with pytest.raises(CorpusError, match="'new' occur more than once"):
        await index.add(new, new)
    with pytest.raises(CorpusError, match="it is blank; leave the passage out"):
        await index.add(Passage(id="blank", text=" "))
    assert len(index) == 3


async def test_chunks_may_not_take_the_id_of_another_passage(open_index: Opener) -> None:
    """A citation must mean one passage."""
    index = await open_index(chunking=Chunking(30, 0))
    await index.add({"id": "a#1", "text": "Short."})
    with pytest.raises(CorpusError, match="the index: each passage needs an id of its own, but 'a#1' occur"):
        await index.add({"id": "a", "text": "Cash rose. Taxes fell this year. Debt was repaid."})
    assert "a" not in index


async def test_a_search_sees_all_of_a_change_or_nothing(open_index: Opener) -> None:
    """While pairs of passages are added and deleted together, no answer holds one without the other."""
    index = await open_index()
    answers: list[list[str]] = []

    async def search() -> None:
        while len(index) != 1:
            answers.append(ids(await index.search("cash flow", 99)))

    async def change() -> None:
        for number in range(10):
            pair = [Passage(id=f"{side}{number}", text=f"Cash flow {number} {side}.") for side in ("left", "right")]
            await index.add(*pair)
            if number % 2:
                await index.delete(f"left{number}", f"right{number}")
        await index.delete(*[name for name in ids(await index.search("cash", 99)) if name != "sales"])

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(search)
        tasks.start_soon(change)
    for found in answers:
        lefts = {name.removeprefix("left") for name in found if name.startswith("left")}
        assert lefts == {name.removeprefix("right") for name in found if name.startswith("right")}


async def test_changes_at_the_same_time_are_all_made(open_index: Opener) -> None:
    """Writers wait for each other."""
    index = await open_index()
    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(index.add, Passage(id=str(number), text=f"Note {number}."))
    assert len(index) == 11


async def test_the_digest_tells_weights_and_settings_apart(open_index: Opener, engine: "Engine") -> None:
    """It names what made an answer."""
    first, again = await open_index(), await open_index()
    assert first.weights == again.weights
    assert len(first.weights) == 64
    assert first.weights != await engine.digest(open_index.base)
