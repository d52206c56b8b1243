"""Which package may import which, read from the sources, and what importing them loads, tried in a fresh process."""

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

LAYERS = ("agents", "orchestration", "tuning", "cli")  # each may import those before it, and itself
HEAVY = (
    "torch",
    "transformers",
    "numpy",
    "networkx",
    "bm25s",
    "llguidance",
    "rich",
    "tokenizers",
    "safetensors",
    "gguf",
    "sqlalchemy",
    "filelock",
    "rapidfuzz",
    "platformdirs",
)
OF_ORCHESTRATION_FOR_TUNING = {"log", "events", "training_items"}


def sources() -> Iterator[tuple[str, Path]]:
    """Every module of the packages, wherever they are installed, with its package's name."""
    for layer in LAYERS:
        for folder in importlib.import_module(f"coterie.{layer}").__path__:
            for path in sorted(Path(folder).rglob("*.py")):
                yield layer, path


SOURCES = list(sources())
each_source = pytest.mark.parametrize(
    ("layer", "path"), [pytest.param(*source, id=f"{source[0]}/{source[1].stem}") for source in SOURCES]
)


def package_of(layer: str, path: Path) -> tuple[str, ...]:
    """The packages that a file lies in, below `coterie`."""
    parts = path.parent.parts
    return parts[len(parts) - 1 - parts[::-1].index(layer) :]


def imports(tree: ast.AST, package: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """What `tree`, a file of `package`, imports of our own packages, as (package, module, …)."""
    for part in ast.walk(tree):
        if isinstance(part, ast.Import):
            for alias in part.names:
                if alias.name.split(".")[0] == "coterie":
                    yield tuple(alias.name.split(".")[1:])
        elif isinstance(part, ast.ImportFrom):
            module = tuple((part.module or "").split(".")) if part.module else ()
            if part.level == 0 and module[0] == "coterie":
                yield from ((*module[1:], alias.name) for alias in part.names)
            elif part.level > 0:
                around = package[: len(package) + 1 - part.level]
                yield from ((*around, *module, alias.name) for alias in part.names)


@each_source
def test_imports_run_one_way(layer: str, path: Path) -> None:
    """cli -> tuning -> orchestration -> agents, and never back."""
    allowed = LAYERS[: LAYERS.index(layer) + 1]
    wrong = {
        target for target in imports(ast.parse(path.read_bytes()), package_of(layer, path)) if target[0] not in allowed
    }
    assert wrong == set()


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for layer, path in SOURCES if layer == "tuning"])
def test_tuning_knows_of_orchestration_only_the_log(path: Path) -> None:
    """Rows come from the log; graphs and runs are none of tuning's business."""
    taken = {target[1] for target in imports(ast.parse(path.read_bytes()), ("tuning",)) if target[0] == "orchestration"}
    assert taken <= OF_ORCHESTRATION_FOR_TUNING


@each_source
def test_nothing_is_imported_inside_a_function(layer: str, path: Path) -> None:
    """Imports stand at the top of a file, where a reader looks for them."""
    functions = [
        part
        for part in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    hidden = [
        part.lineno
        for function in functions
        for part in ast.walk(function)
        if isinstance(part, ast.Import | ast.ImportFrom)
    ]
    assert hidden == []


@each_source
def test_importlib_is_used_for_heavy_modules_and_for_what_a_user_names(layer: str, path: Path) -> None:
    """Heavy modules are reached through `agents/loading.py`, MODULE:FLOW through `cli/target.py`, and no other way."""
    names = {
        name
        for part in ast.walk(ast.parse(path.read_bytes()))
        for name in (
            [alias.name for alias in part.names]
            if isinstance(part, ast.Import)
            else [part.module or ""]
            if isinstance(part, ast.ImportFrom)
            else [part.id]
            if isinstance(part, ast.Name)
            else []
        )
    }
    reaching = {name for name in names if name in ("__import__", "importlib", "runpy", "imp", "pkgutil")}
    allowed = {("agents", "loading.py"): {"importlib"}, ("cli", "target.py"): {"importlib", "runpy"}}
    assert reaching <= allowed.get((layer, path.name), set())


@each_source
def test_nothing_that_runs_stored_code_is_used(layer: str, path: Path) -> None:
    """No pickle, no eval, no remote code: what is stored is JSON and safetensors."""
    forbidden = {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "eval", "exec"}
    found = set()
    for part in ast.walk(ast.parse(path.read_bytes())):
        match part:
            case ast.Import(names=names):
                found |= {alias.name.split(".")[0] for alias in names}
            case ast.ImportFrom(module=str(module), level=0):
                found.add(module.split(".")[0])
            case ast.Call(func=ast.Name(id=name)):
                found.add(name)
            case ast.Call(func=ast.Attribute(value=ast.Name(id="torch"), attr="load")):
                found.add("eval")
            case ast.keyword(arg="trust_remote_code", value=ast.Constant(value=True)):
                found.add("eval")
            case _:
                pass
    assert found & forbidden == set()


def test_the_packages_have_no_cycle_of_imports() -> None:
    """Modules that import each other at run time could not be read one by one."""
    known = {(*package_of(layer, path), path.stem): (layer, path) for layer, path in SOURCES}
    edges = {
        name: {
            target[:length]
            for target in imports(_without_type_checking(path), package_of(layer, path))
            for length in range(2, len(target) + 1)
            if target[:length] in known
        }
        - {name}
        for name, (layer, path) in known.items()
    }
    done: set[tuple[str, ...]] = set()
    while leaves := {module for module, needs in edges.items() if module not in done and needs <= done}:
        done |= leaves
    assert set(edges) - done == set()


def _without_type_checking(path: Path) -> ast.AST:
    """The module without what only type checkers see."""
    tree = ast.parse(path.read_bytes())
    tree.body = [
        part
        for part in tree.body
        if not (isinstance(part, ast.If) and isinstance(part.test, ast.Name) and part.test.id == "TYPE_CHECKING")
    ]
    return tree


@pytest.mark.parametrize("package", ["coterie.agents", "coterie.orchestration"])
def test_importing_the_packages_loads_nothing_heavy(package: str) -> None:
    """Agents are light descriptions; models and graphs are loaded when a build or a runtime first needs them."""
    program = f"import sys, {package}; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def test_importing_orchestration_builds_no_validator() -> None:
    """Models of pydantic build theirs when they are first used, for that is most of what an import would take."""
    program = (
        "import coterie.orchestration, pydantic; "
        "print(*(kind.__name__ for kind in pydantic.BaseModel.__subclasses__() "
        "if kind.__module__.startswith('coterie') and kind.__pydantic_complete__))"
    )
    built = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert built.stdout.split() == []
