"""The agent that answers with passages."""

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from coterie.agents.agent import Context
from coterie.agents.errors import CorpusError, OutputTypeError
from coterie.agents.hosting import LocalHost
from coterie.agents.messages import Message, Passage
from coterie.agents.retriever import Retriever

if TYPE_CHECKING:
    from coterie.agents.engine import Engine

REPORTS = [
    Passage(id="sales", text="Net sales rose by ten percent in the first quarter.", source="2019.md"),
    Passage(id="board", text="The board approved a dividend and a new chief executive.", source="2020.md"),
]


class Query(Message):
    text: str
    company: str = "Acme"
    year: int = 2019


class Evidence(Message):
    passages: list[Passage]
    company: str
    complete: bool = True


class TwoLists(Message):
    good: list[Passage]
    bad: list[Passage]


class NoList(Message):
    text: str


class Strange(Message):
    passages: list[Passage]
    year: str
    author: str


@pytest.fixture
def host(engine: "Engine") -> LocalHost:
    """A host around a real engine."""
    return LocalHost(engine)


@pytest.fixture
def search(tiny_encoder: Path) -> Retriever[Query, Evidence]:
    """Over REPORTS, answering with the single best passage."""
    return Retriever[Query, Evidence]("finance/search", passages=REPORTS, base=str(tiny_encoder), top_k=1)


@pytest.mark.anyio
async def test_an_answer_holds_the_best_passages_and_copied_fields(
    search: Retriever[Query, Evidence], host: LocalHost
) -> None:
    """Fields of the same name come from the question, others from their defaults."""
    answer = await search.handle(Query(text="Who approved the dividend?", company="Initech"), Context(host))
    assert [passage.id for passage in answer.passages] == ["board"]
    assert (answer.company, answer.complete) == ("Initech", True)


@pytest.mark.anyio
async def test_an_answer_names_what_made_it(search: Retriever[Query, Evidence], host: LocalHost) -> None:
    """The role, and a digest of the weights and the settings; its scores are no probabilities."""
    answer = await search.handle(Query(text="dividend"), Context(host))
    index = await search.index(host)
    assert answer.origin is not None
    assert (answer.origin.role, answer.origin.weights) == ("finance/search", index.weights)
    assert not answer.origin.calibrated


@pytest.mark.anyio
async def test_passages_change_while_serving(search: Retriever[Query, Evidence], host: LocalHost) -> None:
    """The live index of the host is the one that answers."""
    index = await search.index(host)
    assert index is await search.index(host)
    await index.update(Passage(id="sales", text="Nobody approved anything but the dividend of 2021."))
    answer = await search.handle(Query(text="dividend of 2021"), Context(host))
    assert [passage.id for passage in answer.passages] == ["sales"]


@pytest.mark.anyio
async def test_bad_lines_are_kept_and_the_rest_is_found(host: LocalHost, tiny_encoder: Path, tmp_path: Path) -> None:
    """The caller can report them when the work is done."""
    file = tmp_path / "reports.jsonl"
    file.write_text('{"id": "a", "text": "Net sales rose."}\n{"id": "b", "txt": "?"}\n')
    search = Retriever[Query, Evidence]("search", passages=str(file), base=str(tiny_encoder))
    answer = await search.handle(Query(text="sales"), Context(host))
    assert [passage.source for passage in answer.passages] == ["reports.jsonl"]
    assert [str(bad) for bad in (await search.index(host)).bad_lines] == [
        f"{file}, line 2: 'text' is missing; it has 'id', 'txt'"
    ]


@pytest.mark.anyio
async def test_an_empty_corpus_fails_each_request_and_can_be_mended(
    host: LocalHost, tiny_encoder: Path, tmp_path: Path
) -> None:
    """A failure to open is not kept."""
    search = Retriever[Query, Evidence]("search", passages=tmp_path, base=str(tiny_encoder))
    for _ in range(2):
        with pytest.raises(CorpusError, match="it holds no passages; give a file of JSON lines"):
            await search.handle(Query(text="sales"), Context(host))
    (tmp_path / "a.txt").write_text("Net sales rose.")
    assert (await search.handle(Query(text="sales"), Context(host))).passages[0].id == "a.txt"


def test_the_name_is_the_last_part_of_the_role_unless_given() -> None:
    """A graph may hold two retrievers of one role."""
    assert Retriever[Query, Evidence]("finance/search", passages=REPORTS).name == "search"
    assert Retriever[Query, Evidence]("finance/search", passages=REPORTS, name="again").name == "again"


def test_an_iterable_is_read_once() -> None:
    """A generator can be given, and the retriever opened in several hosts."""
    search = Retriever[Query, Evidence]("search", passages=(text for text in ("a", "b")))
    assert search.faults() == []


@pytest.mark.parametrize(
    ("produces", "sentences"),
    [
        (Evidence, []),
        (TwoLists, ["TwoLists needs exactly one field `list[Passage]` for what is found, but has 2 (good, bad)"]),
        (NoList, ["NoList needs exactly one field `list[Passage]` for what is found, but has none"]),
        (
            Strange,
            [
                "Strange.year is str, but Query.year, from which it would be copied, is int; "
                "make them the same, or rename one",
                "nothing fills Strange.author; give it a default, or give Query a field of this name to copy",
            ],
        ),
        (
            Evidence | NoList,
            [
                "a retriever answers with one message type that has a field `list[Passage]`, not Evidence | NoList",
            ],
        ),
    ],
)
def test_types_that_cannot_be_answered_are_faults(produces: type[Message], sentences: list[str]) -> None:
    """Every one of them, in plain words."""
    assert Retriever[Query, produces]("search", passages=REPORTS).faults() == sentences


def test_a_retriever_takes_one_message() -> None:
    """Not a list of them."""
    search = Retriever[list[Query], Evidence]("search", passages=REPORTS)
    assert search.faults() == ["a retriever takes one message type, not list[Query]"]


@pytest.mark.anyio
async def test_wrong_types_fail_before_anything_is_opened(host: LocalHost) -> None:
    """Also where no graph has checked them."""
    search = Retriever[Query, NoList]("search", passages="nowhere.jsonl")
    with pytest.raises(OutputTypeError, match="retriever 'search': NoList needs exactly one field"):
        await search.handle(Query(text="sales"), Context(host))


def test_no_passages_is_no_answer() -> None:
    """`top_k` says how many at most."""
    with pytest.raises(ValueError, match="retriever 'search' cannot answer with 0 passages; expected top_k >= 1"):
        Retriever[Query, Evidence]("search", passages=REPORTS, top_k=0)


def test_describing_a_retriever_loads_nothing_heavy() -> None:
    """The index and what it needs are loaded when a host first opens it."""
    heavy = "{'torch', 'numpy', 'bm25s', 'transformers', 'safetensors'}"
    code = f"import sys, coterie.agents.retriever; print(*({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.stdout.strip(), done.stderr) == ("", "")
