"""The ladder of a classifier on a tiny encoder: every rung learns, and what is measured is what is served."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from coterie.agents.engine import Engine
from coterie.agents.heads import LinearHead, read_heads
from coterie.agents.releases import HEAD, StoredHead
from coterie.tuning.classifier import tune_classifier
from coterie.tuning.classifier_answers import candidate_answers, candidate_folder
from coterie.tuning.classifier_rows import classifier_rows
from coterie.tuning.classifier_training import train_classifier
from coterie.tuning.datasets import Dataset
from coterie.tuning.errors import DatasetError, TrainingFailed
from coterie.tuning.head_fitting import FeatureScale
from coterie.tuning.recipes import Recipe
from coterie.tuning.rows import ClassifierRow, Source, Split
from coterie.tuning.text_classifier import TextBatch, load_encoder, upper_part
from coterie.tuning.trunk import Platform, Trunk

MOOD = StoredHead(kind="classes", field="mood", labels=("bad", "so-so", "good"))
TOPICS = StoredHead(kind="multilabel", field="topics", labels=("demand", "dividend"))
SCORE = StoredHead(kind="regression", field="score", labels=("low", "high"), low=-1, high=1)
WORDS = {
    "bad": ("fell", "lower", "weak", "warns"),
    "so-so": ("neutral", "board", "report"),
    "good": ("rose", "grew", "profit"),
}
SPLITS: tuple[Split, ...] = ("train", "train", "train", "validation", "calibration")
CPU = Platform(torch.device("cpu"), torch.float32)
SMALL = {"epochs": 6, "batch_tokens": 128, "learning_rate": 2e-3, "precision": "float32"}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def made_rows(count: int, features: bool = False) -> tuple[ClassifierRow, ...]:
    """Texts of which two words tell the mood and one another, some with a topic; the score follows the mood."""
    chance = random.Random(0)
    rows = []
    for number in range(count):
        mood = MOOD.labels[number % 3]
        topic = chance.choice(["demand", "dividend", "price"])
        other = chance.choice([word for label in MOOD.labels if label != mood for word in WORDS[label]])
        words = [*chance.sample(WORDS[mood], 2), other, topic, *chance.sample(["the", "in", "and", "of", "share"], 3)]
        chance.shuffle(words)
        targets = (mood, frozenset({topic} & set(TOPICS.labels)), (number % 3 - 1) * 0.8)
        source = Source(f"made, line {number}", str(number))
        numbers = (float(number % 3), float("nan")) if features else ()
        rows.append(
            ClassifierRow(str(number), " ".join(words), targets, SPLITS[number // 3 % 5], source, features=numbers)
        )
    return tuple(rows)


def dataset(count: int = 150, heads: int = 3, features: bool = False) -> Dataset[ClassifierRow]:
    rows = tuple(
        ClassifierRow(row.id, row.text, row.targets[:heads], row.split, row.source, features=row.features)
        for row in made_rows(count, features)
    )
    return Dataset(
        "desk/mood", "classifier", rows, heads=(MOOD, TOPICS, SCORE)[:heads], features=("a", "b") if features else ()
    )


@pytest.mark.parametrize("method", ["top", "full", "lora", "adalora", "adapter", "head"])
def test_every_method_learns(tiny_encoder: Path, tmp_path: Path, method: str) -> None:
    """From a head that knows nothing, the loss falls; weights that are frozen stay equal to the last bit."""
    recipe = Recipe(method=method, layers=1, rank=4, head_learning_rate=0.05, **SMALL)  # type: ignore[arg-type]
    data, trunk = dataset(heads=1), Trunk(tiny_encoder, CPU)
    scale, upper = FeatureScale.of(data.part("train")), int(method == "top")
    rows, held_out = (
        classifier_rows(data.part(split), data.heads, trunk, scale, [(0.0, 1.0)], upper)
        for split in ("train", "validation")  # type: ignore[arg-type]
    )
    nothing = LinearHead("classes", np.zeros((3, 32), np.float32), np.zeros(3, np.float32))
    made = train_classifier(trunk, [nothing], [(0.0, 1.0)], rows, held_out, recipe, tmp_path)
    assert made.before == pytest.approx(2 / 3 + 0.1 * np.log(3), abs=1e-4)  # all answers alike
    assert made.after < 0.95 * made.before
    assert 0 < made.trainable < made.total
    before, after = (load_file(folder / "model.safetensors") for folder in (tiny_encoder, made.folder))
    frozen = {"top": "encoder.layer.0.", "head": "encoder.layer.", "adapter": "attention.self"}.get(
        method, "word_embed"
    )
    assert all(torch.equal(after[name], weight) for name, weight in before.items() if frozen in name)
    changed = [name for name, weight in before.items() if not torch.equal(after[name], weight)]
    assert bool(changed) == (method != "head")


@pytest.mark.anyio
@pytest.mark.parametrize("method", ["closed-form", "top", "full"])
async def test_what_is_served_is_what_was_measured(
    engine: Engine, tiny_encoder: Path, tmp_path: Path, method: str
) -> None:
    """The engine over the written folder and the stored heads give the tuner's numbers, features and all."""
    data = dataset(90, features=True)
    recipe = Recipe(method=method, layers=1, **{**SMALL, "epochs": 1})  # type: ignore[arg-type]
    candidate = tune_classifier(data, str(tiny_encoder), recipe, tmp_path, device="cpu", climb=False).candidate
    measured = candidate_answers(candidate, data.rows[:30], Platform.probed("cpu"))
    content = candidate.files[HEAD]
    assert isinstance(content, bytes)
    heads = read_heads(content, [head.kind for head in data.heads])
    assert candidate.calibrated
    assert heads.heads[0].temperature != 1
    embeddings = await engine.embed(str(candidate_folder(candidate)), [row.text for row in data.rows[:30]])
    for place, row in enumerate(data.rows[:30]):
        for number, prediction in enumerate(heads.predict(embeddings[place], row.features)):
            assert prediction == pytest.approx(measured[number][place], abs=1e-4)


