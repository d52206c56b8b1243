"""What agents may ask of a model, as a Protocol, so that they load no torch themselves.

`Engine` (engine.py) is the one implementation for real models. This file imports nothing heavy and holds no logic.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray: TypeAlias = NDArray[np.float32]

END_OF_TURN = "<|end_of_turn|>"
"""In a grammar: the token with which a model ends its turn, however it is called. It is no part of the text."""

Speaker: TypeAlias = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class ChatTurn:
    """One turn of a conversation as a chat template sees it."""

    speaker: Speaker
    text: str


@dataclass(frozen=True, slots=True)
class Generation:
    """A request for text."""

    base: str  # base checkpoint: its name, a folder or a hub id
    turns: tuple[ChatTurn, ...]
    grammar: str | None = None  # llguidance Lark grammar that the reply cannot leave, may hold END_OF_TURN
    max_new_tokens: int = 256  # tokens; a grammar must be able to end within them
    temperature: float = 0.0  # 0: greedy
    seed: int = 0  # used when temperature > 0


@dataclass(frozen=True, slots=True)
class Completion:
    """The text that a model wrote."""

    text: str
    prompt_tokens: int
    new_tokens: int
    stopped: Literal["end", "length"]  # "end": by the model or the grammar; "length": at max_new_tokens


class Inference(Protocol):
    """Models as agents see them. Every method may be called from any task; calls are batched over all of them."""

    async def embed(self, base: str, texts: Sequence[str]) -> "FloatArray":
        """Sentence embeddings, mean-pooled over real tokens and of unit length: (len(texts), D) float32."""
        ...

    async def generate(self, request: Generation, on_text: Callable[[str], None] | None = None) -> Completion:
        """Text for `request`; `on_text` is called on the event loop with each piece. A cancel ends it within one step.

        Raises:
            ContextOverflow: prompt and reply do not fit the model's context.
        """
        ...

    async def count_tokens(self, base: str, texts: Sequence[str]) -> list[int]:
        """How many tokens each text takes, without special tokens."""
        ...

    async def context_length(self, base: str) -> int:
        """How many tokens, prompt and reply together, `base` can hold."""
        ...

    async def digest(self, base: str) -> str:
        """sha256 hex digest of the weights of `base`."""
        ...
