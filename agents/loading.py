"""The one chokepoint between light descriptions and heavy modules.

`import coterie.orchestration` must load neither torch nor networkx, so modules that need them are imported here, by
literal name, when a runtime or a build first asks. No other file may call `importlib`.
"""

import importlib
from types import ModuleType
from typing import Literal

HeavyModule = Literal[
    "agents.classifier",
    "agents.devices",
    "agents.dialogue",
    "agents.engine",
    "agents.heads",
    "agents.hub",
    "agents.index",
    "agents.pinned",
    "agents.retriever",
    "agents.served_search",
    "cli.review.seat",
    "cli.review.stats_plot",
    "orchestration.database_log",
    "orchestration.field_faults",
    "orchestration.page",
    "orchestration.postgresql_insert",
    "orchestration.review_desk",
    "orchestration.runtime",
    "orchestration.upgrading",
    "orchestration.validation",
    "tuning.low_rank",
    "tuning.tensorboard_tracker",
    "tuning.wandb_tracker",
]


def load(module: HeavyModule) -> ModuleType:
    """The module `coterie.<module>`, imported now if it was not yet."""
    return importlib.import_module(f"coterie.{module}")