def test_the_ladder_ends_where_a_gain_could_be_chance(tiny_encoder: Path, tmp_path: Path) -> None:
    """The first rung tells these moods apart by features alone, so that the second gains nothing, and is the last."""
    data = dataset(150, heads=1, features=True)
    tuned = tune_classifier(data, str(tiny_encoder), Recipe.best(**SMALL), tmp_path, device="cpu")
    assert tuned.rungs[0].validation == 1
    assert len(tuned.rungs) == 2
    assert "costs fall by" in tuned.rungs[1].note
    assert [rung.kept for rung in tuned.rungs].count(True) == 1


def test_a_rung_that_is_worse_is_not_kept(tiny_encoder: Path, tmp_path: Path) -> None:
    """A mad learning rate leaves the candidate at the first rung, without weights of its own, unless it helped."""
    recipe = Recipe(method="full", **{**SMALL, "learning_rate": 5.0, "epochs": 1, "average": 0.99})  # type: ignore[arg-type]
    tuned = tune_classifier(dataset(heads=1), str(tiny_encoder), recipe, tmp_path, device="cpu")
    assert tuned.rungs[0].kept or tuned.rungs[-1].validation >= tuned.rungs[0].validation
    assert (set(tuned.candidate.files) == {HEAD}) == tuned.rungs[0].kept


def test_a_budget_ends_the_ladder(tiny_encoder: Path, tmp_path: Path) -> None:
    """With hardly any time, only the first rung is reached; it always is."""
    recipe = Recipe.best(budget_seconds=1e-6)
    tuned = tune_classifier(dataset(heads=1), str(tiny_encoder), recipe, tmp_path, device="cpu")
    assert [rung.name for rung in tuned.rungs] == ["closed-form"]
    assert tuned.rungs[0].kept


def test_members_are_averaged_into_one(tiny_encoder: Path, tmp_path: Path) -> None:
    """Two trainings with other seeds give one checkpoint, never worse on validation rows than the better."""
    recipe = Recipe(method="top", layers=1, members=2, adversary="r-drop", dropout=0.2, augmentation=0.5, **SMALL)  # type: ignore[arg-type]
    tuned = tune_classifier(dataset(90, heads=1), str(tiny_encoder), recipe, tmp_path, device="cpu", climb=False)
    assert "of 2 members" in tuned.rungs[-1].note
    assert sorted(path.name for path in (tmp_path / "rung-top").iterdir()) == ["member-0", "member-1", "model"]


