"""Modules that need a package which is not always installed: loaded when asked for, or it is said what to install."""

from types import ModuleType

from ..agents.loading import HeavyModule, load
from .errors import ExtraMissing


def extra(module: HeavyModule, package: str, name: str) -> ModuleType:
    """The module `coterie.<module>`, which imports `package`, of the extra called `name`.

    Raises:
        ExtraMissing: the package is not installed.
    """
    try:
        return load(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:
            raise
        raise ExtraMissing(package, name) from error
