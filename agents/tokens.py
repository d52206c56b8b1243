"""Tokenizers and context lengths of base checkpoints, read from their folders without loading any weights.

This file knows nothing of models, devices or requests.
"""

import json
from pathlib import Path
from typing import Any

import transformers
from transformers import AutoConfig, AutoTokenizer, PretrainedConfig, PreTrainedTokenizerFast

from .errors import EngineError


def quiet_transformers() -> None:
    """Keeps transformers from writing progress bars and advice into a person's terminal."""
    logging: Any = transformers.utils.logging
    logging.disable_progress_bar()
    logging.set_verbosity_error()


def load_config(folder: Path) -> PretrainedConfig:
    """The configuration of the model in `folder`."""
    config: PretrainedConfig = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return config


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer in `folder`.

    Raises:
        EngineError: it is not a fast tokenizer, which alone can count, batch and constrain.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise EngineError(
            f"the tokenizer in {str(folder)!r} is a {type(tokenizer).__name__}, expected one with a tokenizer.json; "
            f"save it again with transformers' save_pretrained"
        )
    return tokenizer


def context_length(folder: Path) -> int:
    """How many tokens the model in `folder` holds: its positions, or the shorter length that it was tuned for."""
    config = load_config(folder)
    positions = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None) or 512
    return min(int(positions), _sentence_length(folder) or int(positions))


def _sentence_length(folder: Path) -> int | None:
    """The length limit that sentence-transformers stores beside a model, in tokens."""
    path = folder / "sentence_bert_config.json"
    if not path.is_file():
        return None
    settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return settings.get("max_seq_length")


class TokenCounter:
    """Counts tokens on any thread: its tokenizer is its own and never changes."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = load_tokenizer(folder).backend_tokenizer
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def count(self, texts: list[str]) -> list[int]:
        """How many tokens each text takes, without special tokens."""
        return [len(encoded) for encoded in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
