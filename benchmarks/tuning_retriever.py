"""What tuning gives a retriever: TAT-QA, train questions to test questions, as it is served.

    python benchmarks/tuning_retriever.py ../shared/data/tatqa                     # rung 0: closed form, under a minute
    python benchmarks/tuning_retriever.py ../shared/data/tatqa --recipe best --always --out tatqa.json

The folder holds `{train,test}_passages.jsonl` (`id`, `text`) and `{train,test}_queries.jsonl` (`id`, `text`,
`relevant`). Everything is chosen on the train file, of which a fifth (by threads of questions that share passages) is
the validation part; each seed draws another fifth. The test questions, which are about other passages, are then asked
of the served index once untuned and once for each seed. `--no-test` leaves them alone, for trying things out.
"""

import json
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer

from coterie.agents.checkpoints import locate
from coterie.agents.engine import Engine
from coterie.agents.index import Index
from coterie.agents.jsonlines import BadLine, read_objects
from coterie.agents.passages import read_corpus
from coterie.agents.served_search import serve_search
from coterie.tuning.candidates import store
from coterie.tuning.datasets import Dataset
from coterie.tuning.intervals import paired_bootstrap
from coterie.tuning.near_duplicates import Groups
from coterie.tuning.rankings import RankingReport, evaluate_rankings
from coterie.tuning.recipes import Recipe
from coterie.tuning.retriever import RungReport, tune_retriever
from coterie.tuning.rows import RetrieverRow, Source
from coterie.tuning.trunk import Platform, Trunk

BASE = "minilm-l6"
ROLE = "benchmark/tatqa"
DEPTH = 10
VALIDATION = 0.2  # share of the threads of the train file


@dataclass(frozen=True, slots=True)
class Outcome:
    """One tuning."""

    seed: int
    digest: str
    seconds: float  # of the tuning: embedding the train corpus, choosing, training
    rungs: tuple[RungReport, ...]


def main(
    data: Annotated[Path, typer.Argument(help="The folder of TAT-QA.", exists=True, file_okay=False)],
    recipe: Annotated[str, typer.Option(help="A preset (fast, balanced, best) or a TOML file.")] = "fast",
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, from 0.")] = 1,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, or what is best here.")] = None,
    always: Annotated[bool, typer.Option("--always", help="Climb on after a rung without a significant gain.")] = False,
    test: Annotated[bool, typer.Option(help="Ask the test questions.")] = True,
    out: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
) -> None:
    """Tunes on the train questions and measures on the test questions."""
    base = str(locate(BASE))
    with tempfile.TemporaryDirectory(prefix="coterie-benchmark-") as home:
        os.environ["COTERIE_HOME"] = home
        trunk = Trunk(
            Path(base), Platform.probed(device)
        )  # the seeds share what it embeds, which the first one pays for
        outcomes = [tuned(data, trunk, read_recipe(recipe, seed), always, device) for seed in range(seeds)]
        figures: dict[str, Any] = {"recipe": recipe, "tunings": [told(outcome) for outcome in outcomes]}
        if test:
            reports = anyio.run(measured, data, base, [outcome.digest for outcome in outcomes], device)
            figures |= compared(reports, [outcome.digest for outcome in outcomes])
    figures["peak_megabytes"] = round(peak_megabytes())
    print(json.dumps(figures, indent=2))
    if out is not None:
        out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def read_recipe(name: str, seed: int) -> Recipe:
    """The preset called `name`, or the recipe in that file, with `seed`."""
    if name in ("fast", "balanced", "best"):
        return Recipe.preset(name, seed=seed)  # type: ignore[arg-type]  # as was just checked
    return Recipe.read(Path(name)).model_copy(update={"seed": seed})


def tuned(data: Path, trunk: Trunk, recipe: Recipe, always: bool, device: str | None) -> Outcome:
    """Tunes on the train file; the candidate is stored."""
    rungs: list[RungReport] = []

    def hear(rung: RungReport) -> None:
        rungs.append(rung)
        print(f"seed {recipe.seed}, {time.perf_counter() - started:.1f} s: {rung}", file=sys.stderr, flush=True)

    started = time.perf_counter()
    dataset = train_dataset(data, recipe.seed)
    base = str(trunk.folder)
    candidate = tune_retriever(dataset, base, recipe, always=always, report=hear, device=device, trunk=trunk)
    seconds = time.perf_counter() - started
    return Outcome(recipe.seed, store(candidate, dataset.rows).digest, seconds, tuple(rungs))