def test_upper_layers_over_cached_states_are_the_whole_encoder(tiny_encoder: Path) -> None:
    """Of any number of layers; and they share its weights."""
    encoder = load_encoder(tiny_encoder).eval()
    trunk = Trunk(tiny_encoder, CPU)
    texts = ["revenue rose by ten percent", "the board", "warns of weak demand in the first quarter"]
    for layers in (1, 2):
        states = trunk.states(texts, layers)
        upper = upper_part(encoder, layers).eval()
        for text, below in zip(texts, states, strict=True):
            mask = torch.ones(1, len(below), dtype=torch.long)
            ids = torch.tensor(trunk.tokenize([text]))
            with torch.no_grad():
                whole = encoder(input_ids=ids, attention_mask=mask).last_hidden_state
                found = upper(inputs_embeds=below[None], attention_mask=mask).last_hidden_state
            torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-5)
        mine = {id(one) for one in upper.parameters()}
        assert len(mine & {id(one) for one in encoder.parameters()}) == len(mine)
    with pytest.raises(TrainingFailed, match="has 2 layers, but the upper 3 were asked for"):
        trunk.states(["other"], 3)
    with pytest.raises(TrainingFailed, match="upper 3 layers of BertModel cannot be computed by themselves"):
        upper_part(encoder, 3)


def test_states_and_embeddings_are_computed_once(tiny_encoder: Path) -> None:
    """A text that is known is not computed again, and the listener hears of new ones only."""
    trunk, told = Trunk(tiny_encoder, CPU), []
    trunk.embed(["revenue", "profit", "revenue"], lambda done, total: told.append((done, total)))
    assert told[-1] == (2, 2)
    first = trunk.states(["revenue"], 1)[0]
    assert trunk.states(["revenue"], 1)[0] is first
    assert trunk.embed(["profit"], lambda done, total: told.append((0, 0))).shape == (1, 32)
    assert (0, 0) not in told


def test_rows_that_teach_nothing_are_refused_before_anything_is_written(tiny_encoder: Path, tmp_path: Path) -> None:
    """One label only, no rows to validate, no rows to train on."""
    data = dataset(60, heads=1)
    one_label = tuple(row for row in data.rows if row.targets == ("good",))
    train = tuple(row for row in data.rows if row.split == "train")
    for rows, said in (
        (one_label, "say 'good' to head 'mood'; there is nothing to learn"),
        (train, "no rows to validate 'full' on; add some, or use 'closed-form'"),
        (tuple(row for row in data.rows if row.split != "train"), "has no rows to train on"),
    ):
        with pytest.raises(DatasetError, match=said):
            tune_classifier(
                Dataset("desk/mood", "classifier", rows, heads=(MOOD,)),
                str(tiny_encoder),
                Recipe.best(),
                tmp_path,
                device="cpu",
            )
    assert list(tmp_path.iterdir()) == []


def test_the_first_rung_needs_no_rows_but_those_to_train_on(tiny_encoder: Path, tmp_path: Path) -> None:
    """Leaving each out in turn is enough; nothing is called calibrated then."""
    rows = tuple(row for row in dataset(90, heads=1).rows if row.split == "train")
    data = Dataset("desk/mood", "classifier", rows, heads=(MOOD,))
    candidate = tune_classifier(data, str(tiny_encoder), Recipe.fast(), tmp_path, device="cpu").candidate
    assert not candidate.calibrated
    (found,) = candidate_answers(candidate, rows, CPU)
    right = [MOOD.labels.index(str(row.targets[0])) for row in rows]
    assert (found.argmax(axis=1) == np.array(right)).mean() > 0.6


def test_a_batch_moves_to_a_device() -> None:
    """With all that it holds."""
    batch = TextBatch(torch.ones(1, 2, dtype=torch.long), torch.ones(1, 2, dtype=torch.long), torch.ones(1, 0))
    moved = batch.to(torch.device("meta"))
    assert {tensor.device.type for tensor in (moved.tokens, moved.mask, moved.features)} == {"meta"}
