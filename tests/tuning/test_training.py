"""The loop: it learns, it is the same for the same seed, it stops when it should, and it says what goes wrong."""

import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from coterie.agents.errors import OutOfMemory, StorageError
from coterie.tuning.adapters import parameter_groups, prepare
from coterie.tuning.averaging import trained_of
from coterie.tuning.errors import TrainingFailed
from coterie.tuning.progress import Progress
from coterie.tuning.training import Loss, train
from tests.tuning import tasks
from tests.tuning.tasks import Task, differing, ever_better, recipe, weights_of


@pytest.fixture
def task(tiny_encoder: Path) -> Task:
    return Task(tiny_encoder)


def test_a_training_learns_its_rows(task: Task) -> None:
    """Validation falls, and the model holds the weights that validated best."""
    prepared, training = task.train(recipe(epochs=8, average=0.5, patience=8))
    assert training.best < 0.7 * training.first
    with torch.no_grad():
        assert task.validate(prepared.model.eval()) == pytest.approx(training.best, abs=1e-6)
    assert (training.stopped, training.history[0].step, training.history[0].loss) == ("epochs", 0, None)
    assert training.best == min(one.validation for one in training.history)


@pytest.mark.parametrize("changes", [{"dropout": 0.2}, {"optimizer": "sgd", "average": 0.9, "dropout": 0.1}], ids=str)
def test_the_same_seed_gives_the_same_weights_bit_for_bit(task: Task, changes: dict[str, Any]) -> None:
    """Whatever chance was drawn before; another seed gives others, and the caller's chance is left alone."""
    made = []
    for seed in (0, 0, 1):
        torch.manual_seed(len(made))
        before = torch.get_rng_state()
        made.append(weights_of(task.train(recipe(seed=seed, **changes))[0].model))
        assert torch.equal(torch.get_rng_state(), before)
    assert differing(made[0], made[1]) == set()
    assert differing(made[0], made[2]) != set()


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_batches_that_are_accumulated_move_weights_like_one_large_batch(task: Task, optimizer: str) -> None:
    """The gradient is a sum over rows divided by all of them, however unevenly they fall into batches."""
    rows = tuple(range(24))
    whole, uneven = (rows,), (rows[:3], rows[3:10], rows[10:])
    made = []
    for batches in (whole, uneven):
        settings = recipe(epochs=3, accumulation=len(batches), optimizer=optimizer, learning_rate=1e-3)
        model = task.model()
        prepare(model, settings, 0)
        groups = parameter_groups(model, settings)
        arguments: dict[str, Any] = {"groups": groups, "validate": _score([4.0, 3.0, 2.0, 1.0]), "device": "cpu"}
        train(model, [batches, batches, batches].__getitem__, task.loss, settings, **arguments)
        made.append(weights_of(model))
    assert all(torch.allclose(made[0][name], made[1][name], atol=1e-4) for name in made[0])
    assert not torch.allclose(made[0]["head.weight"], task.model().head.weight, atol=1e-3)


def test_halved_batches_for_want_of_memory_change_nothing_but_the_order_of_sums(task: Task) -> None:
    """A device that has room for four rows gets four at a time, and a person is told."""
    heard: list[Progress] = []

    def loss(model: torch.nn.Module, numbers: Any) -> Loss:
        if len(numbers) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory: tried to allocate 2 GiB")
        return task.loss(model, numbers)

    settings = recipe(optimizer="sgd", learning_rate=0.05, head_learning_rate=0.05, batch_tokens=80)
    small, _ = task.train(settings, heard.append, loss=loss, validate=ever_better())
    whole, _ = task.train(settings, validate=ever_better())
    one, other = weights_of(small.model), weights_of(whole.model)
    assert all(torch.allclose(one[name], other[name], atol=1e-5) for name in one)
    assert differing(one, weights_of(task.model())) != set()
    assert next(said.notice for said in heard if said.notice).startswith("Out of memory: from now on each batch")


@pytest.mark.parametrize("divisible", [True, False])
def test_no_memory_at_all_is_an_error_that_says_what_to_do(task: Task, divisible: bool) -> None:
    """When one row is too much, or rows belong together."""

    def loss(model: torch.nn.Module, numbers: Any) -> Loss:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(OutOfMemory, match="one row: CUDA out of memory; lower" if divisible else "one whole batch"):
        task.train(recipe(), loss=loss, divisible=divisible)


def test_an_error_that_is_not_about_memory_is_not_hidden(task: Task) -> None:
    """It comes out as it went in."""

    def loss(model: torch.nn.Module, numbers: Any) -> Loss:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        task.train(recipe(), loss=loss)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_it_and_names_step_and_rate(task: Task, value: float) -> None:
    """Rather than going on with weights that are lost."""
    calls = []

    def loss(model: torch.nn.Module, numbers: Any) -> Loss:
        calls.append(numbers)
        found = task.loss(model, numbers)
        return found._replace(total=found.total * (value if len(calls) == 3 else 1))

    with pytest.raises(TrainingFailed, match=rf"the loss is {value} at step 3 of \d+, at a learning rate of 0\.0"):
        task.train(recipe(), loss=loss)


