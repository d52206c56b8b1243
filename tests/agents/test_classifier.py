"""`DecisionClassifier`: zero-shot answers, abstaining, releases of its role, and what it refuses."""

import dataclasses
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

import anyio
import anyio.lowlevel
import numpy as np
import pytest
from pydantic import Field
from safetensors.numpy import load_file, save_file

from coterie.agents.agent import Context
from coterie.agents.classifier import DecisionClassifier
from coterie.agents.decisions import Classes
from coterie.agents.engine import Engine
from coterie.agents.errors import CheckpointError, CheckpointNotFound, OutputTypeError, ReleaseCorrupt
from coterie.agents.heads import LinearHead, LinearHeads, linear_inputs, write_heads
from coterie.agents.hosting import LocalHost
from coterie.agents.messages import Confidence, Message, Rejection
from coterie.agents.outputs import plan_output
from coterie.agents.promotion import add, promote, rollback
from coterie.agents.releases import HEAD, Release, StoredHead

ROLE = "desk/mood"
GOOD = ("profit rose", "sales grew", "revenue rose by ten percent", "the dividend grew", "income rose in the quarter")
BAD = ("profit fell", "weak demand", "the company warns of lower profit", "costs were higher", "income fell")


class Line(Message):
    text: str


class Mood(Message):
    label: Literal["good", "bad"]
    confidence: Confidence


class Turned(Message):
    label: Literal["bad", "good"]


class Wider(Message):
    label: Literal["good", "bad", "odd"]


class Outlook(Message):
    movement: Annotated[float, Field(ge=-1, le=1)]


class Topics(Message):
    topics: list[Literal["price", "risk"]]


class Prices(Message):
    text: str
    day: float
    week: float | None


class Note(Message):
    text: str


class Publish(Note):
    """A note about revenue and profit."""


class NeedsReview(Note):
    """A note about the board."""


@pytest.fixture(autouse=True)
def no_releases(coterie_home: Path) -> None:
    """Releases of one test do not answer in another."""
    shutil.rmtree(coterie_home / "releases", ignore_errors=True)


@pytest.fixture
def base(tiny_encoder: Path) -> str:
    return str(tiny_encoder)


@pytest.fixture
def context(engine: Engine) -> Context:
    return Context(LocalHost(engine))


async def tuned(engine: Engine, base: str, labels: tuple[str, ...] = ("good", "bad"), role: str = ROLE) -> Release:
    """A stored release: a ridge regression onto the labels, solved in closed form over real embeddings."""
    inputs = (await engine.embed(base, [*GOOD, *BAD])).astype(np.float64)  # (N, D)
    targets = np.repeat(np.eye(2), (len(GOOD), len(BAD)), axis=0) - 0.5  # (N, K)
    if labels[0] == "bad":
        targets = targets[:, ::-1]
    gram = inputs @ inputs.T + 1e-3 * np.eye(len(inputs))
    weight = (np.linalg.solve(gram, targets).T @ inputs).astype(np.float32)  # (K, D)
    head = LinearHead("classes", weight, np.zeros(2, np.float32), temperature=0.1)
    nothing = np.zeros(0, np.float32)
    return add(
        role,
        base=base,
        base_digest=await engine.digest(base),
        heads=(StoredHead.of(Classes("label", labels)),),
        files={HEAD: write_heads(LinearHeads((head,), nothing, nothing))},
        calibrated=True,
    )


@pytest.mark.anyio
async def test_before_tuning_the_most_similar_description_answers(context: Context, base: str) -> None:
    """The text equal to a description gets its label; the origin says that nothing was calibrated."""
    mood = DecisionClassifier[Line, Mood](ROLE, base=base, describe={"good": "sales grew", "bad": "costs were higher"})
    for label, text in mood.describe.items():
        answer = await mood.handle(Line(text=text), context)
        assert answer.label == label
        assert answer.origin is not None
        assert (answer.origin.role, answer.origin.calibrated) == (ROLE, False)
        assert answer.origin.alternatives[0] == (label, answer.confidence)
        assert sum(probability for _, probability in answer.origin.alternatives) == pytest.approx(1)


@pytest.mark.anyio
async def test_every_kind_of_output_answers_zero_shot(context: Context, base: str) -> None:
    """Routing, many labels and a number need no tuning either."""
    risk = DecisionClassifier[Note, Publish | NeedsReview]("desk/risk", base=base)
    answer = await risk.handle(Note(text="A note about the board."), context)
    assert answer == NeedsReview(text="A note about the board.")
    topics = DecisionClassifier[Line, Topics]("desk/topics", base=base)
    assert set((await topics.handle(Line(text="risk"), context)).topics) <= {"price", "risk"}
    ends = {"low": "profit fell", "high": "profit rose"}
    outlook = DecisionClassifier[Line, Outlook]("desk/outlook", base=base, describe=ends)
    low, high = [(await outlook.handle(Line(text=text), context)).movement for text in ends.values()]
    assert -1 <= low < high <= 1


