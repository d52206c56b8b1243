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
    "agents.releases",
    "agents.retriever",
    "agents.served_search",
    "cli.dead",
    "cli.doctor",
    "cli.evaluate",
    "cli.export",
    "cli.fork",
    "cli.graph",
    "cli.models",
    "cli.promote",
    "cli.replay",
    "cli.resume",
    "cli.review.app",
    "cli.review.applying",
    "cli.review.people",
    "cli.review.seat",
    "cli.review.stats",
    "cli.review.stats_plot",
    "cli.review.waiting",
    "cli.run",
    "cli.runs",
    "cli.show",
    "cli.tune",
    "cli.verify",
    "orchestration.database_log",
    "orchestration.field_faults",
    "orchestration.file_locks",
    "orchestration.page",
    "orchestration.postgresql_insert",
    "orchestration.rebuild",
    "orchestration.review_desk",
    "orchestration.run",
    "orchestration.runtime",
    "orchestration.similarity",
    "orchestration.upgrading",
    "orchestration.validation",
    "tuning.agreement",
    "tuning.classifier",
    "tuning.dialogue",
    "tuning.dialogue_scores",
    "tuning.low_rank",
    "tuning.plots",
    "tuning.retriever",
    "tuning.search",
    "tuning.tensorboard_tracker",
    "tuning.wandb_tracker",
]


def load(module: HeavyModule) -> ModuleType:
    """The module `coterie.<module>`, imported now if it was not yet."""
    return importlib.import_module(f"coterie.{module}")
