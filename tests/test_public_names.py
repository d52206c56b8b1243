"""What each package offers: `__all__` is sorted, complete, and everything in it says what it is for."""

import importlib
import inspect

import pytest

PACKAGES = ("coterie.agents", "coterie.orchestration", "coterie.tuning", "coterie.cli")
each_package = pytest.mark.parametrize("name", PACKAGES)


def public(name: str) -> dict[str, object]:
    """The names of a package that are neither private, nor its own modules, nor there to import others with."""
    module = importlib.import_module(name)
    for key in module.__all__:
        getattr(module, key)  # some are imported when first named
    held = {key: value for key, value in vars(module).items() if not key.startswith("_")}
    machinery = {"TYPE_CHECKING", "Any", "HeavyModule", "load"}
    return {key: value for key, value in held.items() if not inspect.ismodule(value) and key not in machinery}


@each_package
def test_all_is_sorted_and_complete(name: str) -> None:
    """It is what `import *` gives, what the documentation lists, and what can be reached."""
    module = importlib.import_module(name)
    assert list(module.__all__) == sorted(module.__all__)
    assert set(module.__all__) == set(public(name))


@each_package
def test_a_package_says_what_it_is_for(name: str) -> None:
    """In its first line."""
    assert (importlib.import_module(name).__doc__ or "").strip()


@each_package
def test_every_public_class_and_function_says_what_it_is_for(name: str) -> None:
    """In its own docstring, not that of a base class or of a generated signature."""
    silent = []
    for key, value in public(name).items():
        if inspect.isclass(value):  # a dataclass without a docstring is given its signature for one
            said = vars(value).get("__doc__") or ""
            silent += [key] if not said.strip() or said.startswith(f"{key}(") else []
        elif inspect.isfunction(value):
            silent += [] if value.__doc__ else [key]
    assert silent == []
