"""The one loop of training, the same for every role: rows, a loss over them, and a validation that should fall.

    prepared = prepare(model, recipe, recipe.seed)
    training = train(
        prepared.model,
        token_batches(lengths, recipe.batch_tokens, recipe.seed),
        loss,                                     # (model, row numbers) -> Loss(sum over rows, how many)
        recipe,
        groups=parameter_groups(prepared.model, recipe),
        validate=validate,                        # (model) -> lower is better
        hook=prepared.hook,                       # AdaLoRA's; None elsewhere
    )
    prepared.finish()

A step is `recipe.accumulation` batches, whatever the number of processes: each process takes its share of the rows of
every batch, and the summed gradient is divided by the units of all. So sharding, accumulation and halving a batch for
want of memory change nothing but the order of sums. Chance is seeded anew at every step: a resumed training goes the
same way as one that never stopped.

Letters: none; this file sees no axes. It knows nothing of rows, texts, roles or releases.
"""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from ..agents.devices import is_out_of_memory
from ..agents.errors import OutOfMemory
from .averaging import RunningMean, Weights, copied, put_back, trained_of
from .checkpointing import Standing, fingerprint, load, save
from .errors import TrainingFailed
from .interruption import Interruption
from .optimizers import ParameterGroup, make_optimizer, schedule_share
from .plans import make_plan
from .processes import add_up, add_up_gradients, make_accelerator, same_everywhere
from .progress import Evaluation, Progress, Stopped, Training, unheard
from .recipes import Recipe

Item = TypeVar("Item")
Batch: TypeAlias = Sequence[Item]
Batches: TypeAlias = Callable[[int], Sequence[Batch[Item]]]
"""Epoch number -> that epoch's batches, already shuffled for the seed; asked twice, it must answer the same."""

CHECKPOINT_EVERY = 60.0  # seconds, beside one at each evaluation


class Loss(NamedTuple):
    """What a loss function answers for one batch."""

    total: Tensor  # scalar, the SUM over units
    units: int  # rows, queries or supervised tokens that it sums over
    tokens: int = 0  # that the model read, padding left out; only for the speed that is shown


