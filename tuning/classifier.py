"""The ladder of a classifier: heads over cached embeddings, then the upper layers, then whatever the recipe names.

    tuned = tune_classifier(dataset, "minilm-l6", Recipe.best(), Path("work"))
    tuned.candidate.files["head.safetensors"]

A rung is kept where it validates better. The ladder ends at the first whose gain on validation rows could be chance, or
when the recipe's time is up. What is compared is what would be served: embeddings of the written checkpoint, by the
encoder and in the number type of the engine, and heads at a temperature that calibration rows chose.

Letters in shape comments: N rows, D width of an embedding, F features, K labels.

This file does not know whether the candidate is better than what is live.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..agents.checkpoints import locate, weights_digest
from ..agents.heads import LinearHeads, write_heads
from ..agents.releases import HEAD, MODEL, StoredHead
from .augmentation import changed_copies
from .candidates import Candidate
from .classifier_rows import classifier_rows, number_scales
from .classifier_training import TrainedClassifier, train_classifier
from .datasets import Dataset
from .errors import DatasetError
from .head_fitting import FeatureScale, calibrated, fit_heads
from .head_targets import HeadTargets, check_varied, head_targets
from .intervals import Difference, paired_bootstrap
from .learners import Listen, Rung, Step, Tuned, step_of, unheard
from .logistic import losses_of, probabilities_of
from .recipes import Recipe
from .rows import ClassifierRow
from .trunk import Platform, Trunk

if TYPE_CHECKING:
    from numpy.typing import NDArray

LADDER = ("top",)  # rungs between the first and that of the recipe


def tune_classifier(
    dataset: Dataset[ClassifierRow],
    base: str,
    recipe: Recipe,
    folder: Path,
    *,
    listen: Listen = unheard,
    device: str | None = None,
    trunk: Trunk | None = None,
    climb: bool = True,
) -> Tuned:
    """The best candidate up to the rung that `recipe` names, which is the only one if its method is `closed-form`.

    Args:
        dataset: rows to train on, and from the second rung on rows to validate; rows to calibrate where there are any.
        base: the encoder: a base checkpoint's name, a folder or a hub id.
        recipe: of the last rung; the one before it, `top`, takes its seed, time and batches.
        folder: where trainings keep checkpoints, and weights of its own are written.
        listen: told what is being done.
        device: "cpu" or "cuda"; None: as the probe found best.
        trunk: the base, with the embeddings and states that earlier trials or other roles computed; None: opened now.
        climb: False: the rung of the recipe follows the first at once, and is the candidate whatever it validates.

    Raises:
        DatasetError: there is nothing to learn from, or a second rung has no rows to validate.
        TrainingFailed: nothing came of the training.
        CheckpointError: the base cannot be had.
        OutOfMemory: there is no memory even for batches of one row.
    """
    began = time.perf_counter()
    place = locate(base)
    ladder = _Ladder.of(dataset, trunk or Trunk(place, Platform.probed(device)), recipe, listen)
    standings = [ladder.first()]
    rungs = [standings[0].rung(None, kept=True)]
    recipes = () if recipe.method == "closed-form" else _recipes(recipe, climb)
    for step in recipes:
        left = None if recipe.budget_seconds is None else recipe.budget_seconds - (time.perf_counter() - began)
        if left is not None and left <= 0:
            break
        reached = ladder.trained(step.model_copy(update={"budget_seconds": left}), folder / f"rung-{step.method}")
        gain = paired_bootstrap(standings[-1].losses, reached.losses, threads=ladder.threads)
        kept = gain.mean > 0 or not climb
        rungs.append(reached.rung(gain, kept=kept))
        if kept:
            standings.append(reached)
        if not (gain.significant and gain.mean > 0):
            break
    rungs = [replace(rung, kept=rung.name == standings[-1].name) for rung in rungs]
    candidate = _candidate(dataset, base, weights_digest(place), recipe, standings[-1], rungs)
    return Tuned(candidate, tuple(rungs), untuned=ladder.guess())


@dataclass(frozen=True, slots=True)
class _Standing:
    """A rung that was reached."""

    name: str
    heads: LinearHeads
    losses: "NDArray[np.float64]"  # (N) of validation rows, summed over heads
    score: float  # accuracy over all heads' known labels on validation rows, or the cosine of numbers
    seconds: float
    trainable: int
    calibrated: bool
    folder: Path | None = None  # a checkpoint of its own
    note: str = ""

    def rung(self, gain: Difference | None, *, kept: bool) -> Rung:
        """What is reported of it."""
        told = "" if gain is None else f"; loss falls by {gain} on validation rows"
        return Rung(self.name, self.score, self.seconds, self.trainable, kept, f"{self.note}{told}".lstrip("; "))


@dataclass(frozen=True, slots=True)
class _Ladder:
    """Rows and encoder that all rungs share."""

    trunk: Trunk
    heads: tuple[StoredHead, ...]
    train: tuple[ClassifierRow, ...]
    validation: tuple[ClassifierRow, ...]
    calibration: tuple[ClassifierRow, ...]  # those of validation where there are none of their own
    scale: FeatureScale
    recipe: Recipe
    listen: Listen
    found: dict[str, LinearHeads]  # heads of the first rung, as "first"

    @classmethod
    def of(cls, dataset: Dataset[ClassifierRow], trunk: Trunk, recipe: Recipe, listen: Listen) -> "_Ladder":
        train, validation = dataset.part("train"), dataset.part("validation")
        if not train:
            raise DatasetError(f"role {dataset.role!r} has no rows to train on; found {len(dataset.rows)} others")
        if not validation and recipe.method != "closed-form":
            raise DatasetError(
                f"role {dataset.role!r} has no rows to validate {recipe.method!r} on; add some, or use 'closed-form'"
            )
        calibration = dataset.part("calibration") or validation
        for targets in head_targets(train, dataset.heads):
            check_varied(targets)
        scale = FeatureScale.of(train)
        return cls(trunk, dataset.heads, train, validation, calibration, scale, recipe, listen, {})

    @property
    def threads(self) -> list[str]:
        """Of each validation row."""
        return [row.source.thread for row in self.validation]

    def first(self) -> _Standing:
        """Heads in closed form over the base's embeddings."""
        began = time.perf_counter()
        inputs, held_out = (self._inputs(self.trunk, rows) for rows in (self.train, self.validation))
        self.listen(Step("fitting heads"))
        told, right = self._told(self.train), self._told(self.validation)
        fitted = fit_heads(inputs, told, held_out, right, self.scale, self.trunk.platform.device)
        self.found["first"] = fitted
        return self._standing("closed-form", fitted, self.trunk, began, sum(head.weight.size for head in fitted.heads))

    def trained(self, recipe: Recipe, folder: Path) -> _Standing:
        """Encoder and heads trained as `recipe` says, beginning with the heads of the first rung."""
        began = time.perf_counter()
        upper = recipe.layers if recipe.method == "top" else 0
        train = _with_copies(self.train, recipe)
        scales = number_scales(self._told(train))
        listen = partial(self._embedding, "states below the upper layers")
        read = partial(classifier_rows, heads=self.heads, trunk=self.trunk, scale=self.scale, number_scale=scales)
        rows, held_out = (read(some, upper=upper, listen=listen) for some in (train, self.validation))
        made = train_classifier(
            self.trunk,
            self.found["first"].heads,
            scales,
            rows,
            held_out,
            recipe,
            folder,
            lambda progress: self.listen(step_of(progress, f"rung {recipe.method}")),
        )
        heads = LinearHeads(made.heads, self.scale.mean, self.scale.deviation)
        own = Trunk(made.folder, self.trunk.platform)
        return self._standing(recipe.method, heads, own, began, made.trainable, made)

    def guess(self) -> float:
        """The score on validation rows of always answering what is most usual among rows to train on."""
        told, right = self._told(self.train), self._told(self.validation)
        usual = [np.tile((one.values * one.weights[:, None]).sum(axis=0), (len(self.validation), 1)) for one in told]
        return _score(usual, right) if self.validation else 0.0

    def _standing(
        self,
        name: str,
        heads: LinearHeads,
        trunk: Trunk,
        began: float,
        trainable: int,
        made: TrainedClassifier | None = None,
    ) -> _Standing:
        if self.calibration:
            heads = calibrated(heads, self._inputs(trunk, self.calibration), self._told(self.calibration))
        held_out, right = self._inputs(trunk, self.validation), self._told(self.validation)
        losses = np.zeros(len(self.validation))
        for head, told in zip(heads.heads, right, strict=True):
            losses += losses_of(head, held_out, told) * told.weights
        return _Standing(
            name=name,
            heads=heads,
            losses=losses,
            score=_score([probabilities_of(head, held_out) for head in heads.heads], right)
            if len(right[0].weights)
            else 0.0,
            seconds=time.perf_counter() - began,
            trainable=trainable,
            calibrated=bool(self.calibration),
            folder=None if made is None else made.folder,
            note="" if made is None else _told(made),
        )

    def _inputs(self, trunk: Trunk, rows: Sequence[ClassifierRow]) -> "NDArray[np.float64]":
        """(N, D + F) what heads over `trunk` see of `rows`."""
        embeddings = trunk.embed([row.text for row in rows], partial(self._embedding, "embedding"))
        return self.scale.inputs(embeddings, rows)

    def _told(self, rows: Sequence[ClassifierRow]) -> tuple[HeadTargets, ...]:
        return head_targets(rows, self.heads)

    def _embedding(self, doing: str, done: int, total: int) -> None:
        self.listen(Step(doing, done, total))


