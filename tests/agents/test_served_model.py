"""Which language model writes for a role: that of its live release, of the pinned one, or the base as it is."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from transformers import AutoModelForCausalLM

from coterie.agents import Context, DialogueManager, LocalHost, Message, promotion
from coterie.agents.checkpoints import weights_digest
from coterie.agents.errors import CheckpointError
from coterie.agents.inference import ChatTurn, Generation
from coterie.agents.releases import Kind, Release
from coterie.agents.tokens import load_tokenizer

if TYPE_CHECKING:
    from coterie.agents.engine import Engine

pytestmark = pytest.mark.anyio


class Asked(Message):
    question: str


class Said(Message):
    text: str


ASKED = Asked(question="How did sales develop?")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own: nothing is live in it."""
    monkeypatch.setenv("COTERIE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def tuned(tiny_decoder: Path, tmp_path: Path) -> Path:
    """The tiny decoder with other weights in its upper layer."""
    model = AutoModelForCausalLM.from_pretrained(tiny_decoder)
    torch.manual_seed(5)
    torch.nn.init.normal_(model.model.layers[1].mlp.down_proj.weight, std=0.4)
    model.save_pretrained(tmp_path / "tuned")
    load_tokenizer(tiny_decoder).save_pretrained(tmp_path / "tuned")
    return tmp_path / "tuned"


def store(model: Path | None, base: Path, kind: Kind = "dialogue", note: str = "") -> Release:
    files = {} if model is None else {f"model/{path.name}": path for path in model.iterdir()}
    return promotion.add(
        "desk/writer",
        kind=kind,
        base=str(base),
        base_digest=weights_digest(base),
        files={"rows.jsonl": b"", **files},
        note=note,
    )


def writer(base: Path, instructions: str = "Answer.") -> DialogueManager[Asked, Said]:
    return DialogueManager[Asked, Said]("desk/writer", instructions=instructions, base=str(base), max_new_tokens=12)


async def say(manager: DialogueManager[Asked, Said], host: LocalHost, pin: str | None = None) -> Said:
    return await manager.handle(ASKED, Context(host, releases={} if pin is None else {"desk/writer": pin}))


def weights(message: Message) -> str:
    assert message.origin is not None
    return message.origin.weights


async def test_the_live_release_writes(engine: "Engine", tiny_decoder: Path, tuned: Path, home: Path) -> None:
    """From the next message on, in the same host; a rollback brings the base back. Each says which weights it had."""
    host, manager = LocalHost(engine), writer(tiny_decoder)
    before = await say(manager, host)
    release = store(tuned, tiny_decoder)
    assert (await say(manager, host)) == before
    promotion.promote("desk/writer", release.digest)
    live = await say(manager, host)
    promotion.rollback("desk/writer")
    after = await say(manager, host)
    assert live.text != before.text == after.text
    assert weights(live) != weights(before) == weights(after)


async def test_what_writes_is_the_releases_own_checkpoint(
    engine: "Engine", tiny_decoder: Path, tuned: Path, home: Path
) -> None:
    """Word for word what the engine generates from that folder."""
    release = store(tuned, tiny_decoder)
    assert release.model_folder is not None
    turns = (ChatTurn("user", "hello"),)
    from_release = await engine.generate(Generation(str(release.model_folder), turns, max_new_tokens=8))
    from_folder = await engine.generate(Generation(str(tuned), turns, max_new_tokens=8))
    assert from_release.text == from_folder.text


async def test_a_pinned_release_writes(engine: "Engine", tiny_decoder: Path, tuned: Path, home: Path) -> None:
    """Whatever is live; the empty pin is the base as it is."""
    host, manager = LocalHost(engine), writer(tiny_decoder)
    untuned = await say(manager, host)
    release = store(tuned, tiny_decoder)
    pinned = await say(manager, host, pin=release.digest)
    assert pinned.text != untuned.text
    promotion.promote("desk/writer", release.digest)
    assert weights(await say(manager, host)) == weights(pinned)
    assert weights(await say(manager, host, pin="")) == weights(untuned)


async def test_weights_tell_releases_and_instructions_apart(
    engine: "Engine", tiny_decoder: Path, tuned: Path, home: Path
) -> None:
    """Two releases with the same weights are two; of an untuned writer, other instructions are another one."""
    first, second = store(tuned, tiny_decoder), store(tuned, tiny_decoder, note="again")
    host, manager = LocalHost(engine), writer(tiny_decoder)
    assert weights(await say(manager, host, pin=first.digest)) == first.digest
    assert weights(await say(manager, host, pin=second.digest)) == second.digest != first.digest
    assert weights(await say(manager, host, pin="")) != weights(await say(writer(tiny_decoder, "Ask."), host, pin=""))


async def test_a_release_of_another_base_is_refused(
    engine: "Engine", tiny_decoder: Path, tuned: Path, home: Path
) -> None:
    """With what to do."""
    promotion.promote("desk/writer", store(tuned, tiny_decoder).digest)
    with pytest.raises(
        CheckpointError, match=r"was tuned from .*tiny-decoder.* but the dialogue manager has .*set base="
    ):
        await say(writer(tuned), LocalHost(engine))


@pytest.mark.parametrize(("kind", "own"), [("classifier", True), ("dialogue", False)])
async def test_what_is_no_dialogue_manager_is_refused(
    engine: "Engine", tiny_decoder: Path, tuned: Path, home: Path, kind: Kind, own: bool
) -> None:
    """A release of another kind, or without weights of its own."""
    promotion.promote("desk/writer", store(tuned if own else None, tiny_decoder, kind).digest)
    with pytest.raises(
        CheckpointError, match=f"is of a {kind}, with {'a' if own else 'no'} model of its own; expected"
    ):
        await say(writer(tiny_decoder), LocalHost(engine))