@pytest.mark.anyio
async def test_the_digest_tells_descriptions_apart(context: Context, base: str) -> None:
    """The same description is the same weights; another sentence for a label is another digest."""
    digests = []
    for describe in ({}, {"good": "good"}, {"good": "very good"}):
        mood = DecisionClassifier[Line, Mood](ROLE, base=base, describe=describe)
        answer = await mood.handle(Line(text="sales grew"), context)
        assert answer.origin is not None
        digests.append(answer.origin.weights)
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.anyio
async def test_text_without_words_never_surprises(context: Context, base: str) -> None:
    """There is a valid answer where one must be given, and a Rejection where one may be."""
    must = DecisionClassifier[Line, Mood](ROLE, base=base)
    may = DecisionClassifier[Line, Mood | Rejection](ROLE, base=base)
    for text in ("", "   \n", "\U0001f389\U0001f680", "\x07\x1b\0", "\ud800", "?!", "\u200b"):
        assert isinstance(await must.handle(Line(text=text), context), Mood)
        declined = await may.handle(Line(text=text), context)
        assert isinstance(declined, Rejection)
        assert declined.reason == "the message has no words and no numbers to judge by"


@pytest.mark.anyio
async def test_it_abstains_where_it_is_too_unsure(context: Context, base: str) -> None:
    """A limit that no probability reaches makes every answer a Rejection that carries its origin."""
    sure = DecisionClassifier[Line, Mood | Rejection](ROLE, base=base, abstain_below=1.0)
    declined = await sure.handle(Line(text="sales grew"), context)
    assert isinstance(declined, Rejection)
    assert declined.by == ROLE
    assert declined.proposal["label"] in {"good", "bad"}
    assert declined.origin is not None
    assert len(declined.origin.alternatives) == 2


@pytest.mark.anyio
async def test_a_promoted_release_answers_and_a_rollback_takes_it_back(engine: Engine, base: str) -> None:
    """The tuned head is right about what it learned, its digest is in the origin, and going back restores zero-shot."""
    mood = DecisionClassifier[Line, Mood](ROLE, base=base)
    before = await mood.handle(Line(text=GOOD[0]), Context(LocalHost(engine)))
    release = await tuned(engine, base)
    promote(ROLE, release.digest)
    host = Context(LocalHost(engine))
    for label, texts in (("good", GOOD), ("bad", BAD)):
        for text in texts:
            answer = await mood.handle(Line(text=text), host)
            assert (answer.label, text) == (label, text)
            assert answer.confidence > 0.6
            assert answer.origin is not None
            assert (answer.origin.weights, answer.origin.calibrated) == (release.digest, True)
    rollback(ROLE)
    after = await mood.handle(Line(text=GOOD[0]), Context(LocalHost(engine)))
    assert (after, after.origin) == (before, before.origin)


@pytest.mark.anyio
async def test_a_promotion_counts_from_the_next_message_of_a_running_host(
    context: Context, engine: Engine, base: str
) -> None:
    """64 messages in flight while releases change all get an answer, each wholly by one release."""
    mood = DecisionClassifier[Line, Mood](ROLE, base=base)
    first, second = await tuned(engine, base), await tuned(engine, base, ("bad", "good"))
    promote(ROLE, first.digest)
    answers: list[Mood] = []

    async def ask(number: int) -> None:
        answers.append(await mood.handle(Line(text=f"{GOOD[0]} {number}"), context))

    async with anyio.create_task_group() as group:
        for number in range(64):
            group.start_soon(ask, number)
            if number == 32:
                await anyio.lowlevel.checkpoint()
                promote(ROLE, second.digest)
    by = Counter(answer.origin.weights for answer in answers if answer.origin is not None)
    assert by.total() == 64
    assert set(by) == {first.digest, second.digest}
    rollback(ROLE)
    last = await mood.handle(Line(text=GOOD[0]), context)
    assert last.origin is not None
    assert last.origin.weights == first.digest


