"""The engine answers many tasks at once, shares what it can, and always ends: by a result, an error or a cancel."""

import shutil
from pathlib import Path

import anyio
import numpy as np
import pytest

from coterie.agents.checkpoints import weights_digest
from coterie.agents.engine import Engine
from coterie.agents.errors import CheckpointNotFound, ContextOverflow, EngineClosed, EngineError
from coterie.agents.inference import ChatTurn, Completion, Generation
from coterie.agents.models import MOST_KEPT

pytestmark = pytest.mark.anyio


def ask(folder: Path, text: str = "costs", tokens: int = 12, temperature: float = 0.0, seed: int = 0) -> Generation:
    return Generation(str(folder), (ChatTurn("user", text),), None, tokens, temperature, seed)


async def test_embeddings_have_unit_length(engine: Engine, tiny_encoder: Path):
    """One float32 row of length 1 for each text, in order; repeated and empty texts are legal."""
    vectors = await engine.embed(str(tiny_encoder), ["revenue rose", "", "revenue rose", "costs"])
    assert vectors.shape == (4, 32)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert (vectors[0] == vectors[2]).all()


async def test_models_that_have_not_been_asked_for_are_let_go(engine: Engine, tiny_encoder: Path, tmp_path: Path):
    """More checkpoints than are kept give the same vectors as before, also those that were let go."""
    folders = [str(shutil.copytree(tiny_encoder, tmp_path / str(number))) for number in range(MOST_KEPT + 2)]
    first = [(await engine.embed(folder, [f"revenue {folder}"])).tobytes() for folder in folders]
    assert len(engine._models.encoders) == MOST_KEPT
    again = [(await engine.embed(folder, [f"revenue {folder}", "costs"]))[0].tobytes() for folder in folders]
    assert again == first


async def test_no_texts_give_no_rows(engine: Engine, tiny_encoder: Path):
    """An empty list gives an array of no rows with the right width."""
    assert (await engine.embed(str(tiny_encoder), [])).shape == (0, 32)


async def test_concurrent_texts_share_batches(engine: Engine, tiny_encoder: Path):
    """64 tasks that each embed one text take a handful of batches."""
    rows: dict[int, bytes] = {}

    async def embed(number: int) -> None:
        rows[number] = (await engine.embed(str(tiny_encoder), [f"revenue {number}"])).tobytes()

    async with anyio.create_task_group() as group:
        for number in range(64):
            group.start_soon(embed, number)
    alone = {number: (await engine.embed(str(tiny_encoder), [f"revenue {number}"])).tobytes() for number in range(64)}
    statistics = engine.statistics()
    assert rows == alone
    assert statistics.texts_embedded == 64
    assert statistics.cache_hits == 64
    assert statistics.batches <= 8


async def test_identical_texts_are_computed_once(engine: Engine, tiny_encoder: Path):
    """Tasks that ask for the same text at the same time share one computation."""
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(engine.embed, str(tiny_encoder), ["revenue rose", "costs"])
    assert engine.statistics().texts_embedded == 2


async def test_text_arrives_in_pieces_in_the_asking_task(engine: Engine, tiny_decoder: Path):
    """The pieces together are the completion's text."""
    pieces: list[str] = []
    completion = await engine.generate(ask(tiny_decoder, tokens=30), pieces.append)
    assert "".join(pieces) == completion.text
    assert len(pieces) > 5
    assert completion.prompt_tokens > 10


async def test_an_error_in_the_listener_is_raised_to_its_task(engine: Engine, tiny_decoder: Path):
    """What `on_text` raises comes out of `generate` unchanged, and the engine goes on."""

    def refuse(piece: str) -> None:
        raise KeyError(piece)

    with pytest.raises(KeyError):
        await engine.generate(ask(tiny_decoder), refuse)
    assert (await engine.generate(ask(tiny_decoder))).text


async def test_replies_do_not_depend_on_concurrency(engine: Engine, tiny_decoder: Path, tiny_encoder: Path):
    """Greedy and sampled replies are the same alone and among 20 others and embeddings."""
    requests = [ask(tiny_decoder, f"costs {n}", 10 + n, temperature=float(n % 2), seed=n) for n in range(20)]
    alone = [await engine.generate(request) for request in requests]
    together: dict[int, Completion] = {}

    async def generate(number: int) -> None:
        together[number] = await engine.generate(requests[number])

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(generate, number)
            group.start_soon(engine.embed, str(tiny_encoder), [f"revenue {number}"])
    assert [together[number] for number in range(20)] == alone


async def test_another_engine_seed_samples_another_text(tiny_decoder: Path):
    """The engine's seed is mixed into every request's."""
    request = ask(tiny_decoder, tokens=20, temperature=1.0, seed=3)
    replies = []
    for seed in (0, 1, 0):
        async with Engine(device="cpu", seed=seed) as engine:
            replies.append((await engine.generate(request)).text)
    assert replies[0] == replies[2] != replies[1]


