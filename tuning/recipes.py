"""`Recipe`: every setting of a tuning, each with its unit. The resolved recipe is stored with the candidate.

    Recipe.fast()                                 # closed form over cached embeddings: seconds
    Recipe.balanced(seed=1)                       # the upper layers, starting from the closed form
    Recipe.best(budget_seconds=600)               # every layer
    Recipe.read(Path("mood.toml"))                # preset = "balanced", and what differs from it

This file knows nothing of models or of how a setting is carried out.
"""

import tomllib
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import RecipeError

Method: TypeAlias = Literal["closed-form", "head", "top", "full", "lora", "adalora", "adapter"]
Preset: TypeAlias = Literal["fast", "balanced", "best"]
Adversary: TypeAlias = Literal["none", "fgm", "freelb", "r-drop"]


class Recipe(BaseModel):
    """How a role is tuned. Shares and probabilities are 0 to 1."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    method: Method = "closed-form"
    layers: int = Field(default=2, ge=1)  # uppermost layers that `top` trains
    rank: int = Field(default=16, ge=1)  # of lora, adalora (at its end) and of the bottleneck of `adapter`
    scale: float = Field(default=2.0, gt=0)  # of what lora and adalora add: alpha / rank, or alpha / sqrt(rank)
    freeze_embeddings: bool = True  # the table of token embeddings, which `full` would train too

    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = Field(default=2e-4, gt=0)  # at its peak, of the uppermost layer
    head_learning_rate: float = Field(default=1e-3, gt=0)  # at its peak, of what is not in the checkpoint
    layer_decay: float = Field(default=0.85, gt=0, le=1)  # a layer learns at this share of the rate of the one above
    schedule: Literal["constant", "linear", "cosine"] = "linear"  # after the warm-up, down to 0
    warmup: float = Field(default=0.1, ge=0, lt=1)  # share of all steps
    momentum: float = Field(default=0.9, ge=0, lt=1)  # of sgd
    weight_decay: float = Field(default=0.01, ge=0)
    clip_norm: float = Field(default=1.0, ge=0)  # of all gradients together; 0: not clipped

    epochs: float = Field(default=3.0, gt=0)  # times that each row is seen
    batch_tokens: int = Field(default=1_024, ge=1)  # tokens of a batch, padding included
    accumulation: int = Field(default=1, ge=1)  # batches before each step
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"  # of products; auto: as the probe found best

    dropout: float | None = Field(default=None, ge=0, lt=1)  # None: as the checkpoint says
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)  # share of a target that is spread over all labels
    average: float = Field(default=0.0, ge=0, lt=1)  # decay a step of the running mean of weights that is kept; 0: none
    augmentation: float = Field(default=0.0, ge=0)  # changed copies of each row
    adversary: Adversary = "none"
    radius: float = Field(default=1.0, gt=0)  # of the step that fgm and freelb take, in lengths of embeddings
    consistency: float = Field(default=1.0, ge=0)  # weight of r-drop's divergence
    negatives: int = Field(default=8, ge=0)  # hard ones for each query of a retriever
    temperature: float = Field(default=0.05, gt=0)  # of cosines in a retriever's loss
    interpolation: bool = True  # whether weights between base and candidate are tried too (WiSE)
    preference: float = Field(default=0.0, ge=0)  # beta of preference tuning after the supervised one; 0: none
    members: int = Field(default=1, ge=1)  # of an ensemble, each with a seed of its own

    evaluations: int = Field(default=1, ge=1)  # on validation rows in each epoch
    patience: int = Field(default=3, ge=1)  # evaluations without a better one before it stops early
    budget_seconds: float | None = Field(default=None, gt=0)  # after which it stops early; None: never
    seed: int = Field(default=0, ge=0)

    @classmethod
    def fast(cls, **changes: Any) -> Self:
        """A head in closed form over embeddings of the base as it is: seconds."""
        return cls(**{"method": "closed-form", **changes})

    @classmethod
    def balanced(cls, **changes: Any) -> Self:
        """The upper two layers over cached states of those below: a minute or so for ten thousand short texts."""
        return cls(**{"method": "top", "epochs": 4.0, "average": 0.99, "label_smoothing": 0.1, **changes})

    @classmethod
    def best(cls, **changes: Any) -> Self:
        """Every layer, lower ones more slowly: minutes."""
        return cls(**{"method": "full", "epochs": 5.0, "average": 0.99, "label_smoothing": 0.1, **changes})

    @classmethod
    def preset(cls, name: Preset, **changes: Any) -> Self:
        """The recipe called `name`, with what differs from it.

        Raises:
            RecipeError: a setting is unknown or out of its range.
        """
        made = {"fast": cls.fast, "balanced": cls.balanced, "best": cls.best}
        try:
            return made[name](**changes)
        except ValidationError as error:
            raise RecipeError(f"preset {name!r}", error) from error

    @classmethod
    def read(cls, path: Path) -> Self:
        """The recipe in a TOML file: `preset = "balanced"`, and the settings that differ from it.

        Raises:
            RecipeError: the file cannot be read, or a setting is unknown or out of its range.
        """
        try:
            settings = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise RecipeError(str(path), error) from error
        preset = settings.pop("preset", "fast")
        if preset not in ("fast", "balanced", "best"):
            raise RecipeError(str(path), ValueError(f"preset is {preset!r}; expected 'fast', 'balanced' or 'best'"))
        try:
            return cls.preset(preset, **settings)
        except RecipeError as error:
            raise RecipeError(str(path), error.__cause__ or error) from error
