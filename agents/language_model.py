"""A causal language model with its tokenizer: turns a request into a reply that its decoder writes.

This file knows nothing of event loops, nor of how a decoder works.
"""

from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from transformers import AutoModelForCausalLM, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from .bottleneck import apply_adapters, has_adapters
from .constraints import Constraint, Grammars
from .decoder import Decoder, SlotDecoder
from .devices import cache_budget
from .errors import ContextOverflow, EngineError
from .inference import ChatTurn, Generation
from .llama import Llama
from .plain_decoder import PlainDecoder
from .reply import Recipient, Reply
from .tokens import context_length, load_tokenizer

# Rotary rules whose angles depend on the position alone, so that one table serves every request.
FIXED_ROTARY_RULES = frozenset({"default", "linear", "llama3"})


class LanguageModel:
    """The model in `folder`, loaded, and what is needed to ask it."""

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype, slots: int) -> None:
        self._tokenizer = load_tokenizer(folder)
        self._context = context_length(folder)
        model: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True, trust_remote_code=False
        )
        apply_adapters(model, folder)
        model.to(device).eval()
        self._stops = stop_tokens(model, self._tokenizer)
        self._vocabulary = int(model.get_output_embeddings().weight.shape[0])
        self._grammars: Grammars | None = None
        self.decoder: Decoder = decoder_for(model, slots)

    def begin(self, request: Generation, recipient: Recipient) -> None:
        """Queues a reply to `request`.

        Raises:
            ContextOverflow: prompt and reply do not fit the context.
            EngineError: the grammar is not valid, or there is no chat template, or it refuses these turns.
        """
        if request.max_new_tokens < 1:
            raise EngineError(f"max_new_tokens is {request.max_new_tokens}, expected at least 1")
        prompt = prompt_tokens(self._tokenizer, request.turns)
        needed = len(prompt) + request.max_new_tokens
        if needed > self._context:
            raise ContextOverflow(request.base, needed, self._context)
        constraint = None if request.grammar is None else self._constraint(request.grammar)
        self.decoder.add(Reply(request, prompt, self._tokenizer, self._stops, constraint, recipient))

    def _constraint(self, grammar: str) -> Constraint:
        if self._grammars is None:
            self._grammars = Grammars(self._tokenizer, self._vocabulary)
        return self._grammars.constraint(grammar)


def decoder_for(model: PreTrainedModel, slots: int) -> Decoder:
    """Slot decoding where the architecture is known and has no bottleneck adapters, else one reply at a time."""
    if type(model) is LlamaForCausalLM and not has_adapters(model):
        rule = (getattr(model.config, "rope_parameters", None) or {}).get("rope_type", "default")
        if rule in FIXED_ROTARY_RULES and model.config.hidden_act == "silu":
            return SlotDecoder(Llama(model), slots, cache_budget(model.device))
    return PlainDecoder(model)


def prompt_tokens(tokenizer: PreTrainedTokenizerFast, turns: tuple[ChatTurn, ...]) -> list[int]:
    """The tokens of a conversation by the tokenizer's chat template, up to where the reply begins."""
    return [int(token) for token in tokenizer.encode(conversation_text(tokenizer, turns), add_special_tokens=False)]


def conversation_text(
    tokenizer: PreTrainedTokenizerFast, turns: tuple[ChatTurn, ...], *, begin_reply: bool = True
) -> str:
    """A conversation by the tokenizer's chat template; unless `begin_reply` is False, up to where the reply begins.

    Raises:
        EngineError: there is no chat template, or it refuses these turns.
    """
    if tokenizer.chat_template is None:
        raise EngineError(
            f"the tokenizer of {tokenizer.name_or_path!r} has no chat template, so no conversation can be put to it; "
            f"name a base that was tuned for chat"
        )
    conversation = [{"role": turn.speaker, "content": without_control(tokenizer, turn.text)} for turn in turns]
    try:
        return str(tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=begin_reply))
    except TemplateError as error:
        speakers = ", ".join(turn.speaker for turn in turns)
        raise EngineError(f"the chat template refuses the turns ({speakers}): {error}") from error


def without_control(tokenizer: PreTrainedTokenizerFast, text: str) -> str:
    """`text` with the tokenizer's control tokens broken up, so that no turn can end itself or begin another."""
    for token in tokenizer.all_special_tokens:
        if len(token) > 1:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


def stop_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> frozenset[int]:
    """Tokens that end a reply, wherever the checkpoint names them."""
    generation = model.generation_config
    named = [tokenizer.eos_token_id, None if generation is None else generation.eos_token_id, model.config.eos_token_id]
    flat = [token for item in named for token in (item if isinstance(item, list) else [item])]
    return frozenset(token for token in flat if token is not None)
