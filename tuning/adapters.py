"""What is trained: a head, the top layers, everything, LoRA, AdaLoRA or bottleneck adapters; and at which rates.

    model = AutoModel.from_pretrained(folder)            # or a module of yours that holds it beside heads
    prepared = prepare(model, recipe, recipe.seed)       # changes `model` in place
    print(prepared)                                      # 3,549,184 of 22,713,216 weights are trained (15.6 %)
    train(prepared.model, ..., groups=parameter_groups(model, recipe), hook=prepared.hook)
    plain = prepared.finish()                            # lora and adalora merged; the same `model`
    write_checkpoint(plain, folder, target)              # a folder that AutoModel reads

What lies outside the checkpoint's own model counts as its head, and is trained by every method, unless it requires no
gradient when it comes. This file knows nothing of losses, rows or steps.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from torch import nn

from ..agents.bottleneck import NAME as BOTTLENECK
from ..agents.bottleneck import AdaptedLinear, adapt, adapter_state
from ..agents.loading import load
from .averaging import trained_of
from .errors import RecipeError, TrainingFailed
from .optimizers import ParameterGroup
from .recipes import Recipe
from .training import StepHook
from .trunks import blocks_of, is_norm, output_table_of, override_dropout, tables_of, trunk_of, untie, unused_of

if TYPE_CHECKING:
    from .low_rank import RankAllocation

BOTTLENECKED = ("attention.output.dense", "output.dense", "self_attn.o_proj", "mlp.down_proj")  # ends of sublayers
COPIED = ("tokenizer*", "special_tokens_map.json", "vocab*", "merges.txt", "added_tokens.json", "*.jinja", "*.model")
COPIED_SETTINGS = ("sentence_bert_config.json", "generation_config.json")


@dataclass(frozen=True, slots=True)
class Ranks:
    """Ranks of what AdaLoRA added to each projection, by its place in the model."""

    before: Mapping[str, int]
    after: Mapping[str, int]

    def __str__(self) -> str:
        spread = sorted(self.after.values())
        return (
            f"{sum(self.before.values())} ranks in {len(self.before)} projections became {sum(spread)}, "
            f"from {spread[0]} to {spread[-1]} each"
        )


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model of which what the recipe says requires gradients, and nothing else."""

    model: nn.Module
    recipe: Recipe
    trainable: int  # weights that are trained
    total: int  # all weights, those of adapters included
    hook: StepHook | None = None  # for `train`
    _allocation: "RankAllocation | None" = None  # of adalora

    @property
    def share(self) -> float:
        """The share of weights that are trained, 0 to 1."""
        return self.trainable / self.total

    def __str__(self) -> str:
        return f"{self.trainable:,} of {self.total:,} weights are trained ({self.share:.1%})"

    def ranks(self) -> Ranks | None:
        """AdaLoRA's ranks as it began and as they are now, before `finish`; None of another method.

        Raises:
            TrainingFailed: they have not moved, or some are still to be taken away.
        """
        if self._allocation is None:
            return None
        ranks = Ranks(self._allocation.first_ranks(), self._allocation.ranks())
        if not self._allocation.settled or sum(ranks.after.values()) >= sum(ranks.before.values()):
            raise TrainingFailed(
                f"adalora's ranks have not been allotted ({ranks}): `hook=prepared.hook` was not given to `train`, or "
                f"it stopped early; give it more time, or use method 'lora'"
            )
        return ranks

    def finish(self) -> nn.Module:
        """The same model, with what lora or adalora learned merged into plain weights; call it once, after training.

        Bottleneck adapters cannot be merged, for they are not linear: they stay, and `write_checkpoint` writes them
        beside the plain weights.

        Raises:
            TrainingFailed: adalora's ranks have not moved.
        """
        self.ranks()
        if self.recipe.method in ("lora", "adalora"):
            load("tuning.low_rank").merge(self.model)
        for parameter in trunk_of(self.model).parameters():
            parameter.requires_grad_(False)
        return self.model.eval()