@pytest.mark.anyio
async def test_a_release_with_weights_of_its_own_embeds_with_them(
    context: Context, engine: Engine, base: str, tmp_path: Path
) -> None:
    """The checkpoint inside the release takes the place of its base."""
    changed = shutil.copytree(base, tmp_path / "changed")
    weights = load_file(changed / "model.safetensors")
    weights["embeddings.word_embeddings.weight"] = -weights["embeddings.word_embeddings.weight"]
    save_file(weights, changed / "model.safetensors", metadata={"format": "pt"})
    head = await tuned(engine, str(changed))
    release = add(
        ROLE,
        base=base,
        base_digest=await engine.digest(base),
        heads=head.manifest.heads,
        files={HEAD: head.head_path.read_bytes(), **{f"model/{file.name}": file for file in changed.iterdir()}},
    )
    promote(ROLE, release.digest)
    mood = DecisionClassifier[Line, Mood](ROLE, base=base)
    for label, texts in (("good", GOOD), ("bad", BAD)):
        for text in texts:
            assert ((await mood.handle(Line(text=text), context)).label, text) == (label, text)
    assert str(release.model_folder) in {model.base for model in engine.statistics().models}


@pytest.mark.anyio
async def test_labels_may_be_named_in_another_order(context: Context, engine: Engine, base: str) -> None:
    """A release knows its labels by name, so reordering the Literal changes no answer."""
    promote(ROLE, (await tuned(engine, base)).digest)
    turned = DecisionClassifier[Line, Turned](ROLE, base=base)
    assert [(await turned.handle(Line(text=text), context)).label for text in (GOOD[0], BAD[0])] == ["good", "bad"]


@pytest.mark.anyio
async def test_a_release_for_other_labels_is_an_error_that_names_both(
    context: Context, engine: Engine, base: str
) -> None:
    """Nothing is guessed about a class that the head does not know."""
    promote(ROLE, (await tuned(engine, base)).digest)
    wider = DecisionClassifier[Line, Wider](ROLE, base=base)
    with pytest.raises(
        CheckpointError,
        match=r"decides classes label \[good, bad\], but the output type asks for classes label \[good, bad, odd\]",
    ):
        await wider.handle(Line(text="sales grew"), context)


@pytest.mark.anyio
async def test_a_release_over_other_weights_or_numbers_is_refused(context: Context, engine: Engine, base: str) -> None:
    """A head belongs to the base and to the numeric fields that it was tuned with."""
    release = await tuned(engine, base)
    promote(ROLE, release.digest)
    mood = DecisionClassifier[Prices, Mood](ROLE, base=base)
    with pytest.raises(CheckpointError, match="was tuned with the numeric fields none, but its input has day, week"):
        await mood.handle(Prices(text="x", day=1.0, week=None), context)
    other = add(
        ROLE,
        base="gone",
        base_digest="0" * 64,
        heads=release.manifest.heads,
        files={HEAD: release.head_path.read_bytes()},
    )
    promote(ROLE, other.digest)
    with pytest.raises(CheckpointError, match=r"was tuned over gone \(000000000000\), but the classifier has .*; set "):
        await DecisionClassifier[Line, Mood](ROLE, base=base).handle(Line(text="x"), context)


@pytest.mark.anyio
async def test_a_changed_release_answers_nothing(context: Context, engine: Engine, base: str) -> None:
    """A head file that was altered is refused; so is one that holds no heads although its hash is right."""
    release = await tuned(engine, base)
    promote(ROLE, release.digest)
    mood = DecisionClassifier[Line, Mood](ROLE, base=base)
    release.head_path.write_bytes(b"altered")
    with pytest.raises(ReleaseCorrupt, match="was changed after it had been stored"):
        await mood.handle(Line(text="x"), context)
    manifest = release.manifest
    empty = add(ROLE, base=base, base_digest=manifest.base_digest, heads=manifest.heads, files={HEAD: b"no heads"})
    promote(ROLE, empty.digest)
    with pytest.raises(ReleaseCorrupt, match="is no safetensors file"):
        await mood.handle(Line(text="x"), context)


@pytest.mark.anyio
async def test_numbers_count_once_a_role_is_tuned(context: Context, engine: Engine, base: str) -> None:
    """A head that looks at `day` alone follows it; a missing `week` counts as average."""
    width = (await engine.embed(base, ["x"])).shape[1]
    weight = np.zeros((1, width + 2), np.float32)
    weight[0, width] = 0.5
    head = LinearHead("regression", weight, np.zeros(1, np.float32))
    mean, deviation = np.zeros(2, np.float32), np.full(2, 2, np.float32)
    release = add(
        "desk/outlook",
        base=base,
        base_digest=await engine.digest(base),
        heads=tuple(StoredHead.of(one) for one in plan_output(Prices, Outlook).heads),
        files={HEAD: write_heads(LinearHeads((head,), mean, deviation))},
        features=("day", "week"),
    )
    promote("desk/outlook", release.digest)
    outlook = DecisionClassifier[Prices, Outlook]("desk/outlook", base=base)
    found = [(await outlook.handle(Prices(text="a", day=day, week=None), context)).movement for day in (-9.0, 1.0, 2.0)]
    assert found == [-1.0, 0.25, 0.5]
    assert linear_inputs(np.zeros((1, 0), np.float32), np.array([[1.0, 0.0]]), mean, deviation).tolist() == [[0.5, 0]]


