"""The ladder of a retriever: each rung costs more than the one below, and is climbed only while it pays.

    candidate = tune_retriever(dataset, "minilm-l6", Recipe.fast())

    map      fusion weights, BM25's settings and a linear map of queries in closed form: seconds, no new index
    query    the query side's own weights against the whole corpus: passages keep the base's vectors
    both     one encoder with weights of its own for both sides: passages are embedded anew

Train rows are learned from, validation rows judge. A rung with weights of its own is kept only where its gain is
significant, and nothing is kept that finds less than the base as it is.

This file knows nothing of releases' storage or of the gate.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from ..agents.checkpoints import locate, weights_digest
from ..agents.fusion import Fusion
from ..agents.releases import MODEL, QUERY_MAP, StoredSearch
from ..agents.tokens import quiet_transformers
from .adapters import write_checkpoint
from .both_sides import tune_both_sides
from .candidates import Candidate
from .datasets import Dataset
from .intervals import Difference, paired_bootstrap
from .progress import Progress, unheard
from .query_map import written
from .query_side import tune_queries
from .recipes import Recipe
from .retriever_task import RetrieverTask, TunedSearch
from .rows import RetrieverRow
from .search_settings import choose_fusion, choose_map
from .trunk import Platform, Trunk

Rung: TypeAlias = Literal["map", "query", "both"]

TUNERS = {"query": tune_queries, "both": tune_both_sides}


@dataclass(frozen=True, slots=True)
class RungReport:
    """What one rung found on the validation questions."""

    rung: str
    ndcg: float  # mean nDCG@10
    gain: Difference | None  # over what was best before; None: it is the base as it is
    kept: bool

    def __str__(self) -> str:
        gain = f", {self.gain} over the best before" if self.gain is not None else ""
        return f"{self.rung}: nDCG@10 {self.ndcg:.4f}{gain}{'' if self.kept else ', not kept'}"


def ladder_of(recipe: Recipe) -> tuple[Rung, ...]:
    """The rungs that `recipe` may climb: those that its method can train."""
    if recipe.method == "closed-form":
        return ("map",)
    return ("map", "query", "both") if recipe.method == "full" else ("map", "query")


def unheard_rung(report: RungReport) -> None:
    """Nobody listens."""


def tune_retriever(
    dataset: Dataset[RetrieverRow],
    base: str,
    recipe: Recipe,
    *,
    ladder: Sequence[Rung] | None = None,
    always: bool = False,
    listen: Callable[[Progress], None] = unheard,
    report: Callable[[RungReport], None] = unheard_rung,
    folder: Path | None = None,
    device: str | None = None,
    trunk: Trunk | None = None,
) -> Candidate:
    """The best way of searching that `recipe` finds for the role of `dataset`, as a candidate. Blocks.

    Args:
        dataset: rows with train and validation parts, and the texts of their passages.
        base: the encoder: a base checkpoint's name, a folder or a hub id.
        recipe: how rungs above the first are trained.
        ladder: rungs to climb, in order; None: those that suit the recipe.
        always: go on after a rung without a significant gain, to see what the rest would find.
        listen: called while a rung is trained.
        report: called with what each rung found.
        folder: where trainings keep checkpoints, so that a second call resumes, and where weights of the candidate's
            own are written; None: they are held in memory.
        device: "cpu", "cuda" or None for what is best here.
        trunk: the base with the embeddings that it remembers, to share them among tunings; None: one of its own.

    Raises:
        DatasetError: nothing is known to answer a question, to train on or to validate with.
        CheckpointError: `base` cannot be had.
        TrainingFailed: a training gave nothing that could be used.
    """
    dataset.check()
    quiet_transformers()
    located = locate(base)
    task = RetrieverTask.of(dataset, trunk or Trunk(located, Platform.probed(device)))
    best = TunedSearch("untuned", Fusion(), task.validation.ndcgs(task.validation_asked, task.chunks, [Fusion()])[0])
    said = [RungReport(best.rung, best.ndcg, None, kept=True)]
    report(said[0])
    start = best
    for rung in ladder_of(recipe) if ladder is None else ladder:
        found = _climb(rung, task, start, recipe, listen, folder, device)
        gain = paired_bootstrap(found.ndcgs, best.ndcgs, threads=task.validation.questions.threads)
        pays = gain.significant and gain.mean > 0
        kept = pays or (found.encoder is None and gain.mean >= 0)
        said.append(RungReport(found.rung, found.ndcg, gain, kept))
        report(said[-1])
        best = found if kept else best
        start = best if best.encoder is None else start
        if not (pays or always):
            break
    return _candidate(dataset, base, located, recipe, best, said, folder)


def _climb(
    rung: Rung,
    task: RetrieverTask,
    start: TunedSearch,
    recipe: Recipe,
    listen: Callable[[Progress], None],
    folder: Path | None,
    device: str | None,
) -> TunedSearch:
    if rung == "map":
        return _closed_form(task, start)
    place = None if folder is None else folder / f"training-{rung}"
    return TUNERS[rung](task, start, recipe, listen=listen, folder=place, device=device)


def _closed_form(task: RetrieverTask, start: TunedSearch) -> TunedSearch:
    """Fusion alone, and fusion with a map: whichever finds more on validation, the plainer one where they are even."""
    fusion = choose_fusion(task.train, task.train_asked, task.chunks)
    plain = TunedSearch(
        f"fusion {_told(fusion)}",
        fusion,
        task.validation.ndcgs(task.validation_asked, task.chunks, [fusion])[0],
    )
    chosen, with_map = choose_map(task.train, task.train_asked, task.chunks, fusion)
    mapped = TunedSearch(
        f"fusion {_told(with_map)} and a map of queries, ridge {chosen.ridge:g}, blend {chosen.blend:g}",
        with_map,
        task.validation.ndcgs(chosen.place(task.validation_asked), task.chunks, [with_map])[0],
        chosen.matrix,
    )
    return max((start, plain, mapped), key=lambda search: search.ndcg)


def _candidate(
    dataset: Dataset[RetrieverRow],
    base: str,
    located: Path,
    recipe: Recipe,
    best: TunedSearch,
    said: Sequence[RungReport],
    folder: Path | None,
) -> Candidate:
    files: dict[str, bytes | Path] = {}
    if best.query_map is not None:
        files[QUERY_MAP] = written(best.query_map)
    if best.encoder is not None:
        files |= _checkpoint_files(best, located, folder)
    return Candidate(
        role=dataset.role,
        kind="retriever",
        base=base,
        base_digest=weights_digest(located),
        files=files,
        recipe=recipe,
        search=StoredSearch(
            lexical_share=best.fusion.lexical_share,
            k1=best.fusion.k1,
            b=best.fusion.b,
            query_map=best.query_map is not None,
            documents=best.documents,
        ),
        dataset=dataset.digest,
        note="; ".join(map(str, said)),
    )


def _checkpoint_files(best: TunedSearch, located: Path, folder: Path | None) -> dict[str, bytes | Path]:
    assert best.encoder is not None  # noqa: S101 -- as the caller made sure
    if folder is not None:
        written_files = write_checkpoint(best.encoder, located, folder / MODEL)
        return {f"{MODEL}/{path.name}": path for path in written_files}
    with tempfile.TemporaryDirectory(prefix="coterie-retriever-") as place:
        written_files = write_checkpoint(best.encoder, located, Path(place))
        return {f"{MODEL}/{path.name}": path.read_bytes() for path in written_files}


def _told(fusion: Fusion) -> str:
    return f"{fusion.lexical_share:g}/{fusion.k1:g}/{fusion.b:g}"