def _told(made: TrainedClassifier) -> str:
    """What is reported of a training."""
    return (
        f"{made.note}; {made.steps} steps in {made.seconds:.1f} s, ended by {', '.join(made.stopped)}; "
        f"tempered loss on validation rows {made.before:.4f} before, {made.after:.4f} after"
    )


def _recipes(recipe: Recipe, climb: bool) -> Sequence[Recipe]:
    """The rungs above the first."""
    if not climb or recipe.method in ("head", *LADDER):
        return (recipe,)
    shared = {
        name: getattr(recipe, name) for name in ("seed", "batch_tokens", "precision", "label_smoothing", "dropout")
    }
    return (Recipe.balanced(**shared), recipe)


def _with_copies(rows: tuple[ClassifierRow, ...], recipe: Recipe) -> tuple[ClassifierRow, ...]:
    """`rows`, and as many changed copies as the recipe asks for."""
    if not recipe.augmentation:
        return rows
    texts = [row.text for row in rows]
    copies = changed_copies(texts, recipe.augmentation, recipe.seed)
    return (*rows, *(replace(rows[number], text=text, id=f"{rows[number].id}~") for number, text in copies))


def _score(found: "Sequence[NDArray[np.float64]]", right: Sequence[HeadTargets]) -> float:
    """The share of rows on which every known label is right; of numbers alone, their cosine with the right ones."""
    if all(told.head.kind == "regression" for told in right):
        return float(np.mean([_cosine(one[:, 0], told) for one, told in zip(found, right, strict=True)]))
    hits, known = np.ones(len(right[0].weights), bool), np.zeros(len(right[0].weights), bool)
    for one, told in zip(found, right, strict=True):
        if told.head.kind != "regression":
            hits &= _hits(one, told) | ~told.decided
            known |= told.decided
    return float(hits[known].mean()) if known.any() else 0.0


