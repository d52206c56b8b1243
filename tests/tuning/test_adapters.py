"""What each method trains, on an encoder and a language model: that alone moves, and a plain checkpoint comes out."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModel, AutoModelForCausalLM

from coterie.agents.bottleneck import apply_adapters
from coterie.tuning.adapters import Prepared, parameter_groups, prepare, write_checkpoint
from coterie.tuning.averaging import trained_of
from coterie.tuning.batches import padded
from coterie.tuning.errors import RecipeError, TrainingFailed
from coterie.tuning.progress import Progress
from coterie.tuning.recipes import Recipe
from coterie.tuning.training import Loss, train
from tests.tuning.tasks import Task, differing, recipe, weights_of

METHODS = ("head", "top", "full", "lora", "adalora", "adapter")
each_method = pytest.mark.parametrize("method", METHODS)


def settings_of(method: str, **changes: Any) -> Recipe:
    """Enough steps for AdaLoRA to take ranks away."""
    return recipe(**({"method": method, "layers": 1, "rank": 4, "epochs": 4.0, "learning_rate": 1e-2} | changes))


@pytest.fixture
def task(tiny_encoder: Path) -> Task:
    return Task(tiny_encoder)


@each_method
def test_a_classifier_learns_by_it_and_frozen_weights_stay_as_they_were(
    task: Task, method: str, tmp_path: Path
) -> None:
    """Bit for bit; and the folder that it leaves gives the same states as the model, in plain transformers."""
    settings = settings_of(method)
    before = dict(task.model().named_parameters())
    prepared, training = task.train(settings)
    trained = trained_of(prepared.model)
    for name, parameter in prepared.model.named_parameters():
        plain = name.replace(".base_layer", "")
        if plain in before:
            assert torch.equal(parameter, before[plain]) == (name not in trained), name
    assert training.best < training.first
    logits = task.logits(prepared.model.eval(), range(8))[0]
    finished = prepared.finish()
    assert isinstance(finished, type(task.model()))
    assert torch.allclose(task.logits(finished, range(8))[0], logits, atol=1e-5)
    write_checkpoint(finished, task.folder, tmp_path)
    model = task.model()
    model.trunk = AutoModel.from_pretrained(tmp_path)
    apply_adapters(model.trunk, tmp_path)
    model.head = finished.head
    assert torch.allclose(task.logits(model.eval(), range(8))[0], logits, atol=1e-5)
    assert (tmp_path / "bottleneck.safetensors").exists() == (method == "adapter")
    assert (tmp_path / "tokenizer.json").read_bytes() == (task.folder / "tokenizer.json").read_bytes()


def language_loss(model: Any, rows: Any) -> Loss:
    """Of the next token, over rows of tokens."""
    ids, mask = padded(rows, padding=0)
    logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1]
    targets = ids[:, 1:].masked_fill(mask[:, 1:] == 0, -100)
    total = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
    return Loss(total, int(mask[:, 1:].sum()))


SENTENCES = tuple(
    tuple((start + step * stride) % 200 + 20 for step in range(8)) for start in (3, 7) for stride in (1, 2)
)


def trained_language_model(folder: Path, settings: Recipe) -> tuple[Prepared, float, float]:
    """A language model after it saw four sentences, and its loss before and after."""
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    prepared = prepare(model, settings, 0)

    def validate(model: nn.Module) -> float:
        found = language_loss(model, SENTENCES)
        return float(found.total) / found.units

    halves: Callable[[int], Any] = lambda epoch: (SENTENCES[:2], SENTENCES[2:])  # noqa: E731
    groups = parameter_groups(model, settings)
    training = train(
        model, halves, language_loss, settings, groups=groups, validate=validate, hook=prepared.hook, device="cpu"
    )
    return prepared, training.first, training.best


@each_method
def test_a_language_model_learns_by_it_and_frozen_weights_stay_as_they_were(
    tiny_decoder: Path, method: str, tmp_path: Path
) -> None:
    """The table of embeddings too, which its head may have shared."""
    before = dict(AutoModelForCausalLM.from_pretrained(tiny_decoder).named_parameters())
    prepared, first, best = trained_language_model(tiny_decoder, settings_of(method, epochs=6))
    trained = trained_of(prepared.model)
    for name, parameter in prepared.model.named_parameters():
        plain = name.replace(".base_layer", "")
        if plain in before:
            assert torch.equal(parameter, before[plain]) == (name not in trained), name
    assert "model.embed_tokens.weight" not in trained
    assert best < first
    model: Any = prepared.finish()
    ids = torch.tensor(SENTENCES)
    logits = model(input_ids=ids).logits
    write_checkpoint(model, tiny_decoder, tmp_path)
    again: Any = AutoModelForCausalLM.from_pretrained(tmp_path)
    apply_adapters(again, tmp_path)
    assert torch.allclose(again.eval()(input_ids=ids).logits, logits, atol=1e-5)
    assert len({parameter.data_ptr() for parameter in again.parameters()} & {0}) == 0


def test_how_much_is_trained_is_said(task: Task) -> None:
    """Less by low ranks than by layers, and by layers than by everything."""
    made = {method: prepare(task.model(), settings_of(method), 0) for method in METHODS}
    assert made["head"].trainable == 2 * 32 + 2
    shares = [made[method].share for method in ("head", "lora", "top", "full")]
    assert shares == sorted(set(shares))
    assert str(made["head"]).startswith("66 of ")
    assert str(made["head"]).endswith("weights are trained (0.2%)")


def test_adalora_moves_its_ranks_and_says_so(task: Task) -> None:
    """From 6 in each projection to 4 on the mean, fewer where they matter less; what was taken away adds nothing."""
    prepared, _ = task.train(settings_of("adalora"))
    ranks = prepared.ranks()
    assert ranks is not None
    assert set(ranks.before.values()) == {6}
    assert sum(ranks.after.values()) == 4 * len(ranks.after)
    assert len(set(ranks.after.values())) > 1
    assert str(ranks).startswith("72 ranks in 12 projections became 48, from ")
    before = dict(task.model().named_parameters())
    prepared.finish()
    after = dict(prepared.model.named_parameters())
    for place, rank in ranks.after.items():
        change = after[f"{place}.weight"] - before[f"{place}.weight"]
        assert int(torch.linalg.matrix_rank(change, rtol=1e-4)) <= rank


def test_ranks_that_nobody_allots_are_an_error(task: Task) -> None:
    """As with every trainer that does not call `update_and_allocate`; and so are too few steps."""
    prepared, _ = task.train(settings_of("adalora"), hook=None)
    with pytest.raises(TrainingFailed, match=r"ranks have not been allotted .*`hook=prepared\.hook` was not given"):
        prepared.finish()
    with pytest.raises(TrainingFailed, match="adalora has 4 steps, expected at least 10"):
        task.train(settings_of("adalora", epochs=1))
    prepared, _ = task.train(settings_of("adalora", budget_seconds=1e-6))
    with pytest.raises(TrainingFailed, match="or it stopped early"):
        prepared.finish()


def test_adalora_that_was_interrupted_allots_the_ranks_that_it_would_have(task: Task, tmp_path: Path) -> None:
    """Importances are in the checkpoint."""
    settings = settings_of("adalora", average=0.5)

    def interrupt(progress: Progress) -> None:
        if progress.step == 7 and progress.validation is None:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        task.train(settings, interrupt, tmp_path)
    resumed, training = task.train(settings, folder=tmp_path)
    whole, _ = task.train(settings)
    assert training.resumed_at is not None
    assert resumed.ranks() == whole.ranks()
    assert differing(weights_of(resumed.finish()), weights_of(whole.finish())) == set()


def test_lora_is_stabilised_over_ranks(task: Task) -> None:
    """What it adds is scaled by the root of the rank: twice as much at a quarter of it."""
    scales = {}
    for rank in (4, 16):
        model = task.model()
        prepare(model, settings_of("lora", rank=rank, scale=2.0), 0)
        scales[rank] = {layer.scaling["default"] for layer in model.modules() if hasattr(layer, "lora_A")}
    assert scales == {4: {4.0}, 16: {2.0}}


@pytest.mark.parametrize("method", ["lora", "adalora"])
def test_a_model_that_was_finished_can_be_prepared_again(task: Task, method: str) -> None:
    """For a second stage, such as preferences after examples; nothing of the first is left but plain weights."""
    model = task.model()
    names = {name for name, _ in model.named_parameters()}
    prepare(model, settings_of("lora"), 0).finish()
    assert {name for name, _ in model.named_parameters()} == names
    again = prepare(model, settings_of(method), 0)
    assert again.trainable == prepare(task.model(), settings_of(method), 0).trainable


@pytest.mark.parametrize("method", ["lora", "adalora", "adapter"])
def test_what_is_added_changes_nothing_before_it_is_trained(task: Task, method: str) -> None:
    """So a training begins where the checkpoint is; and the seed decides what is added."""
    plain = task.logits(task.model().eval(), range(8))[0]
    made = []
    for seed in (0, 0, 1):
        model = task.model()
        prepare(model, settings_of(method), seed)
        assert torch.equal(task.logits(model.eval(), range(8))[0], plain)
        made.append(weights_of(model))
    assert differing(made[0], made[1]) == set()
    assert differing(made[0], made[2]) != set()


def test_lower_layers_learn_more_slowly(task: Task) -> None:
    """Each at its share of the one above; the head by its own rate; biases and norms do not decay."""
    model = task.model()
    settings = settings_of("full", learning_rate=0.1, layer_decay=0.5, head_learning_rate=0.7, weight_decay=0.3)
    prepare(model, settings.model_copy(update={"freeze_embeddings": False}), 0)
    groups = parameter_groups(model, settings)
    rates = {group.name: group.rate for group in groups}
    assert rates == {"embeddings": 0.025, "layer 1": 0.05, "layer 2": 0.1, "head": 0.7}
    decays = {id(parameter): group.weight_decay for group in groups for parameter in group.parameters}
    names = trained_of(model)
    assert {decays[id(parameter)] for name, parameter in names.items() if "LayerNorm" in name or "bias" in name} == {0}
    assert decays[id(names["trunk.encoder.layer.0.attention.self.query.weight"])] == 0.3
    assert set(map(id, names.values())) == set(decays)


def test_the_layers_of_a_language_model_learn_by_their_height_too(tiny_decoder: Path) -> None:
    """The last norm like the uppermost layer, and a table that is shared like the embeddings that it is."""
    model = AutoModelForCausalLM.from_pretrained(tiny_decoder)
    settings = settings_of("full", learning_rate=0.1, layer_decay=0.5, freeze_embeddings=False)
    prepare(model, settings, 0)
    rates = {group.name: group.rate for group in parameter_groups(model, settings)}
    assert rates == {"embeddings": 0.025, "layer 1": 0.05, "layer 2": 0.1, "output": 0.1}


def test_dropout_is_that_of_the_recipe(task: Task, tiny_decoder: Path) -> None:
    """Of attention weights too; None leaves what the checkpoint says."""
    model = task.model()
    prepare(model, settings_of("full", dropout=None), 0)
    assert {module.p for module in model.modules() if isinstance(module, nn.Dropout)} == {0.1}
    prepare(model, settings_of("full", dropout=0.3), 0)
    assert {module.p for module in model.modules() if isinstance(module, nn.Dropout)} == {0.3}
    language_model: Any = AutoModelForCausalLM.from_pretrained(tiny_decoder)
    prepare(language_model, settings_of("full", dropout=0.3), 0)
    assert language_model.model.layers[0].self_attn.attention_dropout == 0.3
    assert language_model.config.attention_dropout == 0.0


def test_what_cannot_be_prepared_is_refused(task: Task) -> None:
    """No steps to take, more layers than there are, and models that are no checkpoint's."""
    with pytest.raises(RecipeError, match="method is 'closed-form', which takes none"):
        prepare(task.model(), Recipe(), 0)
    with pytest.raises(RecipeError, match="layers is 3, but BertModel has 2"):
        prepare(task.model(), settings_of("top", layers=3), 0)
    with pytest.raises(TrainingFailed, match="Linear holds no model of a checkpoint"):
        prepare(nn.Linear(2, 2), settings_of("full"), 0)
