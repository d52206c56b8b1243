"""Tuning a dialogue manager: whole conversations, their supervised tokens only, then what people changed.

    candidate = tune_dialogue(dataset, "smollm2-135m", dialogue_recipe("balanced"), Path("work"))
    store(candidate, dataset.rows)

First it learns supervised turns (supervision.py); where the recipe asks for it, then that edited replies are better
than the originals (preferences.py). Of lora, what is trained is the upper half, so that the lower half is computed
once. What comes out is a plain checkpoint in the number type of its base, which the engine serves like any other.

This file knows nothing of the log, of releases, or of whether a candidate is good.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from transformers import AutoModelForCausalLM

from ..agents.bottleneck import apply_adapters
from ..agents.checkpoints import locate, weights_digest
from ..agents.devices import cache_budget
from ..agents.releases import MODEL
from ..agents.tokens import context_length, load_config
from .adapters import Prepared, parameter_groups, prepare, write_checkpoint
from .candidates import Candidate
from .datasets import Dataset
from .errors import DatasetError, RecipeError, TrainingFailed
from .preferences import mean_preference, preference_losses, preference_pairs
from .processes import make_accelerator
from .progress import Progress, Training, unheard
from .recipes import Preset, Recipe
from .rows import DialogueRow
from .supervision import RoleMask, Supervision
from .token_batches import Example, packed_batches, token_batch
from .token_scores import device_of, mean_loss, token_losses, with_references, with_states
from .training import Loss, train
from .trunks import blocks_of, trunk_of

PROJECTIONS = ("q_proj", "o_proj", "gate_proj", "up_proj", "down_proj")  # of the upper half, beside which lora stands
PREFERENCE_RATE = 0.1  # of the supervised learning rate
PREFERENCE_SUPERVISED = 1.0  # weight of the supervised term, nats a token, beside the preference

Listen = Callable[[Progress], None]


def unheard_training(training: Training) -> None:
    """Nobody asks how it ended."""


def dialogue_recipe(preset: Preset, **changes: Any) -> Recipe:
    """What suits a small language model: `fast` and `balanced` train LoRA once and three times, `best` every layer.

    Raises:
        pydantic.ValidationError: a setting is unknown or out of its range.
    """
    shared = {"layer_decay": 1.0, "evaluations": 2, "schedule": "cosine"}
    own: dict[Preset, dict[str, Any]] = {
        "fast": {"method": "lora", "learning_rate": 1e-3, "epochs": 1.0},
        "balanced": {"method": "lora", "learning_rate": 1e-3, "epochs": 3.0},
        "best": {"method": "full", "learning_rate": 1e-4, "epochs": 3.0, "average": 0.98, "freeze_embeddings": False},
    }
    return Recipe(**{**shared, **own[preset], **changes})


def for_language_model(recipe: Recipe) -> Recipe:
    """`recipe`; where it asks for a closed form, which a language model has not, the fast one with what it names."""
    if recipe.method != "closed-form":
        return recipe
    return dialogue_recipe("fast", **{name: getattr(recipe, name) for name in recipe.model_fields_set - {"method"}})


def tune_dialogue(
    dataset: Dataset[DialogueRow],
    base: str,
    recipe: Recipe,
    folder: Path,
    *,
    listen: Listen = unheard,
    finished: Callable[[Training], object] = unheard_training,
    device: str | None = None,
) -> Candidate:
    """A candidate for the role of `dataset`, tuned from `base`; its files lie in `folder`/model. Blocks.

    A recipe with a closed form is taken as `for_language_model` says; the candidate holds the one that was used.

    Checkpoints of the training lie in `folder` too: a second call with the same arguments goes on from them. `listen`
    is told what is learned, how much of the model is trained, and how the training goes; `finished` how each stage
    ended.

    Raises:
        RecipeError: a setting cannot be carried out for a dialogue manager.
        DatasetError: there are no rows to learn from or to validate on, or a row cannot be learned.
        TrainingFailed: no step was better than the base, or a loss is not finite.
        CheckpointError: the base cannot be had.
        OutOfMemory: the device has no memory even for one conversation.
    """
    recipe = for_language_model(recipe)
    _check_recipe(recipe)
    source = locate(base)
    lessons = _lessons(dataset, RoleMask(source), context_length(source), recipe)
    _say(listen, f"Learned: {lessons.train}.", f"Validated on: {lessons.validation}.")
    model = load_for_training(source)
    prepared = prepare(model, recipe, recipe.seed, lora_places(model))
    accelerator = make_accelerator(recipe, device)
    model.to(accelerator.device)
    with accelerator.autocast():
        kept = lessons.with_states(model, cache_budget(torch.device("cpu")))
    _say(listen, f"{prepared}.", *kept.said)
    stages = [_learn_turns(prepared, kept, recipe, folder, listen, device)]
    if kept.pairs:
        with accelerator.autocast():
            paired = kept.with_references(model, recipe.batch_tokens)
        stages.append(_learn_preferences(prepared, paired, recipe, folder, listen, device))
    for stage in stages:
        finished(stage)
    if not any(stage.best_step for stage in stages):
        raise TrainingFailed(
            f"no step of {sum(stage.steps for stage in stages)} was better on validation than {base!r} as it is "
            f"({stages[0].first:.4f} nats a token); lower the learning rate, or give it more rows"
        )
    return Candidate(
        role=dataset.role,
        kind="dialogue",
        base=base,
        base_digest=weights_digest(source),
        files=_written(prepared, source, folder / MODEL, accelerator),
        recipe=recipe,
        dataset=dataset.digest,
        note=_note(stages, lessons),
    )


def load_for_training(folder: Path) -> Any:
    """The causal language model in `folder`, in float32, with an attention that takes a mask of blocks.

    Raises:
        CheckpointRefused: adapters lie beside it that do not fit.
    """
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=torch.float32,
        attn_implementation="sdpa",
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
    )
    apply_adapters(model, folder)
    return model


def lora_places(model: nn.Module) -> list[str] | None:
    """Projections of the upper half of the blocks, but for keys and values; None where they have other names."""
    blocks = list(blocks_of(trunk_of(model)))
    upper = {id(module) for block in blocks[len(blocks) // 2 :] for module in block.modules()}
    found = [
        place
        for place, module in model.named_modules()
        if id(module) in upper and isinstance(module, nn.Linear) and place.endswith(PROJECTIONS)
    ]
    return found or None


@dataclass(frozen=True, slots=True)
class _Lessons:
    """What is learned, and what it is validated on."""

    train: Supervision
    validation: Supervision
    turns: list[Example]
    validation_turns: list[Example]
    pairs: list[Example]  # what people changed; [] where the recipe does not ask for it
    validation_pairs: list[Example]

    @property
    def said(self) -> list[str]:
        """For a person: whether the lower blocks are computed once."""
        states = self.turns[0].states
        depth = self.turns[0].depth
        return [f"The lowest {depth} blocks are computed once for each conversation."] if states else []

    def with_states(self, model: nn.Module, budget: int) -> "_Lessons":
        """The same with hidden states, where those of all fit `budget` bytes."""
        parts = (self.turns, self.validation_turns, self.pairs, self.validation_pairs)
        known = iter(with_states(model, [example for part in parts for example in part], budget))
        turns, validation_turns, pairs, validation_pairs = ([next(known) for _ in part] for part in parts)
        return replace(
            self, turns=turns, validation_turns=validation_turns, pairs=pairs, validation_pairs=validation_pairs
        )

    def with_references(self, model: nn.Module, tokens: int) -> "_Lessons":
        """The same with what `model` thinks of the pairs now."""
        training = model.training
        model.eval()
        pairs, validation = (with_references(model, part, tokens) for part in (self.pairs, self.validation_pairs))
        model.train(training)
        return replace(self, pairs=pairs, validation_pairs=validation)


def _lessons(dataset: Dataset[DialogueRow], mask: RoleMask, limit: int, recipe: Recipe) -> _Lessons:
    train_rows, validation_rows = dataset.part("train"), dataset.part("validation")
    train, validation = mask.supervise(train_rows, limit), mask.supervise(validation_rows, limit)
    for name, found in (("learn from", train), ("validate on", validation)):
        if not found.sequences:
            raise DatasetError(
                f"{dataset.role!r} has no conversation to {name}: {found}; give it more rows, of several threads"
            )
    pairs = preference_pairs(mask, train_rows, limit) if recipe.preference else []
    return _Lessons(
        train=train,
        validation=validation,
        turns=[Example((one,)) for one in train.sequences],
        validation_turns=[Example((one,)) for one in validation.sequences],
        pairs=pairs,
        validation_pairs=preference_pairs(mask, validation_rows, limit) if pairs else [],
    )


def _learn_turns(
    prepared: Prepared, lessons: _Lessons, recipe: Recipe, folder: Path, listen: Listen, device: str | None
) -> Training:
    def loss(model: nn.Module, numbers: Sequence[int]) -> Loss:
        chosen = [lessons.turns[number] for number in numbers]
        batch = token_batch(chosen).to(device_of(model))
        losses = token_losses(model, batch, recipe.label_smoothing)
        return Loss((losses * batch.weights).sum(), len(losses), sum(map(len, chosen)))

    return train(
        prepared.model,
        packed_batches(lessons.turns, recipe.batch_tokens, recipe.seed),
        loss,
        recipe,
        groups=parameter_groups(prepared.model, recipe),
        validate=lambda model: mean_loss(model, lessons.validation_turns, recipe.batch_tokens),
        listen=listen,
        folder=folder / "turns",
        device=device,
        hook=prepared.hook,
    )


def _learn_preferences(
    prepared: Prepared, lessons: _Lessons, recipe: Recipe, folder: Path, listen: Listen, device: str | None
) -> Training:
    """Validated on the pairs of the validation rows; where there are none, on their turns."""
    slower = recipe.model_copy(update={"learning_rate": recipe.learning_rate * PREFERENCE_RATE})

    def loss(model: nn.Module, numbers: Sequence[int]) -> Loss:
        chosen = [lessons.pairs[number] for number in numbers]
        batch = token_batch(chosen).to(device_of(model))
        found = preference_losses(model, batch, recipe.preference)
        weights = torch.tensor([pair.sequences[0].weight for pair in chosen], device=batch.targets.device)
        total = (found.preference + PREFERENCE_SUPERVISED * found.supervised) * weights
        return Loss(total.sum(), len(chosen), sum(map(len, chosen)))

    def validate(model: nn.Module) -> float:
        if lessons.validation_pairs:
            return mean_preference(model, lessons.validation_pairs, recipe.batch_tokens, recipe.preference)[0]
        return mean_loss(model, lessons.validation_turns, recipe.batch_tokens)

    return train(
        prepared.model,
        packed_batches(lessons.pairs, recipe.batch_tokens, recipe.seed),
        loss,
        slower,
        groups=parameter_groups(prepared.model, slower),
        validate=validate,
        listen=listen,
        folder=folder / "preferences",
        device=device,
    )


def _written(prepared: Prepared, source: Path, folder: Path, accelerator: Accelerator) -> dict[str, bytes | Path]:
    """The files of the finished model, in the number type of its base. Of several processes, the first writes them."""
    model: Any = prepared.finish()
    model.to(device="cpu", dtype=load_config(source).dtype or torch.float32)
    if accelerator.is_main_process:
        write_checkpoint(model, source, folder)
    accelerator.wait_for_everyone()
    return {f"{MODEL}/{path.name}": path for path in sorted(folder.iterdir()) if path.is_file()}


def _note(stages: Sequence[Training], lessons: _Lessons) -> str:
    turns = stages[0]
    said = f"{turns.first:.4f} -> {turns.best:.4f} nats a supervised token on validation; learned {lessons.train}"
    if len(stages) == 1:
        return said
    measure = "preference loss" if lessons.validation_pairs else "nats a supervised token"
    pairs = f"{len(lessons.pairs):,} pairs of an edited reply and its original"
    return f"{said}; then {pairs}: {stages[1].first:.4f} -> {stages[1].best:.4f} ({measure} on validation)"


def _say(listen: Listen, *notices: str) -> None:
    for notice in notices:
        listen(Progress(step=0, total=0, epoch=0.0, rate=0.0, seconds=0.0, notice=notice))


def _check_recipe(recipe: Recipe) -> None:
    """Refuses what would otherwise be left out without a word."""
    faults = {
        f"adversary is {recipe.adversary!r}, which is for encoders": recipe.adversary != "none",
        f"augmentation is {recipe.augmentation:g}, which is for classifiers": recipe.augmentation > 0,
        f"members is {recipe.members}, but one language model answers": recipe.members > 1,
        "preference needs another method than 'adalora', whose ranks are fixed by then": bool(recipe.preference)
        and recipe.method == "adalora",
    }
    if found := [fault for fault, holds in faults.items() if holds]:
        raise RecipeError("this recipe of a dialogue manager", ValueError("; ".join(found)))
