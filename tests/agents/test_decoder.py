"""Replies are those of the plain model, whoever decodes beside them; grammars hold for any weights."""

import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from coterie.agents.decoder import PROMPT_CHUNK, SlotDecoder
from coterie.agents.errors import ContextOverflow, EngineError, OutOfMemory
from coterie.agents.inference import ChatTurn, Completion, Generation
from coterie.agents.language_model import LanguageModel, prompt_tokens
from coterie.agents.plain_decoder import PlainDecoder

CPU = torch.device("cpu")
NOTE = r"""
start: "{\"text\":\"" text "\",\"citations\":[" cites "]}"
text[max_tokens=30]: /[^"\\\x00-\x1F\x7F]{1,400}/
cites: ("\"" ID "\"" (",\"" ID "\""){0,2})?
ID: "1" | "2" | "3"
"""
PROMPTS = [
    "how did the price move?",
    "revenue " * 3,
    "the company expects lower profit and warns of weak demand, " * 12,  # longer than a chunk
    "?",
    "costs",
    "the board approved a dividend",
    "sales grew in the first quarter. " * 2,
    "outlook",
    "net income fell",
    "shares",
]


@dataclass
class Listener:
    """Awaits a reply: keeps its pieces and its end."""

    abandoned: bool = False
    pieces: list[str] = field(default_factory=list)
    completion: Completion | None = None
    error: Exception | None = None

    def write(self, text: str) -> None:
        self.pieces.append(text)

    def resolve(self, result: Completion) -> None:
        self.completion = result

    def fail(self, error: Exception) -> None:
        self.error = error


def ask(text: str, tokens: int = 24, grammar: str | None = None, temperature: float = 0.0, seed: int = 0) -> Generation:
    return Generation("tiny", (ChatTurn("user", text),), grammar, tokens, temperature, seed)


def load(folder: Path, dtype: torch.dtype = torch.float32, slots: int = 4) -> LanguageModel:
    with torch.inference_mode():
        return LanguageModel(folder, CPU, dtype, slots)


def run(model: LanguageModel, requests: list[Generation], joins: list[int] | None = None) -> list[Listener]:
    """All requests, request i joining before turn joins[i]; what each was given."""
    listeners = [Listener() for _ in requests]
    joins = joins or [0] * len(requests)
    turn = 0
    with torch.inference_mode():
        while model.decoder.busy or turn <= max(joins):
            for request, listener, join in zip(requests, listeners, joins, strict=True):
                if join == turn:
                    model.begin(request, listener)
            model.decoder.turn()
            turn += 1
    return listeners


def texts(listeners: list[Listener]) -> list[str]:
    for listener in listeners:
        if listener.error is not None:
            raise listener.error
    return [listener.completion.text for listener in listeners if listener.completion is not None]


def generate_plainly(folder: Path, text: str, tokens: int) -> str:
    """The greedy reply of transformers' own generate."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    prompt = prompt_tokens(tokenizer, (ChatTurn("user", text),))
    with torch.inference_mode():
        ids = model.generate(torch.tensor([prompt]), max_new_tokens=tokens, do_sample=False)[0, len(prompt) :]
    return str(tokenizer.decode(ids, skip_special_tokens=True))


@pytest.fixture(scope="module")
def tiny_qwen(tiny_decoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A causal model that slots do not know, with the tiny tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_decoder)
    torch.manual_seed(1)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        initializer_range=0.2,
        bos_token_id=1,
        eos_token_id=2,
    )
    folder = tmp_path_factory.mktemp("tiny-qwen")
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_each_architecture_has_its_decoder(tiny_decoder: Path, tiny_qwen: Path):
    """Llama decodes in slots, anything else by its own forward."""
    assert isinstance(load(tiny_decoder).decoder, SlotDecoder)
    assert isinstance(load(tiny_qwen).decoder, PlainDecoder)


@pytest.mark.parametrize("kind", ["tiny_decoder", "tiny_qwen"])
def test_greedy_replies_equal_plain_generate(kind: str, request: pytest.FixtureRequest):
    """In float32 the tokens are those of transformers' generate, though replies join and leave in between."""
    folder: Path = request.getfixturevalue(kind)
    chooser = random.Random(0)
    lengths = [chooser.randint(1, 40) for _ in PROMPTS]
    joins = [chooser.randint(0, 30) for _ in PROMPTS]
    requests = [ask(text, tokens) for text, tokens in zip(PROMPTS, lengths, strict=True)]
    expected = [generate_plainly(folder, text, tokens) for text, tokens in zip(PROMPTS, lengths, strict=True)]
    assert texts(run(load(folder), requests, joins)) == expected


