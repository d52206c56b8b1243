"""Every error of tuning, and nothing else.

CoterieError
└── TuningError
    ├── RecipeError (ValueError)      a recipe cannot be read, or a setting is out of its range
    ├── DatasetError (ValueError)     there is nothing to learn from, or rows contradict each other
    ├── TrainingFailed (RuntimeError) a training gave nothing that could be used
    ├── GateRefused (ValueError)      two outcomes cannot be compared, or the candidate is the live one
    ├── LedgerDamaged (ValueError)    what was spent of a gate's rows cannot be read
    └── ExtraMissing (ImportError)    this needs a package that is not installed
"""

from pydantic import ValidationError

from ..agents.errors import CoterieError


class TuningError(CoterieError):
    """A role could not be tuned."""


class RecipeError(TuningError, ValueError):
    """A recipe cannot be read, or a setting of it is unknown or out of its range."""

    def __init__(self, place: str, cause: BaseException) -> None:
        super().__init__(f"{place} is no recipe: {_reason(cause)}")


class DatasetError(TuningError, ValueError):
    """There is nothing to learn from, or rows contradict each other."""


class TrainingFailed(TuningError, RuntimeError):
    """A training gave nothing that could be used."""


class GateRefused(TuningError, ValueError):
    """Two systems cannot be compared, or the candidate is the live one."""


class LedgerDamaged(TuningError, ValueError):
    """What was spent of a gate's rows cannot be read, so that nobody knows how often they were used."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the uses of the gate cannot be counted: {reason}; restore the file, or retire its gate rows")


class ExtraMissing(TuningError, ImportError):
    """This needs a package that is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"this needs {package}, which is not installed: pip install 'coterie[{extra}]'")


def _reason(cause: BaseException) -> str:
    if not isinstance(cause, ValidationError):
        return str(cause)
    faults = cause.errors(include_url=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg'].lower()}" for fault in faults)