async def test_a_cancel_ends_a_reply(engine: Engine, tiny_decoder: Path):
    """A cancelled request leaves its slot: hardly a token is written for it afterwards."""
    started = anyio.Event()
    with anyio.CancelScope() as scope:

        def stop(piece: str) -> None:
            started.set()
            scope.cancel()

        await engine.generate(ask(tiny_decoder, tokens=900), stop)
    assert started.is_set()
    await engine.generate(ask(tiny_decoder, tokens=5))
    assert engine.statistics().tokens_generated < 500


async def test_a_cancelled_text_is_not_embedded(engine: Engine, tiny_encoder: Path):
    """Nobody waits for it, so it is dropped from the queue, while a text that another task shares is not."""
    await engine.embed(str(tiny_encoder), ["first"])
    with anyio.move_on_after(0):
        await engine.embed(str(tiny_encoder), ["dropped"])
    async with anyio.create_task_group() as group:
        group.start_soon(engine.embed, str(tiny_encoder), ["kept"])
        with anyio.move_on_after(0):
            await engine.embed(str(tiny_encoder), ["kept", "dropped too"])
    assert (await engine.embed(str(tiny_encoder), ["kept", "dropped"])).shape == (2, 32)


async def test_closing_fails_what_is_in_flight(tiny_decoder: Path, tiny_encoder: Path):
    """Requests in flight end with EngineClosed, and so do later ones."""
    failures: list[Exception] = []

    async def generate() -> None:
        try:
            await engine.generate(ask(tiny_decoder, tokens=900))
        except EngineClosed as error:
            failures.append(error)

    async with anyio.create_task_group() as group, Engine(device="cpu") as engine:
        for _ in range(3):
            group.start_soon(generate)
        while engine.statistics().tokens_generated < 3:
            await anyio.sleep(0.01)
    assert len(failures) == 3
    with pytest.raises(EngineClosed, match="the engine is closed"):
        await engine.embed(str(tiny_encoder), ["late"])


async def test_an_engine_that_was_never_opened_says_so(tiny_encoder: Path):
    """Asking outside `async with` is EngineClosed, too."""
    with pytest.raises(EngineClosed):
        await Engine(device="cpu").count_tokens(str(tiny_encoder), ["costs"])


async def test_an_unknown_base_reaches_the_caller(engine: Engine, tmp_path: Path):
    """So does a folder that holds no model."""
    with pytest.raises(CheckpointNotFound):
        await engine.embed(str(tmp_path / "nowhere"), ["costs"])


async def test_too_long_a_request_reaches_the_caller(engine: Engine, tiny_decoder: Path):
    """ContextOverflow is raised to the task that asked."""
    with pytest.raises(ContextOverflow, match="1,024 is its limit"):
        await engine.generate(ask(tiny_decoder, tokens=5_000))


async def test_a_base_of_the_wrong_kind_reaches_the_caller(engine: Engine, tiny_encoder: Path):
    """An encoder cannot chat; it says so, and goes on embedding."""
    with pytest.raises(EngineError, match="has no chat template"):
        await engine.generate(ask(tiny_encoder))
    assert (await engine.embed(str(tiny_encoder), ["costs"])).shape == (1, 32)


async def test_what_torch_raises_reaches_the_caller(engine: Engine, tiny_encoder: Path, tmp_path: Path):
    """Weights that do not fit their configuration are an EngineError with the base, the cause and its words."""
    broken = tmp_path / "broken"
    shutil.copytree(tiny_encoder, broken)
    (broken / "config.json").write_text((broken / "config.json").read_text().replace('"gelu"', '"no such function"'))
    with pytest.raises(EngineError, match=r"embedding with .*broken failed: \w+: .*no such function"):
        await engine.embed(str(broken), ["costs"])
    assert (await engine.embed(str(tiny_encoder), ["costs"])).shape == (1, 32)


async def test_broken_text_is_repaired(engine: Engine, tiny_encoder: Path, tiny_decoder: Path):
    """Lone surrogates break no tokenizer."""
    assert (await engine.embed(str(tiny_encoder), ["\ud800"])).shape == (1, 32)
    assert (await engine.count_tokens(str(tiny_decoder), ["\ud800"]))[0] > 0
    assert (await engine.generate(ask(tiny_decoder, "\ud800"))).new_tokens > 0


async def test_facts_of_a_base(engine: Engine, tiny_decoder: Path, tiny_encoder: Path):
    """Token counts leave out special tokens; lengths and digests are the checkpoint's."""
    assert await engine.count_tokens(str(tiny_decoder), ["", "a", "ab?"]) == [0, 1, 3]
    assert await engine.context_length(str(tiny_decoder)) == 1024
    assert await engine.context_length(str(tiny_encoder)) == 64
    assert await engine.digest(str(tiny_decoder)) == weights_digest(tiny_decoder)
    assert (await engine.profile()).device == "cpu"
    assert {model.digest for model in engine.statistics().models} == {
        weights_digest(tiny_decoder),
        weights_digest(tiny_encoder),
    }


async def test_nothing_is_printed(engine: Engine, tiny_decoder: Path, tiny_encoder: Path, capfd):
    """Neither progress bars nor advice reach the terminal."""
    await engine.embed(str(tiny_encoder), ["revenue rose " * 500])
    await engine.generate(ask(tiny_decoder))
    await engine.count_tokens(str(tiny_decoder), ["revenue rose " * 3_000])
    assert capfd.readouterr() == ("", "")