def test_a_validation_that_is_not_finite_stops_it(task: Task) -> None:
    """NaN is not worse than a number, it is no number."""
    with pytest.raises(TrainingFailed, match="the validation is nan"):
        task.train(recipe(), validate=lambda model: math.nan)


def test_it_stops_when_validation_has_not_improved_for_as_long_as_it_was_patient(task: Task) -> None:
    """And keeps the weights from before."""
    prepared, training = task.train(recipe(epochs=9, patience=2), validate=_score([5.0, 3.0, 4.0, 4.0, 2.0]))
    assert (training.stopped, training.best, len(training.history)) == ("patience", 3.0, 4)
    assert training.best_step == training.history[1].step < training.steps
    once, _ = task.train(recipe(epochs=9, patience=1), validate=_score([5.0, 3.0, 4.0]))
    assert differing(weights_of(prepared.model), weights_of(once.model)) == set()


def test_it_stops_when_its_time_is_up(task: Task) -> None:
    """After the step that was being made, and is evaluated then."""
    _, training = task.train(recipe(epochs=50, budget_seconds=1e-6))
    assert (training.stopped, training.steps, training.history[-1].step) == ("budget", 1, 1)


def test_a_training_that_makes_it_worse_gives_the_weights_back_that_it_began_with(task: Task) -> None:
    """The untrained model is the first candidate."""
    before = weights_of(task.model())
    prepared, training = task.train(recipe(), validate=_score([1.0] + [2.0] * 9))
    assert training.best_step == 0
    assert differing(weights_of(prepared.model), before) == set()


@pytest.mark.timeout(300)
def test_a_training_that_was_killed_ends_like_one_that_was_not(task: Task, tmp_path: Path) -> None:
    """kill -9 in the middle of the third epoch: dropout, momenta and the running mean go on as they would have."""
    settings = recipe(epochs=4, dropout=0.2, average=0.9, seed=5)
    steps = len(task.batches(settings)(0))
    arguments = [str(task.folder), settings.model_dump_json(), str(tmp_path / "never")]
    killed = subprocess.run(
        [
            sys.executable,
            tasks.__file__,
            *arguments,
            "--folder",
            str(tmp_path / "kept"),
            "--kill-at",
            str(2 * steps + 2),
        ]
    )
    assert killed.returncode == -signal.SIGKILL
    heard: list[Progress] = []
    resumed, training = task.train(settings, heard.append, tmp_path / "kept")
    whole, uninterrupted = task.train(settings)
    assert training.resumed_at == 2 * steps
    assert heard[0].notice == f"Taken up at step {2 * steps} of {4 * steps}."
    assert differing(weights_of(resumed.model), weights_of(whole.model)) == set()
    assert training.history == uninterrupted.history
    assert not (tmp_path / "never").exists()


def test_a_training_that_is_over_is_not_done_again(task: Task, tmp_path: Path) -> None:
    """A second call with its folder gives the same weights without a step."""
    first, training = task.train(recipe(), folder=tmp_path)
    heard: list[Progress] = []
    again, repeated = task.train(recipe(), heard.append, tmp_path)
    assert differing(weights_of(first.model), weights_of(again.model)) == set()
    assert (repeated.steps, repeated.history, len(heard)) == (training.steps, training.history, 1)


def test_a_folder_of_another_training_is_refused(task: Task, tmp_path: Path) -> None:
    """Other settings, another base, or a damaged file; nothing is overwritten."""
    task.train(recipe(), folder=tmp_path)
    content = (tmp_path / "training.safetensors").read_bytes()
    with pytest.raises(TrainingFailed, match="another training: recipe, base or rows were others"):
        task.train(recipe(seed=1), folder=tmp_path)
    assert (tmp_path / "training.safetensors").read_bytes() == content
    (tmp_path / "training.safetensors").write_bytes(content[:100])
    with pytest.raises(TrainingFailed, match="is damaged"):
        task.train(recipe(), folder=tmp_path)