class StepHook(Protocol):
    """What an adapter does beside the optimizer, such as AdaLoRA's allocation of ranks."""

    @property
    def settled(self) -> bool:
        """Whether its part is done; weights from before are not kept as the best."""
        ...

    def after_step(self, step: int, total: int) -> None:
        """Called after step number `step` (the first is 1), while its gradients are still there."""
        ...

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint must hold of it."""
        ...

    def resume(self, state: dict[str, Tensor], step: int, total: int) -> None:
        """Takes up what `state` gave after `step`."""
        ...


def train(
    model: nn.Module,
    batches: Batches[Item],
    loss: Callable[[nn.Module, Batch[Item]], Loss],
    recipe: Recipe,
    *,
    groups: Sequence[ParameterGroup],
    validate: Callable[[nn.Module], float],
    listen: Callable[[Progress], None] = unheard,
    folder: Path | None = None,
    device: str | None = None,
    hook: StepHook | None = None,
    divisible: bool = True,
) -> Training:
    """Trains what of `model` requires gradients, in place; it then holds the weights that validated best. Blocks.

    A batch is a sequence (a tuple of row numbers, say) of which `batch[i::n]` is a share. Where the rows of a batch
    belong together, as with negatives from within the batch, say `divisible=False`: processes then take whole batches
    in turn, and no batch is halved. `validate` is called in evaluation mode without gradients, on the running mean of
    weights where the recipe keeps one. Weights stay float32; `recipe.precision` is that of products.

    With `folder`, a checkpoint is kept there, and a second call with the same arguments takes it up where it was.
    Ctrl-C ends after the step that is being made, leaves a checkpoint, and raises KeyboardInterrupt.

    Raises:
        TrainingFailed: there is nothing to train or to learn from, a loss is not finite, the device is absent, or the
            folder holds another training's checkpoint.
        OutOfMemory: there is no memory even for batches of one row.
        StorageError: the checkpoint cannot be written.
    """
    loop = _Loop(model, batches, loss, recipe, groups, validate, listen, folder, device, hook, divisible)
    cuda = [loop.device] if loop.device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda), Interruption() as interruption:
        return loop.run(interruption)


class _Loop:
    """One training: what it works on, and how far it is."""

    def __init__(
        self,
        model: nn.Module,
        batches: Batches[Any],
        loss: Callable[[nn.Module, Batch[Any]], Loss],
        recipe: Recipe,
        groups: Sequence[ParameterGroup],
        validate: Callable[[nn.Module], float],
        listen: Callable[[Progress], None],
        folder: Path | None,
        device: str | None,
        hook: StepHook | None,
        divisible: bool,
    ) -> None:
        self.accelerator = make_accelerator(recipe, device)
        self.device: torch.device = self.accelerator.device
        self.model = model.to(self.device)
        self.parameters = trained_of(model)
        _check_groups(self.parameters, groups)
        self.batches, self.loss, self.recipe = batches, loss, recipe
        self.groups, self.validate, self.listen = groups, validate, listen
        self.folder, self.hook, self.divisible = folder, hook, divisible
        self.plan = make_plan([len(batches(epoch)) for epoch in range(math.ceil(recipe.epochs))], recipe)
        if not self.plan.total:
            raise TrainingFailed("there is nothing to learn from: the first epochs have no batches; expected rows")
        self.total = self.plan.total
        self.optimizer = make_optimizer(groups, recipe)
        self.scaling: Any = self.accelerator.prepare_optimizer(self.optimizer)
        same_everywhere(self.accelerator, self.parameters.values())
        self.mean = RunningMean(self.parameters, recipe.average) if recipe.average else None
        self.best: Weights = {}
        self.standing = Standing(settled=hook is None or hook.settled)
        self.mark = fingerprint(model, recipe.model_dump_json(), self.plan.epochs) if folder is not None else ""
        self.interrupted = False
        self.resumed_at: int | None = None
        self.saved = self.began = time.monotonic()
        self.earlier = 0.0  # seconds before a resume

    def run(self, interruption: Interruption) -> Training:
        """Every step that is left, and the best weights put back."""
        self._resume()
        modes = {module: module.training for module in self.model.modules()}
        try:
            if not self.standing.history:
                self._evaluate()
            while self.standing.stopped is None:
                self._epoch(interruption)
        finally:
            for module, training in modes.items():
                module.training = training
        put_back(self.parameters, self.best)
        self.optimizer.zero_grad()
        return self._training()

    def _epoch(self, interruption: Interruption) -> None:
        """The steps that are left of the epoch in which the next step lies."""
        epoch, done = self.plan.place(self.standing.step)
        rows = self.batches(epoch)
        size = self.recipe.accumulation
        for number in range(done, self.plan.epochs[epoch]):
            late = self._step(rows[number * size : (number + 1) * size], interruption)
            evaluated = late or self.standing.step in self.plan.evaluated
            if evaluated:
                self._evaluate()
                self._decide(late)
            self._save(always=evaluated or self.interrupted)
            if self.standing.stopped is not None:
                return
            if self.interrupted:
                raise KeyboardInterrupt

    def _step(self, window: Sequence[Batch[Any]], interruption: Interruption) -> bool:
        """One step of the optimizer; whether the time is up."""
        began = time.monotonic()
        step = self.standing.step
        share = schedule_share(self.recipe, step, self.total)
        for settings, group in zip(self.optimizer.param_groups, self.groups, strict=True):
            settings["lr"] = group.rate * share
        self.model.train()
        found = self._gradients(window)
        budget = self.recipe.budget_seconds
        late = budget is not None and self.seconds >= budget
        total, units, tokens, asked, over = add_up(self.accelerator, [*found, float(interruption.asked), float(late)])
        self._check_finite(total, "the loss", step)
        if units > 0:  # a window may supervise nothing
            self._move(units, step)
        self.standing.step += 1
        if self.hook is not None:
            self.hook.after_step(self.standing.step, self.total)
            self._settle(self.hook)
        if self.mean is not None:
            self.mean.update()
        self.interrupted = asked > 0
        self.standing.loss += total
        self.standing.units += units
        self._say_step(total / max(units, 1), units, tokens, time.monotonic() - began)
        return over > 0

    def _gradients(self, window: Sequence[Batch[Any]]) -> tuple[float, float, float]:
        """Leaves the gradients of this process's share of `window`: (sum of losses, units, tokens)."""
        while True:
            torch.manual_seed(_seed(self.recipe.seed, self.standing.step, self.accelerator.process_index))
            self.optimizer.zero_grad()
            try:
                return self._accumulate(window)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                reason = str(error)
            self._halve(window, reason)

    def _accumulate(self, window: Sequence[Batch[Any]]) -> tuple[float, float, float]:
        sums = torch.zeros((), dtype=torch.float64, device=self.device)
        units = tokens = 0
        for rows in self._shares(window):
            with self.accelerator.autocast():
                found = self.loss(self.model, rows)
            if found.units:
                self.accelerator.backward(found.total)
                sums += found.total.detach()
            units += found.units
            tokens += found.tokens
        return float(sums), float(units), float(tokens)

    def _shares(self, window: Sequence[Batch[Any]]) -> list[Batch[Any]]:
        """What of `window` this process computes, in the pieces in which it does."""
        processes, here = self.accelerator.num_processes, self.accelerator.process_index
        if not self.divisible:
            return list(window[here::processes])
        pieces = processes * self.standing.parts
        shares = [rows[piece::pieces] for rows in window for piece in range(here, pieces, processes)]
        return [share for share in shares if len(share)]

    def _halve(self, window: Sequence[Batch[Any]], reason: str) -> None:
        longest = max(len(share) for share in self._shares(window))
        if longest == 1 or not self.divisible:
            fewest = "one row" if self.divisible else "one whole batch, whose rows belong together"
            raise OutOfMemory(
                f"the device has no memory left, not even for {fewest}: {reason}; lower batch_tokens, "
                f"or train less with method 'top' or 'lora'"
            )
        self.standing.parts *= 2
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self._say(notice=f"Out of memory: from now on each batch is computed in {self.standing.parts} parts.")

    def _move(self, units: float, step: int) -> None:
        """Adds up gradients, bounds their norm, and lets the optimizer step."""
        parameters = list(self.parameters.values())
        add_up_gradients(self.accelerator, parameters, units)
        if self.recipe.clip_norm:
            norm: Any = self.accelerator.clip_grad_norm_(parameters, self.recipe.clip_norm)
            if self.accelerator.scaler is None:  # in float16, such a step is left out and the scale lowered
                self._check_finite(float(norm), "the norm of the gradient", step)
        self.scaling.step()

    def _check_finite(self, value: float, what: str, step: int) -> None:
        if not math.isfinite(value):
            raise TrainingFailed(
                f"{what} is {value} at step {step + 1} of {self.total}, at a learning rate of {self.rate:.2g}; "
                f"lower the learning rate, clip the gradient, or look for rows with numbers that are not finite"
            )

    def _settle(self, hook: StepHook) -> None:
        """Forgets what was best, and the mean, when the hook has done its part."""
        if hook.settled and not self.standing.settled:
            self.standing.settled = True
            self.standing.best, self.standing.waited = math.inf, 0
            if self.mean is not None:
                self.mean.restart()

    def _evaluate(self) -> None:
        """Validates the weights that would be kept, and keeps them where they are the best."""
        self.model.eval()
        with self.mean.in_place() if self.mean is not None else nullcontext():
            with torch.no_grad(), self.accelerator.autocast():
                here = self.validate(self.model) if self.accelerator.is_main_process else 0.0
            validation = add_up(self.accelerator, [here])[0]
            self._check_finite(validation, "the validation", max(self.standing.step - 1, 0))
            self._compare(validation)
        loss = self.standing.loss / self.standing.units if self.standing.units else None
        self.standing.loss = self.standing.units = 0.0
        self.standing.history.append(Evaluation(self.standing.step, validation, loss))
        self._say(validation=validation, loss=loss)

    def _compare(self, validation: float) -> None:
        """Within, the model has the weights that were validated."""
        if validation < self.standing.best or not self.best:
            self.standing.best, self.standing.best_step, self.standing.waited = validation, self.standing.step, 0
            self.best = copied(self.parameters)
        elif self.standing.settled:
            self.standing.waited += 1

    def _decide(self, late: bool) -> None:
        """Whether this was the last step."""
        stopped: Stopped | None = None
        if self.standing.step == self.total:
            stopped = "epochs"
        elif late:
            stopped = "budget"
        elif self.standing.waited >= self.recipe.patience:
            stopped = "patience"
        self.standing.stopped = stopped

    def _save(self, always: bool) -> None:
        due = always or time.monotonic() - self.saved >= CHECKPOINT_EVERY
        if self.folder is None or not due or not self.accelerator.is_main_process:
            return
        self.standing.seconds = self.seconds
        self.standing.mean_steps = self.mean.steps if self.mean is not None else 0
        scaler = self.accelerator.scaler
        self.standing.scale = scaler.get_scale() if scaler is not None else None
        save(self.folder, self.standing, self._tensors(), self.mark)
        self.saved = time.monotonic()

    def _tensors(self) -> dict[str, Tensor]:
        """All that a checkpoint holds beside numbers."""
        tensors = {f"weights/{name}": parameter.detach() for name, parameter in self.parameters.items()}
        tensors |= {f"best/{name}": weight for name, weight in self.best.items()}
        if self.mean is not None:
            tensors |= {f"mean/{name}": weight for name, weight in self.mean.weights.items()}
        if self.hook is not None:
            tensors |= {f"hook/{name}": tensor for name, tensor in self.hook.state().items()}
        for name, parameter in self.parameters.items():
            for key, value in self.optimizer.state[parameter].items():
                if isinstance(value, Tensor):
                    tensors[f"optimizer/{name}/{key}"] = value
        return tensors

    def _resume(self) -> None:
        """Takes up the checkpoint in the folder, where there is one."""
        found = None if self.folder is None else load(self.folder, self.mark, self.device)
        if found is None:
            return
        self.standing, tensors = found
        self.earlier, self.resumed_at = self.standing.seconds, self.standing.step
        parts: dict[str, dict[str, Tensor]] = {"weights": {}, "best": {}, "mean": {}, "hook": {}, "optimizer": {}}
        for key, tensor in tensors.items():
            part, name = key.split("/", 1)
            parts[part][name] = tensor
        put_back(self.parameters, parts["weights"])
        self.best = parts["best"]
        if self.mean is not None:
            self.mean.resume(parts["mean"], self.standing.mean_steps)
        if self.hook is not None:
            self.hook.resume(parts["hook"], self.standing.step, self.total)
        for name, tensor in parts["optimizer"].items():
            parameter, key = name.rsplit("/", 1)
            self.optimizer.state[self.parameters[parameter]][key] = tensor.cpu() if key == "step" else tensor
        if self.standing.scale is not None and self.accelerator.scaler is not None:
            self.accelerator.scaler.update(self.standing.scale)
        self._say(notice=f"Taken up at step {self.standing.step} of {self.total}.")

    @property
    def seconds(self) -> float:
        return self.earlier + time.monotonic() - self.began

    @property
    def rate(self) -> float:
        """The highest learning rate of the step that is being made, or was made last."""
        return max(float(settings["lr"]) for settings in self.optimizer.param_groups)

    def _say_step(self, loss: float, units: float, tokens: float, seconds: float) -> None:
        self._say(loss=loss, units_per_second=units / seconds, tokens_per_second=tokens / seconds)

    def _say(self, **said: Any) -> None:
        if self.accelerator.is_main_process:
            self.listen(
                Progress(
                    step=self.standing.step,
                    total=self.total,
                    epoch=self.recipe.epochs * self.standing.step / self.total,
                    rate=self.rate,
                    seconds=self.seconds,
                    best=self.standing.best if math.isfinite(self.standing.best) else None,
                    **said,
                )
            )

    def _training(self) -> Training:
        standing = self.standing
        if standing.stopped is None:
            raise TrainingFailed("the training is not over")
        return Training(
            best=standing.best,
            best_step=standing.best_step,
            steps=standing.step,
            seconds=self.seconds,
            stopped=standing.stopped,
            history=tuple(standing.history),
            resumed_at=self.resumed_at,
        )


def _seed(seed: int, step: int, process: int) -> int:
    """A seed of its own for each step and process, so that a resumed training draws what it would have drawn."""
    return hash((seed, step, process)) % (1 << 63)  # of numbers, the same in every process


def _check_groups(parameters: dict[str, nn.Parameter], groups: Sequence[ParameterGroup]) -> None:
    grouped = [id(parameter) for group in groups for parameter in group.parameters]
    if not parameters:
        raise TrainingFailed(
            "there is nothing to train: no weight of the model requires a gradient; expected a head beside the "
            "checkpoint's model, or another method than 'head'"
        )
    missing = [name for name, parameter in parameters.items() if id(parameter) not in set(grouped)]
    if missing or len(grouped) != len(parameters):
        found = f"{missing[0]!r} is in none" if missing else "one is in two, or is not trained"
        raise TrainingFailed(f"groups must hold each trained weight once, but {found}; make them after `prepare`")
