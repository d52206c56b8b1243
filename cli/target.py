"""Finding the flow that a command names as MODULE:FLOW. The only place that imports what a user names."""

import importlib
import runpy
import sys
from pathlib import Path
from typing import Any

from ..agents.errors import CoterieError
from ..orchestration.workflow import Flow, Workflow


class TargetError(CoterieError):
    """MODULE:FLOW names nothing that can be run."""


def flow_at(target: str) -> Flow[Any, Any]:
    """The flow that `target` names.

    flow_at("desks.finance:flow")                # a module that can be imported
    flow_at("examples/finance_desk.py:flow")     # a file; its folder is importable, as when it is run

    Raises:
        TargetError: the module or the name in it does not exist, or is no flow.
        WorkflowError: it is a workflow that has faults.
    """
    place, colon, name = target.rpartition(":")
    if not colon or not place or not name:
        raise TargetError(f"{target!r} names no flow; write MODULE:FLOW, as in examples/finance_desk.py:flow")
    names = _names_in_file(Path(place)) if place.endswith(".py") else _names_in_module(place)
    if name not in names:
        flows = [known for known, value in names.items() if isinstance(value, Flow | Workflow)]
        raise TargetError(f"{place} has no {name!r}; it has the flows {', '.join(flows) or '(none)'}")
    found = names[name]
    if isinstance(found, Workflow):
        return found.build()
    if not isinstance(found, Flow):
        raise TargetError(f"{target!r} is a {type(found).__name__}, not a flow; name what `build()` returned")
    return found


def _names_in_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise TargetError(f"there is no file {str(path)!r}; give the path from the current folder")
    sys.path.insert(0, str(path.resolve().parent))
    return runpy.run_path(str(path), run_name=path.stem)


def _names_in_module(module: str) -> dict[str, Any]:
    sys.path.insert(0, str(Path.cwd()))
    try:
        return vars(importlib.import_module(module))
    except ModuleNotFoundError as error:
        raise TargetError(f"there is no module {module!r}: {error}; a file is named with its .py") from error
