"""Tuning a dialogue manager: it learns what it should say, and comes out as a checkpoint that anyone can serve."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from coterie.agents.checkpoints import weights_digest
from coterie.agents.inference import ChatTurn, Generation
from coterie.agents.language_model import prompt_tokens
from coterie.agents.tokens import load_tokenizer
from coterie.tuning.datasets import Dataset
from coterie.tuning.dialogue import dialogue_recipe, for_language_model, load_for_training, lora_places, tune_dialogue
from coterie.tuning.errors import DatasetError, RecipeError, TrainingFailed
from coterie.tuning.progress import Progress
from coterie.tuning.recipes import Method, Recipe
from coterie.tuning.rows import DialogueRow, Source, Split
from coterie.tuning.supervision import RoleMask
from coterie.tuning.token_batches import Example
from coterie.tuning.token_scores import mean_loss

if TYPE_CHECKING:
    from coterie.agents.engine import Engine

ROLE = "desk/writer"
SAID = {"price": "the share fell", "revenue": "it rose by ten percent", "costs": "they were higher", "outlook": "weak"}


def row(name: str, split: Split, before: str | None = None) -> DialogueRow:
    """Two questions with the answers that are right about them."""
    first, second = name, next(topic for topic in SAID if topic != name)
    turns = (
        ChatTurn("user", f"the {first}?"),
        ChatTurn("assistant", SAID[first]),
        ChatTurn("user", f"the {second}?"),
        ChatTurn("assistant", SAID[second]),
    )
    return DialogueRow(f"{name}/{split}", turns, (False, True, False, True), split, Source(name, name), rejected=before)


def dataset(before: str | None = None) -> Dataset[DialogueRow]:
    splits: tuple[Split, ...] = ("train", "validation")
    return Dataset(ROLE, "dialogue", tuple(row(name, split, before) for split in splits for name in SAID))


def recipe(method: Method = "lora", **changes: Any) -> Recipe:
    settings: dict[str, Any] = {"learning_rate": 5e-3, "epochs": 8.0, "batch_tokens": 128, "precision": "float32"}
    return dialogue_recipe("balanced", **{**settings, "method": method, "patience": 50, **changes})


def loss_of(folder: Path, data: Dataset[DialogueRow]) -> float:
    rows = RoleMask(folder).supervise(data.part("validation"), 1_000).sequences
    return mean_loss(load_for_training(folder).eval(), [Example((one,)) for one in rows], 4_096)


@pytest.fixture(scope="module")
def bfloat16_decoder(tiny_decoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny decoder as most language models are stored."""
    folder = tmp_path_factory.mktemp("bfloat16-decoder")
    AutoModelForCausalLM.from_pretrained(tiny_decoder, dtype=torch.bfloat16).save_pretrained(folder)
    load_tokenizer(tiny_decoder).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("method", ["lora", "adalora", "top", "full", "head", "adapter"])
def test_every_method_learns(bfloat16_decoder: Path, tmp_path: Path, method: Method) -> None:
    """The checkpoint that comes out makes less loss than its base, and has the number type of its base."""
    own: dict[str, dict[str, Any]] = {"top": {"layers": 1}, "adalora": {"learning_rate": 0.1, "epochs": 10.0}}
    settings = recipe(method, **own.get(method, {}))
    candidate = tune_dialogue(dataset(), str(bfloat16_decoder), settings, tmp_path, device="cpu")
    assert (candidate.role, candidate.kind, candidate.base) == (ROLE, "dialogue", str(bfloat16_decoder))
    assert candidate.base_digest == weights_digest(bfloat16_decoder)
    assert candidate.dataset == dataset().digest
    weights = load_file(tmp_path / "model" / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.bfloat16}
    assert loss_of(tmp_path / "model", dataset()) < 0.9 * loss_of(bfloat16_decoder, dataset())
    assert all(content == tmp_path / name for name, content in candidate.files.items())
    assert {"model/config.json", "model/model.safetensors", "model/tokenizer.json"} <= set(candidate.files)