def prepare(model: nn.Module, recipe: Recipe, seed: int, places: Sequence[str] | None = None) -> Prepared:
    """Makes `model` ready to be trained as `recipe.method` says, in place; `seed` is that of new weights.

    `places` are those of the projections that lora and adalora stand beside, as `model` names them; None: every one.

    head      what lies outside the checkpoint; of a language model by itself its output table and its last norm
    top       the uppermost `layers` blocks, the last norm, and the head
    full      all but the table of token embeddings, unless `freeze_embeddings` is false
    lora      low-rank additions to every projection in every block (Hu et al., 2022, arXiv:2106.09685)
    adalora   the same with ranks that move to where they matter; its hook must be given to `train`
    adapter   bottlenecks after each sublayer, and the norms (Houlsby et al., 2019, arXiv:1902.00751)

    Raises:
        RecipeError: the method has nothing to train by steps, or asks for more layers than there are.
        TrainingFailed: no layers are found in the model.
    """
    if recipe.method == "closed-form":
        raise RecipeError("a recipe of steps", ValueError("method is 'closed-form', which takes none"))
    trunk = trunk_of(model)
    if recipe.dropout is not None:
        override_dropout(model, recipe.dropout)
    for parameter in trunk.parameters():
        parameter.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        allocation = _open(model, recipe, places)
    trained = trained_of(model)
    total = sum(parameter.numel() for parameter in model.parameters())
    return Prepared(model, recipe, sum(one.numel() for one in trained.values()), total, allocation, allocation)


def parameter_groups(model: nn.Module, recipe: Recipe) -> list[ParameterGroup]:
    """What of a prepared `model` is trained, by how fast: each layer at `layer_decay` times the rate of the one above.

    What lies outside the checkpoint learns at `head_learning_rate`. Biases and norms do not decay. Howard and Ruder,
    2018, arXiv:1801.06146.
    """
    trunk = trunk_of(model)
    depths = _depths(trunk)
    deepest = len(blocks_of(trunk))
    plain = _without_decay(model)
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
    rates: dict[str, float] = {}
    for parameter in trained_of(model).values():
        depth = depths.get(id(parameter))
        name = (
            "head"
            if depth is None
            else f"layer {depth}"
            if 0 < depth <= deepest
            else "output"
            if depth
            else "embeddings"
        )
        below = 0 if depth is None else max(deepest - depth, 0)
        rates[name] = recipe.head_learning_rate if depth is None else recipe.learning_rate * recipe.layer_decay**below
        groups.setdefault((name, id(parameter) in plain), []).append(parameter)
    return [
        ParameterGroup(name, tuple(parameters), rates[name], 0.0 if undecayed else recipe.weight_decay)
        for (name, undecayed), parameters in groups.items()
    ]


def write_checkpoint(model: nn.Module, base: Path, folder: Path) -> tuple[Path, ...]:
    """Writes the checkpoint's part of a finished `model` as a folder that transformers reads; the files that it wrote.

    `base` is the folder that it was loaded from, whose tokenizer is copied. Bottleneck adapters go into a file of their
    own, which Coterie's encoders and language models apply; transformers alone would load the model without them.

    Raises:
        OSError: a file cannot be written.
    """
    trunk = trunk_of(model)
    adapters = adapter_state(trunk)
    own = {name: weight for name, weight in trunk.state_dict().items() if name not in adapters}
    folder.mkdir(parents=True, exist_ok=True)
    trunk.save_pretrained(folder, state_dict=own)
    if adapters:
        save_file({name: tensor.cpu().contiguous() for name, tensor in adapters.items()}, folder / BOTTLENECK)
    for pattern in (*COPIED, *COPIED_SETTINGS):
        for path in base.glob(pattern):
            if path.is_file():
                shutil.copyfile(path, folder / path.name)
    return tuple(sorted(path for path in folder.iterdir() if path.is_file()))