def _hits(found: "NDArray[np.float64]", told: HeadTargets) -> "NDArray[np.bool_]":
    """(N) whether the likeliest label is right, or all of several."""
    if told.exclusive:
        best: NDArray[np.bool_] = told.values[np.arange(len(found)), found.argmax(axis=1)] > 0
        return best
    every: NDArray[np.bool_] = ((found >= 0.5) == (told.values > 0)).all(axis=1)
    return every


def _cosine(found: "NDArray[np.float64]", told: HeadTargets) -> float:
    rows = told.weights > 0
    wanted, given = told.values[rows, 0].astype(np.float64), found[rows]
    length = float(np.linalg.norm(wanted) * np.linalg.norm(given))
    return float(wanted @ given) / length if length else 0.0


def _candidate(
    dataset: Dataset[ClassifierRow], base: str, digest: str, recipe: Recipe, standing: _Standing, rungs: Sequence[Rung]
) -> Candidate:
    files: Mapping[str, bytes | Path] = {HEAD: write_heads(standing.heads)}
    if standing.folder is not None:
        files = {
            **files,
            **{f"{MODEL}/{path.name}": path for path in sorted(standing.folder.iterdir()) if path.is_file()},
        }
    return Candidate(
        role=dataset.role,
        kind="classifier",
        base=base,
        base_digest=digest,
        files=files,
        recipe=recipe,
        heads=dataset.heads,
        features=dataset.features,
        calibrated=standing.calibrated,
        dataset=dataset.digest,
        note="; ".join(f"{rung.name}: {rung.validation:.4f} in {rung.seconds:.1f} s" for rung in rungs),
    )
