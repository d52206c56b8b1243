"""`DialogueManager`: an agent that writes, with a causal language model, what its output type says and nothing else.

A light description: role, instructions, base, budgets. What writes is the model of the role's live release, else the
base as it is. Its output fields become a grammar (grammar.py) that decoding cannot leave; `citations` may name only
passages that the message holds. This file loads no torch and decodes nothing.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from .agent import Context, Described, Exchange, In, Out
from .errors import OutputTypeError
from .grammar import grammar_faults, grammar_of, spoken_field, text_fields
from .inference import Generation, Inference
from .messages import Message, Origin
from .prompting import Prompt, Prompter, handles, passages_in
from .releases import check_role, live_digest
from .reply_text import read_reply
from .served_model import ServedModel, serve_model
from .type_forms import describe, members


class DialogueManager(Described[In, Out]):
    """Writes an `Out` in answer to an `In`.

        write = DialogueManager[Brief, Note]("finance/writer", instructions="Answer from the passages and cite them.")

    Args:
        role: the role's name, under which it is tuned and logged.
        instructions: what to write and how, in plain words; the system turn.
        base: the language model: a base checkpoint's name, a folder or a hub id.
        max_new_tokens: tokens for all texts of one answer together, at most.
        temperature: 0: always the likeliest token; higher: sampled, repeatably for a seed.
        history_tokens: tokens of earlier turns of the thread that are shown, at most.
        name: its name in a graph; the last part of the role unless given.

    Raises:
        CheckpointError: `role` cannot name a role.
        ValueError: `max_new_tokens` is below 1.
    """

    def __init__(
        self,
        role: str,
        *,
        instructions: str,
        base: str = "smollm2-135m",
        max_new_tokens: int = 96,
        temperature: float = 0.0,
        history_tokens: int = 512,
        name: str | None = None,
    ) -> None:
        check_role(role)
        if max_new_tokens < 1:
            raise ValueError(f"dialogue manager {role!r} cannot write {max_new_tokens} tokens; expected at least 1")
        self.role = role
        self.name = name or role.rpartition("/")[2]
        self.instructions = instructions
        self.base = base
        self.max_new_tokens = max_new_tokens
        self.temperature = temperature
        self.history_tokens = history_tokens

    def faults(self) -> list[str]:
        """Why these types cannot be written, in sentences; empty where they can."""
        consumes = self.signature.consumes
        takes = isinstance(consumes, type) and issubclass(consumes, Message)
        problem = [] if takes else [f"a dialogue manager takes one message type, not {describe(consumes)}"]
        return problem + grammar_faults(self.signature.produces)

    async def handle(self, message: In, context: Context) -> Out:
        """The answer to `message`; its first text goes to `context.listen` as it is written.

        Raises:
            OutputTypeError: no grammar can promise the output type.
            ContextOverflow: the message does not fit the model's context even without its passages.
            CheckpointError: the base or the role's live release cannot be used.
        """
        if faults := self.faults():
            raise OutputTypeError(f"dialogue manager {self.name!r}: {'; '.join(faults)}")
        told = cast("Message", message)  # as faults() made sure
        engine, produces, passages = context.host.engine, self.signature.produces, list(passages_in(told))
        served = await self._served(context)
        prompt = await self.prompt(told, await context.history(context.node), engine)
        grammar = grammar_of(produces, handles(prompt.shown), self.max_new_tokens)
        completion = await engine.generate(
            Generation(
                base=served.base,
                turns=prompt.turns,
                grammar=grammar.text,
                max_new_tokens=self._longest(len(passages)),
                temperature=self.temperature,
                seed=context.seed,
            ),
            _FirstText(produces, context.listen).take,
        )
        origin = Origin(role=self.role, weights=self._weights(served))
        return cast("Out", read_reply(produces, completion.text, passages).made_by(origin))

    async def prompt(self, told: Message, history: Sequence[Exchange], engine: Inference) -> Prompt:
        """What is put to the model of `engine` for `told`, after the earlier turns in `history`.

        Raises:
            ContextOverflow: it does not fit the model's context even without its passages.
        """
        longest = self._longest(sum(1 for _ in passages_in(told)))
        prompter = Prompter(engine, self.base, await engine.context_length(self.base) - longest)
        return await prompter.prompt(self.instructions, told, history, self.history_tokens)

    def _longest(self, passages: int) -> int:
        """The most tokens that an answer which may cite so many passages can take."""
        return grammar_of(self.signature.produces, handles(passages), self.max_new_tokens).longest

    async def _served(self, context: Context) -> ServedModel:
        """The language model that answers now: unless one is pinned, which is live is asked for each message."""
        pinned = context.releases.get(self.role)
        release = live_digest(self.role) if pinned is None else pinned
        return await context.host.resource(
            ("language model", self.role, self.base, release),
            lambda: serve_model(self.role, self.base, context.host.engine, release),
        )

    def _weights(self, served: ServedModel) -> str:
        """The release that answers; without one, a digest of all else that decides the answers: the base's weights, the
        instructions and the output's schema."""
        if served.tuned:
            return served.digest
        schemas = [kind.model_json_schema() for kind in members(self.signature.produces)]
        settings = [self.instructions, self.max_new_tokens, self.temperature]
        decided_by = [served.digest, *settings, schemas]
        return hashlib.sha256(json.dumps(decided_by, sort_keys=True).encode()).hexdigest()


@dataclass(slots=True)
class _FirstText:
    """Passes on the first text of a reply as it is written, without the JSON around it."""

    produces: Any
    listen: Callable[[str], None]
    _before: str = ""
    _state: str = "before"

    def take(self, piece: str) -> None:
        if self._state == "before" and spoken_field(self.produces):
            self._state = "inside"
        if self._state == "before":
            self._before += piece
            openings = [f'"{name}":"' for kind in members(self.produces) for name in text_fields(kind)[:1]]
            places = [(self._before.find(opening), opening) for opening in openings if opening in self._before]
            if not places:
                return
            place, opening = min(places)
            piece, self._state = self._before[place + len(opening) :], "inside"
        if self._state == "inside":
            text, end, _ = piece.partition("\n" if spoken_field(self.produces) else '"')
            if end:
                self._state = "after"
            if text:
                self.listen(text)