def _open(model: nn.Module, recipe: Recipe, places: Sequence[str] | None) -> "RankAllocation | None":
    """Makes what the method trains require gradients; AdaLoRA's allocation, if it has one."""
    match recipe.method:
        case "head":
            _open_output(model)
        case "top":
            _open_top(model, recipe.layers)
        case "full":
            _open_all(model, recipe.freeze_embeddings)
        case "adapter":
            _add_bottlenecks(model, recipe.rank)
        case "lora" | "adalora":
            dropout = recipe.dropout or 0.0
            outside = [parameter for parameter in model.parameters() if parameter.requires_grad]
            add = load("tuning.low_rank").add_lora if recipe.method == "lora" else load("tuning.low_rank").add_adalora
            allocation: RankAllocation | None = add(
                model, places or _projections(model), recipe.rank, recipe.scale, dropout
            )
            for parameter in outside:  # peft freezes all but its own
                parameter.requires_grad_(True)
            return allocation
    return None


def _open_output(model: nn.Module) -> None:
    """Of a language model by itself, its output table and its last norm; elsewhere the head is outside already."""
    trunk = trunk_of(model)
    table = output_table_of(trunk)
    if table is None or trunk is not model:
        return
    untie(trunk)
    for module in (table, *_norms_after(trunk)):
        module.requires_grad_(True)


def _open_top(model: nn.Module, layers: int) -> None:
    trunk = trunk_of(model)
    blocks = blocks_of(trunk)
    if layers > len(blocks):
        raise RecipeError(
            "this recipe", ValueError(f"layers is {layers}, but {type(trunk).__name__} has {len(blocks)}")
        )
    for module in (*list(blocks)[-layers:], *_norms_after(trunk)):
        module.requires_grad_(True)


def _open_all(model: nn.Module, freeze_embeddings: bool) -> None:
    trunk = trunk_of(model)
    shut = unused_of(trunk) | (tables_of(trunk) if freeze_embeddings else set())
    for parameter in trunk.parameters():
        parameter.requires_grad_(parameter not in shut)


def _add_bottlenecks(model: nn.Module, rank: int) -> None:
    trunk = trunk_of(model)
    blocks = blocks_of(trunk)
    places = [place for place in _projections(trunk) if place.endswith(BOTTLENECKED)]
    if not places:
        raise TrainingFailed(
            f"{type(trunk).__name__} has no sublayers that are known here; expected projections such as "
            f"{' or '.join(BOTTLENECKED[1:3])}; use method 'lora'"
        )
    for place in places:
        adapt(trunk, place, rank)
    for module in blocks.modules():
        if isinstance(module, AdaptedLinear):
            module.down.requires_grad_(True)
            module.up.requires_grad_(True)
        elif is_norm(module):
            module.requires_grad_(True)


def _projections(model: nn.Module) -> list[str]:
    """Places of the projections in the blocks, as `model` names them."""
    inside = {id(module) for module in blocks_of(trunk_of(model)).modules() if isinstance(module, nn.Linear)}
    return [place for place, module in model.named_modules() if id(module) in inside]


def _norms_after(trunk: nn.Module) -> list[nn.Module]:
    """Norms that follow the last block; those before the first are of embeddings."""
    modules = list(trunk.modules())
    last = max(modules.index(module) for module in blocks_of(trunk_of(trunk)).modules())
    return [module for module in modules[last + 1 :] if is_norm(module)]


def _depths(trunk: nn.Module) -> dict[int, int]:
    """How high each parameter of `trunk` stands: embeddings 0, blocks from 1, what follows them above the last."""
    blocks = blocks_of(trunk_of(trunk))
    after = [*_norms_after(trunk), *([table] if (table := output_table_of(trunk_of(trunk))) is not None else [])]
    depths = {id(parameter): 0 for parameter in trunk.parameters()}
    depths |= {id(parameter): len(blocks) + 1 for module in after for parameter in module.parameters()}
    depths |= {id(parameter): 0 for parameter in tables_of(trunk_of(trunk))}  # where it is the output table too
    return depths | {id(one): place for place, block in enumerate(blocks, 1) for one in block.parameters()}


def _without_decay(model: nn.Module) -> set[int]:
    """Biases, norms, and AdaLoRA's singular values."""
    normed = {id(parameter) for module in model.modules() if is_norm(module) for parameter in module.parameters()}
    named = {id(one) for name, one in model.named_parameters() if one.ndim < 2 or ".lora_E." in name}
    return normed | named
