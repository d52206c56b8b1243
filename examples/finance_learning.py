"""What the finance desk learns from its own log: each role that people have corrected often enough is tuned."""

from typing import Any

from rich.console import Console
from rich.text import Text

from coterie.agents.inference import Inference
from coterie.cli.text import safe
from coterie.cli.tuning_view import TuningView, show_learned
from coterie.orchestration import Flow, Log
from coterie.tuning.learner_of import tunable
from coterie.tuning.learning import Learned
from coterie.tuning.log_learning import learn_from_log
from coterie.tuning.recipes import Recipe


async def learn(log: Log, flow: Flow[Any, Any], engine: Inference, recipe: Recipe, console: Console) -> None:
    """Tune every role that has enough rows, and show before, after and the verdict of each."""
    promoted = []
    view = TuningView(console)
    with view:
        told = [one async for one in learn_from_log(
            log, tunable(flow.nodes.values()), recipe, engine, listen=view.take)]  # fmt: skip
    for one in told:
        console.print(Text(safe(one.role), style="bold"))
        if isinstance(one, Learned):
            show_learned(console, one)
            promoted += [one.role] if one.promoted else []
        else:
            console.print(Text(f"  left as it is: {safe(one.reason)}"))
    console.print(f"the desk goes on with {', '.join(promoted) if promoted else 'the roles that it had'}")
