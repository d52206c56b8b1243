"""How well classifiers are tuned on real data, and in how much time: one recipe over several seeds.

    python benchmarks/tuning_classifier.py DATA --task banking77 --recipe best --seeds 0,1,2 --out banking77.json
    python benchmarks/tuning_classifier.py DATA --task headlines --recipe best --set epochs=8 --set learning_rate=3e-4
    python benchmarks/tuning_classifier.py DATA --task banking77 --shots 10 --recipe fast

DATA holds a folder for each task, as its public set comes: `train.jsonl`, `test.jsonl` and, of some, `val.jsonl`. Test
rows are seen once, by the candidate that validation rows chose. Runs on the CPU or on CUDA, unchanged. Files that hold
several recipes (`--sweep recipes.json`: a name and its settings each) share the encoder's cached embeddings, so that
seconds of all but the first leave out what was cached.
"""

import json
import resource
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import typer

from coterie.agents.checkpoints import locate
from coterie.agents.jsonlines import BadLine, read_objects
from coterie.agents.releases import StoredHead
from coterie.tuning.calibration import brier_score, expected_calibration_error
from coterie.tuning.classifier import tune_classifier
from coterie.tuning.classifier_answers import candidate_answers
from coterie.tuning.conformal import fit_conformal
from coterie.tuning.datasets import Dataset
from coterie.tuning.head_targets import HeadTargets, head_targets
from coterie.tuning.intervals import bootstrap, ratio, wilson
from coterie.tuning.learners import Rung, Step
from coterie.tuning.recipes import Recipe
from coterie.tuning.rows import ClassifierRow, Source, Split
from coterie.tuning.trunk import Platform, Trunk

Task = Literal["banking77", "phrasebank", "headlines"]
Preset = Literal["fast", "balanced", "best"]
MISS = 0.1  # share of right labels that conformal sets may miss


@dataclass(frozen=True)
class Result:
    """One recipe, one seed."""

    task: str
    name: str
    seed: int
    recipe: dict[str, Any]
    rows: dict[str, int]
    measures: dict[str, float]  # on test rows
    interval: str  # of the first measure, 95 %
    rungs: list[dict[str, Any]]
    seconds: float  # of tuning, embedding and writing included; test rows are not
    peak_memory: float  # GiB: of the process, or of the GPU where there is one
    device: str


def main(
    data: Annotated[Path, typer.Argument(help="Folder with a folder for each task.")],
    task: Annotated[Task, typer.Option(help="Which data.")] = "banking77",
    recipe: Annotated[Preset, typer.Option(help="Preset that --set changes.")] = "fast",
    set_: Annotated[list[str] | None, typer.Option("--set", help="A setting, as learning_rate=3e-4.")] = None,
    sweep: Annotated[Path | None, typer.Option(help="JSON: name -> settings, each tried instead of --set.")] = None,
    seeds: Annotated[str, typer.Option(help="Seeds with commas between.")] = "0",
    held_out: Annotated[
        int, typer.Option(help="Rows to validate and as many to calibrate, where no file has them.")
    ] = 500,
    shots: Annotated[int, typer.Option(help="Rows a label to train on; 0: all.")] = 0,
    limit: Annotated[int, typer.Option(help="Rows of each file that are used; 0: all.")] = 0,
    base: Annotated[str, typer.Option(help="Encoder.")] = "minilm-l6",
    device: Annotated[str | None, typer.Option(help="cpu or cuda; as the probe found best unless given.")] = None,
    climb: Annotated[bool, typer.Option(help="Go up the ladder; else straight to the recipe's rung.")] = False,
    out: Annotated[Path | None, typer.Option(help="JSON file for all results.")] = None,
) -> None:
    """Tunes and tests; prints one line for each seed, and the means."""
    recipes = recipes_of(recipe, set_ or [], sweep)
    results: list[Result] = []
    trunk = Trunk(locate(base), Platform.probed(device))
    for name, settings in recipes.items():
        for seed in map(int, seeds.split(",")):
            rows = task_rows(data / task, task, held_out, shots, limit, seed)
            chosen = settings.model_copy(update={"seed": seed})
            results.append(measure(task, name, rows, chosen, base, trunk, climb))
            show(results[-1])
            if out is not None:
                out.write_text(json.dumps([asdict(result) for result in results], indent=2) + "\n")
        show_mean([result for result in results if result.name == name])


