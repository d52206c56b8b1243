"""The parts of a checkpoint's model that tuning has to tell apart: blocks, token embeddings, what lies outside.

A role's model may be the checkpoint's own model, or a module that holds it beside heads; the checkpoint's part is
called its trunk. Known are encoders like BERT (`encoder.layer`) and causal language models like Llama (`layers`).

This file knows nothing of recipes or of training.
"""

import re
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from .errors import TrainingFailed

BLOCKS = re.compile(r"(^|\.)(layer|layers|h|block|blocks)$")  # how architectures call their list of blocks


def trunk_of(model: nn.Module) -> PreTrainedModel:
    """The outermost checkpoint's model in `model`.

    Raises:
        TrainingFailed: there is none.
    """
    for module in model.modules():
        if isinstance(module, PreTrainedModel):
            return module
    raise TrainingFailed(
        f"{type(model).__name__} holds no model of a checkpoint; expected a transformers model in it, whose layers "
        f"can be told apart"
    )


def blocks_of(trunk: PreTrainedModel) -> nn.ModuleList:
    """The blocks of `trunk`, lowest first.

    Raises:
        TrainingFailed: no list of blocks is found.
    """
    lists = [
        module for name, module in trunk.named_modules() if isinstance(module, nn.ModuleList) and BLOCKS.search(name)
    ]
    if not lists:
        raise TrainingFailed(
            f"{type(trunk).__name__} has no list of layers that is known here; expected an encoder like BERT or a "
            f"language model like Llama; tune its head alone, with method 'closed-form'"
        )
    return max(lists, key=len)


def tables_of(trunk: PreTrainedModel) -> set[nn.Parameter]:
    """The table of token embeddings."""
    return set(trunk.get_input_embeddings().parameters())


def output_table_of(trunk: PreTrainedModel) -> nn.Module | None:
    """What turns hidden states into logits over tokens; None of an encoder."""
    table: nn.Module | None = _output_table(trunk)
    return table


def _output_table(trunk: Any) -> Any:
    return trunk.get_output_embeddings()


def _input_table(trunk: Any) -> Any:
    return trunk.get_input_embeddings()


def unused_of(trunk: PreTrainedModel) -> set[nn.Parameter]:
    """Parameters that no role uses: the pooler of BERT, for texts are embedded by mean pooling."""
    pooler = getattr(trunk, "pooler", None)
    return set(pooler.parameters()) if isinstance(pooler, nn.Module) else set()


def is_norm(module: nn.Module) -> bool:
    """Whether `module` normalises hidden states."""
    return "norm" in type(module).__name__.lower()


def untie(trunk: PreTrainedModel) -> None:
    """Gives the output table weights of its own where it shares those of the token embeddings; a no-op elsewhere."""
    head, table = _output_table(trunk), _input_table(trunk)
    if head is None or head.weight is not table.weight:
        return
    head.weight = nn.Parameter(head.weight.detach().clone())
    trunk.config.tie_word_embeddings = False


def override_dropout(model: nn.Module, probability: float) -> None:
    """Sets every dropout in `model`, that of attention weights included; its configuration stays as it is."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = probability  # type: ignore[assignment]  # Llama keeps a number, not a module