def train_dataset(data: Path, seed: int) -> Dataset[RetrieverRow]:
    """The train file in two parts; questions that share a passage lie in one."""
    passages = {row["id"]: row["text"] for row in rows_of(data / "train_passages.jsonl", "id", "text")}
    asked = rows_of(data / "train_queries.jsonl", "id", "text", "relevant")
    groups = Groups(len(asked))
    first: dict[str, int] = {}
    for number, row in enumerate(asked):
        for name in row["relevant"]:
            groups.join(first.setdefault(name, number), number)
    threads = [groups.of(number) for number in range(len(asked))]
    every = sorted(set(threads))
    random.Random(seed).shuffle(every)  # noqa: S311 -- a split, not a secret
    held_out = set(every[: round(VALIDATION * len(every))])
    rows = tuple(
        RetrieverRow(
            id=row["id"],
            query=row["text"],
            relevant=tuple(row["relevant"]),
            split="validation" if thread in held_out else "train",
            source=Source("train_queries.jsonl", f"thread {thread}"),
        )
        for row, thread in zip(asked, threads, strict=True)
    )
    return Dataset(role=ROLE, kind="retriever", rows=rows, passages=passages)


def rows_of(path: Path, *needed: str) -> list[dict[str, Any]]:
    """The rows of a file of JSON lines."""
    return [row for row in read_objects(path, needed=needed) if not isinstance(row, BadLine)]


async def measured(data: Path, base: str, digests: Sequence[str], device: str | None) -> Mapping[str, RankingReport]:
    """What the served index finds for the test questions, by the digest that answers; "" is the base as it is."""
    asked = rows_of(data / "test_queries.jsonl", "id", "text", "relevant")
    texts = {row["id"]: row["text"] for row in asked}
    relevant = {row["id"]: row["relevant"] for row in asked}
    reports: dict[str, RankingReport] = {}
    async with Engine(device=device) as engine:
        index = await Index.open(
            read_corpus(data / "test_passages.jsonl"), engine, base, Path(os.environ["COTERIE_HOME"]) / "embeddings"
        )
        for digest in ["", *dict.fromkeys(digests)]:
            search = await serve_search(ROLE, base, engine, digest)
            rankings: dict[str, list[str]] = {}

            async def ask(query: str, text: str, search: Any = search, found: Any = rankings) -> None:
                passages = await index.search(text, 3 * DEPTH, search)
                found[query] = list(dict.fromkeys(index.document_of(passage.id) for passage in passages))[:DEPTH]

            async with anyio.create_task_group() as tasks:
                for query, text in texts.items():
                    tasks.start_soon(ask, query, text)
            reports[digest] = evaluate_rankings(rankings, relevant, DEPTH)
    return reports


def compared(reports: Mapping[str, RankingReport], digests: Sequence[str]) -> dict[str, Any]:
    """The figures of the test questions."""
    untuned = reports[""]
    return {
        "untuned": shown(untuned),
        "tuned": [
            shown(reports[digest]) | {"gain": str(paired_bootstrap(reports[digest].ndcgs, untuned.ndcgs))}
            for digest in digests
        ],
    }


def shown(report: RankingReport) -> dict[str, Any]:
    return {
        "ndcg_at_10": round(report.ndcg, 4),
        "mrr_at_10": round(report.mean_reciprocal_rank, 4),
        "recall_at_10": round(report.recall, 4),
    }


def told(outcome: Outcome) -> dict[str, Any]:
    return {
        "seed": outcome.seed,
        "release": outcome.digest[:12],
        "seconds": round(outcome.seconds, 1),
        "validation": [str(rung) for rung in outcome.rungs],
    }


def peak_megabytes() -> float:
    """Of the whole run."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    typer.run(main)
