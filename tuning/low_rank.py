"""LoRA and AdaLoRA through peft. Loaded late, through agents/loading.py, since peft takes seconds to import.

LoRA is rank-stabilised (Kalajdzievski, 2023, arXiv:2312.03732). Of AdaLoRA (Zhang et al., 2023, arXiv:2303.10512),
`update_and_allocate` is called by the loop after every step, which no other trainer does: without it, ranks stay flat.

This file knows nothing of recipes, rates or rows.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from peft import AdaLoraConfig, LoraConfig
from peft.tuners.adalora import AdaLoraModel
from peft.tuners.lora import LoraModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from .errors import TrainingFailed

NAME = "default"  # of the one adapter, in peft
STABLE_RANK = 16  # the rank at which `scale` is the factor itself; of other ranks it is scaled by their roots
HEADROOM = 1.5  # ranks that AdaLoRA begins with, as a multiple of those it ends with
FIRST, LAST = 0.15, 0.3  # shares of all steps before ranks are taken away, and after
FEWEST_STEPS = 10  # fewer leave no time to tell which ranks matter
BETA = 0.85  # of its running means of importance, as in the paper


def add_lora(model: nn.Module, places: Sequence[str], rank: int, scale: float, dropout: float) -> None:
    """Puts LoRA beside the projections at `places`; what it adds is multiplied by scale * sqrt(16 / rank)."""
    alpha: Any = scale * math.sqrt(STABLE_RANK)
    LoraModel(
        model,
        LoraConfig(r=rank, lora_alpha=alpha, use_rslora=True, lora_dropout=dropout, target_modules=list(places)),
        NAME,
    )


def add_adalora(model: nn.Module, places: Sequence[str], rank: int, scale: float, dropout: float) -> "RankAllocation":
    """Puts AdaLoRA beside the projections at `places`, whose ranks end at `rank` on the mean."""
    first = math.ceil(HEADROOM * rank)
    alpha: Any = scale * first  # peft divides by the first rank
    config = AdaLoraConfig(
        init_r=first,
        target_r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=list(places),
        beta1=BETA,
        beta2=BETA,
        total_step=FEWEST_STEPS,  # the loop says how many there are
    )
    adapted: Any = AdaLoraModel
    return RankAllocation(adapted(model, config, NAME))


class RankAllocation:
    """Takes ranks away from where they matter least, step by step; a hook of the loop."""

    def __init__(self, tuner: AdaLoraModel) -> None:
        self._tuner: Any = tuner
        self._config: Any = tuner.peft_config[NAME]
        self._allocator: Any = tuner.rankallocator
        self.settled = False

    def after_step(self, step: int, total: int) -> None:
        """Takes in the gradients of this step, and masks what is left out.

        Raises:
            TrainingFailed: there are too few steps.
        """
        self._schedule(total)
        self._tuner.update_and_allocate(step)
        self.settled = step >= total - self._config.tfinal

    def state(self) -> dict[str, Tensor]:
        """Importances and which ranks are left."""
        kept = {
            f"{kind}/{name}": tensor
            for kind in ("ipt", "exp_avg_ipt", "exp_avg_unc")
            for name, tensor in getattr(self._allocator, kind).items()
        }
        pattern: Mapping[str, list[bool]] = self._config.rank_pattern or {}
        return kept | {f"pattern/{name}": torch.tensor(left) for name, left in pattern.items()}

    def resume(self, state: dict[str, Tensor], step: int, total: int) -> None:
        """Takes up what `state` gave."""
        self._schedule(total)
        pattern = {}
        for key, tensor in state.items():
            kind, name = key.split("/", 1)
            if kind == "pattern":
                pattern[name] = [bool(left) for left in tensor.tolist()]
            else:
                getattr(self._allocator, kind)[name] = tensor
        self._config.rank_pattern = pattern or None
        self.settled = step >= total - self._config.tfinal

    def ranks(self) -> dict[str, int]:
        """How many singular values of each projection are not 0, by its place."""
        return {place: int(torch.count_nonzero(layer.lora_E[NAME])) for place, layer in _layers(self._tuner.model)}

    def first_ranks(self) -> dict[str, int]:
        """What they began with."""
        return {place: layer.lora_E[NAME].shape[0] for place, layer in _layers(self._tuner.model)}

    def _schedule(self, total: int) -> None:
        if total < FEWEST_STEPS:
            raise TrainingFailed(
                f"adalora has {total} steps, expected at least {FEWEST_STEPS}, for ranks are taken away step by step; "
                f"train for more epochs or in smaller batches, or use method 'lora'"
            )
        self._config.total_step = total
        self._config.tinit = math.ceil(FIRST * total)
        self._config.tfinal = math.ceil(LAST * total)


def merge(model: nn.Module) -> None:
    """Adds what LoRA or AdaLoRA learned to the weights beside it, and leaves plain projections in `model`."""
    for place, layer in list(_layers(model)):
        layer.merge(safe_merge=True)
        above, _, name = place.rpartition(".")
        setattr(model.get_submodule(above), name, layer.get_base_layer())
    for module in model.modules():  # else peft would take the next training's adapter for a second one
        vars(module).pop("peft_config", None)


def _layers(model: nn.Module) -> Iterator[tuple[str, Any]]:
    for place, module in model.named_modules():
        if isinstance(module, BaseTunerLayer):
            yield place, module
