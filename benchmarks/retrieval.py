"""How well a retriever finds passages that it was not tuned for, against BM25, dense search and their rank fusion.

    python benchmarks/retrieval.py DATA/tatqa

The folder holds `test_passages.jsonl` (`id`, `text`) and `test_queries.jsonl` (`id`, `text`, `relevant`). Prints a
table and writes it to benchmarks/results/retrieval.md and .json. The embeddings are computed anew, in a scratch cache.
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import bm25s
import numpy as np

from coterie.agents.index import Index
from coterie.agents.inference import Inference
from coterie.agents.jsonlines import BadLine, read_objects
from coterie.agents.lazy_engine import LazyEngine
from coterie.agents.passages import Corpus, read_corpus
from coterie.tuning.intervals import paired_bootstrap
from coterie.tuning.rankings import RankingReport, evaluate_rankings

BASE = "minilm-l6"
DEPTH = 10  # ids of each ranking that count
RESULTS = Path(__file__).parent / "results"

Rankings = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Queries:
    texts: Mapping[str, str]  # query id -> text
    relevant: Mapping[str, Sequence[str]]  # query id -> passage ids


@dataclass(frozen=True, slots=True)
class Row:
    system: str
    report: RankingReport
    difference: str  # from BM25, with its 95 % interval
    index_seconds: float
    query_seconds: float  # for all queries together


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit("usage: python benchmarks/retrieval.py FOLDER  (with test_passages.jsonl, test_queries.jsonl)")
    folder = Path(sys.argv[1])
    corpus = read_corpus(folder / "test_passages.jsonl")
    queries = read_queries(folder / "test_queries.jsonl")
    rows = anyio.run(measure, corpus, queries)
    publish(rows, len(corpus.documents), len(queries.texts))


def read_queries(path: Path) -> Queries:
    rows = [row for row in read_objects(path, needed=("id", "text", "relevant")) if not isinstance(row, BadLine)]
    return Queries({row["id"]: row["text"] for row in rows}, {row["id"]: row["relevant"] for row in rows})


async def measure(corpus: Corpus, queries: Queries) -> list[Row]:
    started = time.perf_counter()
    by_words = bm25_scores(corpus, queries)
    words_seconds = time.perf_counter() - started
    by_meaning, dense_indexing, dense_querying = await dense_scores(corpus, queries)
    found, indexing, querying = await search_all(corpus, queries)
    names = [document.id for document in corpus.documents]
    by_rank = reciprocal_ranks(by_words) + reciprocal_ranks(by_meaning)
    rankings = [best(scores, list(queries.texts), names) for scores in (by_words, by_meaning, by_rank)]
    bm25, dense, rrf = (evaluate_rankings(ranking, queries.relevant, DEPTH) for ranking in rankings)
    ours = evaluate_rankings(found, queries.relevant, DEPTH)
    return [
        compared("BM25 (bm25s as it comes)", bm25, bm25, 0.0, words_seconds),
        compared("dense (MiniLM-L6 as it comes)", dense, bm25, dense_indexing, dense_querying),
        compared("reciprocal-rank fusion of both", rrf, bm25, dense_indexing, dense_querying + words_seconds),
        compared("Coterie", ours, bm25, indexing, querying),
    ]


@asynccontextmanager
async def fresh_engine() -> AsyncIterator[Inference]:
    """An engine that has loaded the weights, but has embedded nothing yet."""
    async with LazyEngine() as engine:
        await engine.embed(BASE, ["loads the weights, which no system is charged for"])
        yield engine


def compared(system: str, report: RankingReport, bm25: RankingReport, indexing: float, querying: float) -> Row:
    difference = "" if report is bm25 else str(paired_bootstrap(report.ndcgs, bm25.ndcgs))
    return Row(system, report, difference, indexing, querying)


def bm25_scores(corpus: Corpus, queries: Queries) -> np.ndarray:
    """(Q, N) scores of bm25s with its own tokens, English stop words and settings."""
    ranking = bm25s.BM25()
    texts = [document.text for document in corpus.documents]
    ranking.index(bm25s.tokenize(texts, stopwords="en", show_progress=False), show_progress=False)
    questions = list(queries.texts.values())
    asked: Any = bm25s.tokenize(questions, stopwords="en", return_ids=False, show_progress=False)
    return np.stack([ranking.get_scores(tokens) if tokens else np.zeros(len(texts)) for tokens in asked])


async def dense_scores(corpus: Corpus, queries: Queries) -> tuple[np.ndarray, float, float]:
    """(Q, N) cosines of whole passages, and the seconds that passages and queries took."""
    async with fresh_engine() as engine:
        started = time.perf_counter()
        passages = await engine.embed(BASE, [document.text for document in corpus.documents])  # (N, D)
        indexed = time.perf_counter()
        asked = await engine.embed(BASE, list(queries.texts.values()))  # (Q, D)
        return asked @ passages.T, indexed - started, time.perf_counter() - indexed


async def search_all(corpus: Corpus, queries: Queries) -> tuple[Rankings, float, float]:
    """Our rankings with every default, all queries at once, and the seconds of indexing and of searching."""
    found: Rankings = {}

    async def search(index: Index, query: str, text: str) -> None:
        passages = await index.search(text, 3 * DEPTH)
        parents = dict.fromkeys(passage.id.partition("#")[0] for passage in passages)  # a chunk counts for its whole
        found[query] = list(parents)[:DEPTH]

    with tempfile.TemporaryDirectory() as cache:
        async with fresh_engine() as engine:
            started = time.perf_counter()
            index = await Index.open(corpus, engine, BASE, Path(cache))
            indexed = time.perf_counter()
            async with anyio.create_task_group() as tasks:
                for query, text in queries.texts.items():
                    tasks.start_soon(search, index, query, text)
            return found, indexed - started, time.perf_counter() - indexed


def best(scores: np.ndarray, queries: Sequence[str], names: Sequence[str]) -> Rankings:
    """The names of the best passages of each query from scores (Q, N)."""
    order: list[list[int]] = np.argsort(-scores, axis=1, kind="stable")[:, :DEPTH].tolist()
    return {query: [names[place] for place in places] for query, places in zip(queries, order, strict=True)}


def reciprocal_ranks(scores: np.ndarray) -> np.ndarray:
    """(Q, N) of 1 / (60 + rank): Cormack, Clarke and Büttcher 2009."""
    ranks = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1) + 1
    return 1 / (60 + ranks)


def publish(rows: Sequence[Row], passages: int, queries: int) -> None:
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    lines = [
        f"# Retrieval without tuning: {queries:,} questions over {passages:,} passages (TAT-QA test)",
        "",
        "| system | nDCG@10 | MRR@10 | recall@10 | against BM25, 95 % interval | indexing, s | all queries, s |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {row.system} | {row.report.ndcg:.4f} | {row.report.mean_reciprocal_rank:.4f} | {row.report.recall:.4f} "
            f"| {row.difference} | {row.index_seconds:.1f} | {row.query_seconds:.1f} |"
            for row in rows
        ),
        "",
        f"Paired bootstrap over the questions, 10,000 resamples. Peak memory of the whole run: {memory:,.0f} MB.",
        "The settings of ours were chosen on the train questions; the test questions were used for this table only.",
        "",
    ]
    print("\n".join(lines))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "retrieval.md").write_text("\n".join(lines), encoding="utf-8")
    figures = {
        row.system: {
            "ndcg_at_10": round(row.report.ndcg, 4),
            "mrr_at_10": round(row.report.mean_reciprocal_rank, 4),
            "recall_at_10": round(row.report.recall, 4),
            "difference_from_bm25": row.difference,
            "index_seconds": round(row.index_seconds, 1),
            "query_seconds": round(row.query_seconds, 1),
        }
        for row in rows
    }
    table = {"queries": queries, "passages": passages, "peak_megabytes": round(memory), "systems": figures}
    (RESULTS / "retrieval.json").write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