@pytest.mark.anyio
async def test_many_at_once_open_the_heads_once(engine: Engine, base: str) -> None:
    """Fifty first messages embed each description a single time, and get the answers that one alone gets."""
    mood = DecisionClassifier[Line, Mood](ROLE, base=base)
    texts = [f"{text} {number}" for number in range(5) for text in (*GOOD, *BAD)]
    context, answers = Context(LocalHost(engine)), dict[str, Mood]()

    async def ask(text: str) -> None:
        answers[text] = await mood.handle(Line(text=text), context)

    async with anyio.create_task_group() as group:
        for text in texts:
            group.start_soon(ask, text)
    assert engine.statistics().texts_embedded == len(texts) + 2
    assert answers[texts[7]] == await mood.handle(Line(text=texts[7]), Context(LocalHost(engine)))


@pytest.mark.anyio
async def test_a_base_that_is_not_there_is_said_again_and_again(context: Context) -> None:
    """A failure to open the heads is not kept: each message is told."""
    mood = DecisionClassifier[Line, Mood](ROLE, base="no-such-base")
    for _ in range(2):
        with pytest.raises(CheckpointNotFound, match="there is no base checkpoint 'no-such-base'"):
            await mood.handle(Line(text="x"), context)


def test_the_name_is_the_last_part_of_the_role() -> None:
    """Unless another is given."""
    assert DecisionClassifier[Line, Mood]("finance/desk/mood").name == "mood"
    assert DecisionClassifier[Line, Mood]("mood").name == "mood"
    assert DecisionClassifier[Line, Mood]("finance/mood", name="tone").name == "tone"


def test_faults_of_types_and_descriptions_are_all_told_before_anything_runs() -> None:
    """Types first; then labels that do not exist and descriptions that say nothing."""

    class Reason(Message):
        reason: str
        label: Literal["a"]

    assert len(DecisionClassifier[Line, Reason](ROLE).faults()) == 2
    assert DecisionClassifier[Line, Mood](ROLE).faults() == []
    assert DecisionClassifier[Line, Mood](ROLE, describe={"goood": "x", "bad": " ", "label: good": "y"}).faults() == [
        "describe= names 'goood', which is no label; the labels are good, bad",
        "describe= says nothing about 'bad'; write a sentence, or leave it out",
    ]
    assert DecisionClassifier[Line, Mood](ROLE, abstain_below=0.5).faults() == [
        "abstain_below=0.5 needs Rejection among the answers; write `Mood | Rejection`"
    ]


@pytest.mark.anyio
async def test_a_classifier_with_faults_answers_nothing(context: Context) -> None:
    """The error names the classifier and every fault."""
    mood = DecisionClassifier[Line, Note | Mood](ROLE)
    with pytest.raises(OutputTypeError, match=r"classifier 'mood': nothing fills Mood\.label: Mood is one class"):
        await mood.handle(Line(text="x"), context)
    with pytest.raises(OutputTypeError, match="DecisionClassifier was made without its types"):
        DecisionClassifier(ROLE).faults()


def test_settings_that_make_no_sense_are_refused_when_made() -> None:
    """A role that is no name, and a limit that is no probability."""
    with pytest.raises(CheckpointError, match=r"'\.\./mood' is no name of a role"):
        DecisionClassifier[Line, Mood]("../mood")
    with pytest.raises(ValueError, match="has abstain_below=60; expected more than 0, at most 1"):
        DecisionClassifier[Line, Mood | Rejection](ROLE, abstain_below=60)


def test_importing_the_classifier_is_light() -> None:
    """Neither torch nor numpy comes with its description."""
    script = "import sys, coterie.agents.classifier; print({'torch', 'numpy', 'filelock'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "set()"


def test_the_plan_of_a_release_is_frozen() -> None:
    """What a head was trained for cannot be changed in place."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan_output(Line, Mood).heads[0].field = "other"  # type: ignore[misc]