def recipes_of(preset: Preset, settings: list[str], sweep: Path | None) -> dict[str, Recipe]:
    """By name; a sweep's recipes begin with the preset too."""
    named: dict[str, dict[str, Any]] = {preset: dict(setting.split("=", 1) for setting in settings)}
    if sweep is not None:
        common = named[preset]
        named = {name: common | changes for name, changes in json.loads(sweep.read_text(encoding="utf-8")).items()}
    return {
        name: Recipe.preset(preset, **{key: value_of(value) for key, value in changes.items()})
        for name, changes in named.items()
    }


def value_of(written: Any) -> Any:
    """A setting as JSON has it, or the word as it stands."""
    try:
        return json.loads(written) if isinstance(written, str) else written
    except json.JSONDecodeError:
        return written


def task_rows(folder: Path, task: Task, held_out: int, shots: int, limit: int, seed: int) -> Dataset[ClassifierRow]:
    """The rows of a task: those of test.jsonl are the gate's, those of val.jsonl validate and calibrate by halves."""
    chance = np.random.default_rng(seed)
    train, test = (read(folder / f"{name}.jsonl", limit) for name in ("train", "test"))
    val = folder / "val.jsonl"
    held = read(val, limit) if val.is_file() else []
    order = chance.permutation(len(train))
    if not held:
        held, order = [train[place] for place in order[: 2 * held_out]], order[2 * held_out :]
    train = few([train[place] for place in order], task, shots) if shots else [train[place] for place in order]
    half = len(held) if task == "headlines" else len(held) // 2  # numbers need no calibration
    parts: list[tuple[Split, list[dict[str, Any]]]] = [
        ("train", train), ("validation", held[:half]), ("calibration", held[half:]), ("gate", test),
    ]  # fmt: skip
    labels = tuple(sorted({str(row["label"]) for row in train})) if task != "headlines" else ("low", "high")
    head = (
        StoredHead(kind="regression", field="score", labels=labels, low=-1, high=1)
        if task == "headlines"
        else StoredHead(kind="classes", field="label", labels=labels)
    )
    rows = tuple(
        made_row(f"{split}-{number}", text_of(row), row[head.field], split)
        for split, some in parts
        for number, row in enumerate(some)
    )
    return Dataset(f"benchmark/{task}", "classifier", rows, heads=(head,))


def made_row(name: str, text: str, target: Any, split: Split) -> ClassifierRow:
    return ClassifierRow(name, text, (target,), split, Source(name, name))


def text_of(row: dict[str, Any]) -> str:
    """A headline is about a company, which stands before it."""
    return f"{row['company']}: {row['text']}" if "company" in row else str(row["text"])


def few(rows: list[dict[str, Any]], task: Task, shots: int) -> list[dict[str, Any]]:
    """The first `shots` rows of each label."""
    seen: dict[Any, int] = {}
    kept = []
    for row in rows:
        label = row.get("label", task)
        seen[label] = seen.get(label, 0) + 1
        if seen[label] <= shots:
            kept.append(row)
    return kept