def test_what_is_frozen_is_equal_bit_for_bit(bfloat16_decoder: Path, tmp_path: Path) -> None:
    """Of lora all but the projections of the upper half."""
    tune_dialogue(dataset(), str(bfloat16_decoder), recipe(), tmp_path, device="cpu")
    before, after = (load_file(folder / "model.safetensors") for folder in (bfloat16_decoder, tmp_path / "model"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    places = lora_places(load_for_training(bfloat16_decoder))
    assert places is not None
    assert changed == {f"{place}.weight" for place in places}
    assert all(".layers.1." in name for name in changed)


@pytest.mark.anyio
async def test_the_engine_serves_what_was_trained(engine: "Engine", bfloat16_decoder: Path, tmp_path: Path) -> None:
    """Greedy text from the folder is that of transformers' generate with the same weights, and what was taught."""
    tune_dialogue(
        dataset(), str(bfloat16_decoder), recipe("full", epochs=16.0, learning_rate=1e-2), tmp_path, device="cpu"
    )
    folder = tmp_path / "model"
    dtype = getattr(torch, (await engine.profile()).decoder_dtype)
    plain: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    tokenizer = load_tokenizer(folder)
    for topic, answer in SAID.items():
        turns = (ChatTurn("user", f"the {topic}?"),)
        prompt = prompt_tokens(tokenizer, turns)
        ids = plain.generate(torch.tensor([prompt]), max_new_tokens=24, do_sample=False)[0, len(prompt) :]
        written = await engine.generate(Generation(str(folder), turns, max_new_tokens=24))
        assert written.text == tokenizer.decode(ids, skip_special_tokens=True) == answer


def test_the_same_seed_gives_the_same_weights(bfloat16_decoder: Path, tmp_path: Path) -> None:
    """On the CPU; another seed gives others."""
    digests = []
    for number, seed in enumerate((0, 0, 1)):
        changes = {"seed": seed, "epochs": 2.0}
        tune_dialogue(dataset(), str(bfloat16_decoder), recipe(**changes), tmp_path / str(number), device="cpu")
        digests.append(weights_digest(tmp_path / str(number) / "model"))
    assert digests[0] == digests[1] != digests[2]


def test_a_second_call_goes_on_where_the_first_ended(bfloat16_decoder: Path, tmp_path: Path) -> None:
    """In the same folder with the same arguments: no step is made again, and the same weights come out."""
    digests, steps = [], []
    for _ in range(2):
        heard: list[Progress] = []
        tune_dialogue(
            dataset(before="no idea, sorry"),
            str(bfloat16_decoder),
            recipe(epochs=1.0, preference=0.5),
            tmp_path,
            listen=heard.append,
            device="cpu",
        )
        digests.append(weights_digest(tmp_path / "model"))
        steps.append(sum(progress.step > 0 and not progress.notice for progress in heard))
    assert digests[0] == digests[1]
    assert steps[0] > 0 == steps[1]


def test_what_people_changed_is_preferred(bfloat16_decoder: Path, tmp_path: Path) -> None:
    """After the turns, the edited replies gain on the originals, in fewer nats than log 2."""
    data = dataset(before="no idea, sorry")
    candidate = tune_dialogue(data, str(bfloat16_decoder), recipe(preference=0.5), tmp_path, device="cpu")
    before, after = (
        candidate.note.partition("4 pairs of an edited reply and its original: ")[2].split(" (")[0].split(" -> ")
    )
    assert float(before) == pytest.approx(0.6931, abs=1e-3)
    assert float(after) < 0.6


def test_a_person_is_told_what_is_learned(bfloat16_decoder: Path, tmp_path: Path) -> None:
    """The supervised share, the trained share, what is computed once, and what came of it."""
    heard: list[Progress] = []
    candidate = tune_dialogue(
        dataset(), str(bfloat16_decoder), recipe(epochs=2.0), tmp_path, listen=heard.append, device="cpu"
    )
    notices = " ".join(progress.notice for progress in heard)
    supervision = RoleMask(bfloat16_decoder).supervise(dataset().part("train"), 1_000)
    assert f"Learned: {supervision}." in notices
    assert "weights are trained" in notices
    assert "The lowest 1 blocks are computed once" in notices
    assert "nats a supervised token on validation" in candidate.note


@pytest.mark.parametrize("part", ["train", "validation"])
def test_each_part_must_have_rows(bfloat16_decoder: Path, tmp_path: Path, part: Split) -> None:
    """What is missing is said, and nothing is written."""
    data = replace(dataset(), rows=tuple(row for row in dataset().rows if row.split != part))
    with pytest.raises(
        DatasetError, match=f"has no conversation to {'learn from' if part == 'train' else 'validate on'}"
    ):
        tune_dialogue(data, str(bfloat16_decoder), recipe(), tmp_path, device="cpu")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"adversary": "fgm"}, "adversary is 'fgm', which is for encoders"),
        ({"members": 3}, "members is 3, but one language model answers"),
        ({"augmentation": 1.0}, "augmentation is 1, which is for classifiers"),
        ({"method": "adalora", "preference": 0.1}, "preference needs another method than 'adalora'"),
    ],
)
def test_settings_that_cannot_be_carried_out_are_refused(tmp_path: Path, changes: dict[str, Any], fault: str) -> None:
    """Not left out without a word."""
    with pytest.raises(RecipeError, match=fault):
        tune_dialogue(dataset(), "smollm2-135m", Recipe(**changes), tmp_path)


def test_a_closed_form_becomes_the_fast_recipe() -> None:
    """With every setting that was named; other methods are taken as they are."""
    assert for_language_model(Recipe.fast(seed=3, epochs=2.0)) == dialogue_recipe("fast", seed=3, epochs=2.0)
    assert for_language_model(Recipe.balanced()) == Recipe.balanced()


def test_a_training_that_helped_nothing_is_refused(bfloat16_decoder: Path, tmp_path: Path) -> None:
    """Its candidate would be the base itself."""
    idle = recipe("full", learning_rate=1e-30, epochs=1.0)
    with pytest.raises(TrainingFailed, match=r"no step of \d+ was better on validation than .* as it is"):
        tune_dialogue(dataset(), str(bfloat16_decoder), idle, tmp_path, device="cpu")


def test_generation_settings_and_template_go_along(bfloat16_decoder: Path, tmp_path: Path) -> None:
    """So that prompts and stops are those of the base."""
    tune_dialogue(dataset(), str(bfloat16_decoder), recipe(epochs=1.0), tmp_path, device="cpu")
    settings = [
        json.loads((folder / "generation_config.json").read_text()) for folder in (bfloat16_decoder, tmp_path / "model")
    ]
    assert settings[0]["eos_token_id"] == settings[1]["eos_token_id"]
    turns = (ChatTurn("user", "the price?"),)
    prompts = [prompt_tokens(load_tokenizer(folder), turns) for folder in (bfloat16_decoder, tmp_path / "model")]
    assert prompts[0] == prompts[1]