def test_a_checkpoint_that_cannot_be_written_is_an_error(task: Task, tmp_path: Path) -> None:
    """The folder is a file."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        task.train(recipe(), folder=tmp_path / "taken" / "below")


def test_ctrl_c_ends_after_the_step_and_leaves_a_checkpoint(task: Task, tmp_path: Path) -> None:
    """What comes later is the same as without it."""
    settings = recipe(epochs=3, dropout=0.1)
    handler = signal.getsignal(signal.SIGINT)

    def interrupt(progress: Progress) -> None:
        if progress.step == 2 and progress.validation is None:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        task.train(settings, interrupt, tmp_path)
    assert signal.getsignal(signal.SIGINT) == handler
    resumed, training = task.train(settings, folder=tmp_path)
    whole, _ = task.train(settings)
    assert training.resumed_at in (2, 3)  # it is heard while the step is said, or in the next
    assert differing(weights_of(resumed.model), weights_of(whole.model)) == set()


@pytest.mark.timeout(300)
def test_two_processes_give_the_model_that_one_gives(task: Task, tmp_path: Path) -> None:
    """`accelerate launch` with two processes on this machine: each takes half of the rows of every batch."""
    settings = recipe(optimizer="sgd", learning_rate=0.05, head_learning_rate=0.05, average=0.5, accumulation=2)
    launch = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--num_processes",
        "2",
        "--num_machines",
        "1",
        "--cpu",
    ]
    settled = ["--mixed_precision", "no", "--dynamo_backend", "no"]
    arguments = [str(task.folder), settings.model_dump_json(), str(tmp_path / "two"), "--keep-last"]
    subprocess.run(
        [*launch, *settled, tasks.__file__, *arguments], check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    one = weights_of(task.train(settings, validate=ever_better())[0].model)
    two = load_file(tmp_path / "two")
    before = weights_of(task.model())
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-5
    assert max(float((one[name] - before[name]).abs().max()) for name in one) > 1e-3


def test_nothing_to_train_is_an_error(task: Task) -> None:
    """Of weights, of rows, or of groups that leave one out."""
    model = task.model()
    settings = recipe(method="head")
    prepare(model, settings, 0)
    groups = parameter_groups(model, settings)
    arguments: dict[str, Any] = {"validate": task.validate, "device": "cpu"}
    with pytest.raises(TrainingFailed, match=r"'head\.bias' is in none"):
        train(model, task.batches(settings), task.loss, settings, groups=groups[:1], **arguments)
    with pytest.raises(TrainingFailed, match="no batches; expected rows"):
        train(model, lambda epoch: (), task.loss, settings, groups=groups, **arguments)
    model.requires_grad_(False)
    with pytest.raises(TrainingFailed, match="there is nothing to train"):
        train(model, task.batches(settings), task.loss, settings, groups=[], **arguments)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_absent_is_named(task: Task) -> None:
    """And what to do about it."""
    with pytest.raises(TrainingFailed, match="'cuda' was asked for, but torch finds no GPU here"):
        task.train(recipe(), device="cuda")
    with pytest.raises(TrainingFailed, match="float16 need a GPU"):
        task.train(recipe(precision="float16"))


def test_products_in_bfloat16_leave_weights_in_float32(task: Task) -> None:
    """And a training in another number type after it, in the same process, gets its own."""
    half, training = task.train(recipe(precision="bfloat16", epochs=4))
    full, _ = task.train(recipe(epochs=4))
    assert {one.dtype for one in half.model.parameters()} == {torch.float32}
    assert training.best < training.first
    assert differing(weights_of(half.model), weights_of(full.model)) != set()
    again, _ = task.train(recipe(epochs=4))
    assert differing(weights_of(again.model), weights_of(full.model)) == set()


def test_what_is_said_of_a_training(task: Task) -> None:
    """A step each with loss, rate and speed; evaluations with validation; the rate falls to almost nothing."""
    heard: list[Progress] = []
    _, training = task.train(recipe(epochs=2, evaluations=2), heard.append)
    steps = [said for said in heard if said.step and said.validation is None]
    assert [said.step for said in steps] == list(range(1, training.steps + 1))
    assert all(said.loss is not None and said.tokens_per_second > said.units_per_second > 0 for said in steps)
    assert [said.validation for said in heard if said.validation is not None] == [
        one.validation for one in training.history
    ]
    assert len(training.history) == 5
    assert steps[-1].rate < 0.3 * max(said.rate for said in steps)
    assert steps[-1].epoch == 2
    assert steps[-1].seconds_left == 0
    assert heard[0].seconds_left is None


def test_half_an_epoch_is_half_of_the_steps(task: Task) -> None:
    """Epochs need not be whole."""
    steps = len(task.batches(recipe())(0))
    assert task.train(recipe(epochs=0.5))[1].steps == math.ceil(steps / 2)
    assert task.train(recipe(epochs=1.5))[1].steps == steps + math.ceil(steps / 2)


def test_the_norm_of_the_gradient_is_bounded(task: Task) -> None:
    """With plain SGD, one step is no longer than rate times bound."""
    settings = recipe(optimizer="sgd", momentum=0, clip_norm=0.01, learning_rate=1.0, head_learning_rate=1.0)
    settings = settings.model_copy(update={"epochs": 0.01, "weight_decay": 0.0, "layer_decay": 1.0, "warmup": 0.0})
    before = task.model()
    prepared, training = task.train(settings, validate=_score([1.0, 0.0]))
    assert training.steps == 1
    moved = [parameter - dict(before.named_parameters())[name] for name, parameter in prepared.model.named_parameters()]
    assert float(torch.cat([one.detach().flatten() for one in moved]).norm()) == pytest.approx(0.01, rel=1e-3)
    assert trained_of(prepared.model)


def _score(values: list[float]) -> Any:
    """A validation that answers these in turn."""
    left = iter(values)
    return lambda model: next(left)