def read(path: Path, limit: int) -> list[dict[str, Any]]:
    """Rows of a file; of a limit, evenly spread over it, for some are sorted by label."""
    rows = [row for row in read_objects(path, needed=("text",)) if not isinstance(row, BadLine)]
    return rows if not limit or limit >= len(rows) else [rows[place * len(rows) // limit] for place in range(limit)]


def measure(
    task: Task, name: str, data: Dataset[ClassifierRow], recipe: Recipe, base: str, trunk: Trunk, climb: bool
) -> Result:
    """Tunes, and answers the test rows once."""
    platform = trunk.platform
    on_gpu = platform.device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        tuned = tune_classifier(data, base, recipe, Path(folder), trunk=trunk, climb=climb, listen=Watch())
        seconds = time.perf_counter() - began
        peak = torch.cuda.max_memory_allocated() / 2**30 if on_gpu else peak_of_process()
        measures, interval = tested(tuned.candidate, data, platform)
    return Result(
        task=task,
        name=name,
        seed=recipe.seed,
        recipe=recipe.model_dump(mode="json"),
        rows={split: len(data.part(split)) for split in ("train", "validation", "calibration", "gate")},
        measures=measures,
        interval=interval,
        rungs=[told(rung) for rung in tuned.rungs],
        seconds=seconds,
        peak_memory=peak,
        device=torch.cuda.get_device_name() if on_gpu else f"cpu, {torch.get_num_threads()} threads",
    )


class Watch:
    """Prints a step now and then."""

    def __init__(self) -> None:
        self.last = time.monotonic()

    def __call__(self, step: Step) -> None:
        if time.monotonic() - self.last > 30 or "validation" in step.detail:
            self.last = time.monotonic()
            print(f"  {step.doing} {step.done}/{step.total} {step.detail}", flush=True)


def tested(candidate: Any, data: Dataset[ClassifierRow], platform: Platform) -> tuple[dict[str, float], str]:
    """Measures on the test rows, and the interval of the first of them."""
    test, calibration = data.part("gate"), data.part("calibration")
    (found,) = candidate_answers(candidate, test, platform)  # (N, K)
    (right,) = head_targets(test, data.heads)
    if right.head.kind == "regression":
        return of_numbers(np.clip(found[:, 0], -1, 1), right.values[:, 0].astype(np.float64))
    best, wanted = found.argmax(axis=1), right.values.argmax(axis=1)
    hits = best == wanted
    share = wilson(int(hits.sum()), len(hits))
    measures = {
        "accuracy": share.value,
        "macro_f1": macro_f1(best, wanted),
        "ece": expected_calibration_error(found.max(axis=1), hits),
        "brier": brier_score(found, right),
        "log_loss": float(-np.log(found[np.arange(len(found)), wanted]).mean()),
        **conformal(candidate, calibration, data, platform, found, right),
    }
    return measures, str(share)


def conformal(
    candidate: Any,
    calibration: tuple[ClassifierRow, ...],
    data: Dataset[ClassifierRow],
    platform: Platform,
    found: np.ndarray,
    right: HeadTargets,
) -> dict[str, float]:
    """Coverage and mean size of sets that may miss a tenth."""
    (known,) = candidate_answers(candidate, calibration, platform)
    (told,) = head_targets(calibration, data.heads)
    sets = fit_conformal("aps", known, told.values.argmax(axis=1), MISS).of(found, seed=1)
    covered = sets[np.arange(len(found)), right.values.argmax(axis=1)]
    return {"set_coverage": float(covered.mean()), "set_size": float(sets.sum(axis=1).mean())}


def of_numbers(given: np.ndarray, wanted: np.ndarray) -> tuple[dict[str, float], str]:
    parts = np.stack([given * wanted, given**2, wanted**2], axis=1)  # (N, 3)
    interval = bootstrap(parts, lambda sums: sums[..., 0] / np.sqrt(sums[..., 1] * sums[..., 2]))
    errors = np.abs(given - wanted)
    determined = 1 - float(((given - wanted) ** 2).sum() / ((wanted - wanted.mean()) ** 2).sum())
    error = float(ratio(np.array([errors.sum(), len(errors)])))
    return {"cosine": interval.value, "mae": error, "r2": determined}, str(interval)


def macro_f1(best: np.ndarray, wanted: np.ndarray) -> float:
    scores = []
    for label in np.unique(wanted):
        hits = int(((best == label) & (wanted == label)).sum())
        scores.append(2 * hits / max(int((best == label).sum() + (wanted == label).sum()), 1))
    return float(np.mean(scores))


def told(rung: Rung) -> dict[str, Any]:
    return {"name": rung.name, "validation": rung.validation, "seconds": rung.seconds, "trainable": rung.trainable,
            "kept": rung.kept, "note": rung.note}  # fmt: skip


def peak_of_process() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def show(result: Result) -> None:
    numbers = "  ".join(f"{name} {value:.4f}" for name, value in result.measures.items())
    print(f"{result.task} {result.name} seed {result.seed}: {numbers}  {result.interval}", flush=True)
    print(f"  {result.seconds:.1f} s, {result.peak_memory:.2f} GiB, {result.device}, rows {result.rows}", flush=True)
    for rung in result.rungs:
        mark = "*" if rung["kept"] else " "
        print(
            f"  {mark} {rung['name']}: {rung['validation']:.4f} in {rung['seconds']:.1f} s  {rung['note']}", flush=True
        )


def show_mean(results: list[Result]) -> None:
    if len(results) > 1:
        values = {name: [result.measures[name] for result in results] for name in results[0].measures}
        numbers = "  ".join(f"{name} {np.mean(found):.4f} ± {np.std(found):.4f}" for name, found in values.items())
        print(f"{results[0].task} {results[0].name}, {len(results)} seeds: {numbers}", flush=True)


if __name__ == "__main__":
    typer.run(main)