def test_a_long_prompt_is_computed_in_chunks(tiny_decoder: Path):
    """The reply to a prompt of several chunks is the plain model's."""
    text = "the company expects lower profit and warns of weak demand " * 9
    listener = run(load(tiny_decoder), [ask(text, 12)])[0]
    assert listener.completion is not None
    assert listener.completion.prompt_tokens > PROMPT_CHUNK
    assert listener.completion.text == generate_plainly(tiny_decoder, text, 12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_reply_does_not_depend_on_its_neighbours(tiny_decoder: Path, dtype: torch.dtype, temperature: float):
    """Alone or among others that join and leave, a request gets the same tokens."""
    model = load(tiny_decoder, dtype, slots=8)
    requests = [ask(text, 30, temperature=temperature, seed=seed) for seed, text in enumerate(PROMPTS)]
    alone = [texts(run(model, [request]))[0] for request in requests]
    for seed in range(3):
        chooser = random.Random(seed)
        assert texts(run(model, requests, [chooser.randint(0, 25) for _ in requests])) == alone


def test_another_seed_samples_another_reply(tiny_decoder: Path):
    """Sampling follows the request's seed."""
    model = load(tiny_decoder)
    replies = [texts(run(model, [ask("costs", 20, temperature=1.0, seed=seed)]))[0] for seed in (1, 2, 1)]
    assert replies[0] == replies[2] != replies[1]


def test_pieces_make_up_the_text(tiny_decoder: Path):
    """Pieces arrive one by one, hold whole characters, and together are the text."""
    listeners = run(load(tiny_decoder), [ask(text, 40, temperature=1.0, seed=7) for text in PROMPTS])
    for listener, text in zip(listeners, texts(listeners), strict=True):
        assert "".join(listener.pieces) == text
        assert len(listener.pieces) > 5


def test_replies_stop_at_their_length_or_at_the_end_token(tiny_decoder: Path):
    """`stopped` says which, and the end token is not counted."""
    model = load(tiny_decoder)
    listeners = run(model, [ask("costs", 9, temperature=2.0, seed=seed) for seed in range(60)])
    ends = {listener.completion.stopped for listener in listeners if listener.completion is not None}
    assert ends == {"end", "length"}
    for listener in listeners:
        assert listener.completion is not None
        assert (listener.completion.new_tokens == 9) == (listener.completion.stopped == "length")


@pytest.mark.parametrize("kind", ["tiny_decoder", "tiny_qwen"])
def test_a_grammar_holds_for_random_weights(kind: str, request: pytest.FixtureRequest):
    """Untrained weights at temperature 1 write nothing but whole sentences of the grammar."""
    model = load(request.getfixturevalue(kind), slots=8)
    listeners = run(model, [ask("costs", 80, NOTE, temperature=1.0, seed=seed) for seed in range(40)])
    for listener, text in zip(listeners, texts(listeners), strict=True):
        note = json.loads(text)
        assert note.keys() == {"text", "citations"}
        assert set(note["citations"]) <= {"1", "2", "3"}
        assert "".join(listener.pieces) == text
        assert listener.completion is not None
        assert listener.completion.stopped == "end"


def test_a_grammar_that_does_not_end_in_time_is_an_error(tiny_decoder: Path):
    """A truncated sentence is never handed out as a reply; the neighbour without a grammar goes on."""
    bounded, free = run(load(tiny_decoder), [ask("costs", 10, NOTE), ask("costs", 10)])
    assert bounded.completion is None
    assert isinstance(bounded.error, EngineError)
    assert "did not end within max_new_tokens=10" in str(bounded.error)
    assert free.completion is not None


def test_a_broken_grammar_is_refused(tiny_decoder: Path):
    """The error says what is wrong with the grammar."""
    with pytest.raises(EngineError, match="no valid grammar"):
        load(tiny_decoder).begin(ask("costs", grammar='start: "a" missing'), Listener())


def test_prompt_and_reply_must_fit_the_context(tiny_decoder: Path):
    """The error tells what was needed and what the limit is."""
    with pytest.raises(ContextOverflow, match=r"tiny was asked for 2,0\d\d tokens of context, but 1,024 is its limit"):
        load(tiny_decoder).begin(ask("costs", 2_000), Listener())


def test_a_reply_has_at_least_one_token(tiny_decoder: Path):
    """A length of zero is refused."""
    with pytest.raises(EngineError, match="max_new_tokens is 0, expected at least 1"):
        load(tiny_decoder).begin(ask("costs", 0), Listener())


def test_a_base_without_chat_template_is_refused(tiny_decoder: Path):
    """The error says that this base is not for chat."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_decoder)
    tokenizer.chat_template = None
    with pytest.raises(EngineError, match="has no chat template"):
        prompt_tokens(tokenizer, (ChatTurn("user", "costs"),))


def test_a_template_may_refuse_the_turns(tiny_decoder: Path):
    """What the template objects to is passed on."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_decoder)
    tokenizer.chat_template = "{{ raise_exception('no system turn, please') }}"
    with pytest.raises(EngineError, match=r"refuses the turns \(system\): no system turn, please"):
        prompt_tokens(tokenizer, (ChatTurn("system", "costs"),))


@pytest.mark.parametrize("kind", ["tiny_decoder", "tiny_qwen"])
def test_an_abandoned_reply_ends_within_one_step(kind: str, request: pytest.FixtureRequest):
    """Its slot is free after the next turn, and the others write on undisturbed."""
    model = load(request.getfixturevalue(kind))
    alone = texts(run(model, [ask("outlook", 30)]))
    gone, stays = Listener(), Listener()
    with torch.inference_mode():
        model.begin(ask("costs", 500), gone)
        model.begin(ask("outlook", 30), stays)
        for _ in range(4):
            model.decoder.turn()
        gone.abandoned = True
        written = len(gone.pieces)
        while model.decoder.busy:
            model.decoder.turn()
    assert len(gone.pieces) == written
    assert gone.completion is None
    assert texts([stays]) == alone


def test_an_error_of_a_step_reaches_exactly_those_in_it(tiny_decoder: Path):
    """Replies in slots fail with what the step raised; one that waits is served afterwards."""
    model = load(tiny_decoder, slots=2)
    decoder: Any = model.decoder
    listeners = [Listener() for _ in range(3)]
    with torch.inference_mode():
        for listener in listeners:
            model.begin(ask("costs", 8), listener)
        decoder.turn()
        step, decoder._model.step = decoder._model.step, None
        decoder.turn()
        decoder._model.step = step
        while decoder.busy:
            decoder.turn()
    assert [type(listener.error) for listener in listeners] == [TypeError, TypeError, type(None)]
    assert listeners[2].completion is not None


def test_little_memory_means_fewer_slots_not_failure(tiny_decoder: Path):
    """With room for one reply at a time, all of them are written one after the other, with the same text."""
    model = load(tiny_decoder)
    requests = [ask(text, 10) for text in PROMPTS]
    expected = texts(run(model, requests))
    frugal = load(tiny_decoder)
    decoder: Any = frugal.decoder
    decoder._memory = 1
    assert texts(run(frugal, requests)) == expected
    assert decoder._cache is None or decoder._cache.slots == 1


def test_no_memory_for_keys_and_values_is_out_of_memory(tiny_decoder: Path, monkeypatch: pytest.MonkeyPatch):
    """A reply that cannot have a slot fails with an error of ours."""

    def refuse(*sizes: Any, **options: Any) -> torch.Tensor:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")

    model = load(tiny_decoder)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "zeros", refuse)
        (listener,) = run(model, [ask("costs")])
    assert isinstance(listener.error, OutOfMemory)
    assert texts(run(model, [ask("costs")]))


def test_slots_grow_with_demand(tiny_decoder: Path):
    """More replies than the first slots hold are written together, with the text that they have alone."""
    requests = [ask(text, 12) for text in PROMPTS]
    assert texts(run(load(tiny_decoder, slots=32), requests)) == texts(run(load(tiny_decoder, slots=1), requests))


def test_slots_use_the_weights_as_they_are(tiny_decoder: Path):
    """Every logit of a prompt equals the plain model's."""
    decoder: Any = load(tiny_decoder).decoder
    tokens = list(range(3, 60))
    with torch.inference_mode():
        plain = LlamaForCausalLM.from_pretrained(tiny_decoder)(torch.tensor([tokens])).logits[0, -1]
        decoder._make_room(64)
        torch.testing.assert_close(decoder._model.prefill(tokens, decoder._held, 0, 0), plain, rtol=1e-4, atol=1e-5)
