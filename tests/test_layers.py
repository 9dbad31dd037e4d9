"""The layers of the package: imports point one way, nothing goes round in a circle, and what translates is pure."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import llm_adapter

PACKAGE = Path(llm_adapter.__file__).parent
MODULES = {
    ".".join(("llm_adapter", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
# From the top down. A module may import from its own layer and from those after it.
LAYERS = (
    "cli",
    "testing",
    "devtools",
    "serve",
    "installation",
    "client",
    "batch",
    "management",
    "shadow",
    "traffic",
    "comparison",
    "transport",
    "routing",
    "providers",
    "responses",
    "translation",
    "exchange",
    "provider",
    "settings",
)
# The package itself holds the public names and loads them when they are asked for; these may ask.
MAY_ASK_THE_PACKAGE = ("cli", "testing", "devtools")
# Each folder of `devtools` is a tool of its own; what they share are its single modules, and `reporting`.
TOOLS = ("doctor", "migrate", "parity")
ROOT_MODULES = {"__init__", "__main__", "provider", "exchange", "comparison"}
MAX_LINES = 600
MAX_FUNCTION_LINES = 40


def imported(module: str) -> set[str]:
    """Our modules that a module imports anywhere: in functions and for type checkers too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            submodules = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= (submodules & MODULES.keys()) or {node.module}
    return names - {module}


def layer(module: str) -> str:
    """The first part of a module's name below the package; "" for the package itself."""
    return module.partition(".")[2].partition(".")[0]


GRAPH = {module: imported(module) & MODULES.keys() for module in MODULES}


def below(folder: str) -> list[str]:
    return [module for module in MODULES if layer(module) == folder]


def test_every_folder_is_a_layer() -> None:
    assert {layer(module) for module in MODULES} - {"", "__main__"} == set(LAYERS)


def test_the_root_stays_small() -> None:
    """A new module has a folder of its subject."""
    assert {path.stem for path in PACKAGE.glob("*.py")} <= ROOT_MODULES


@pytest.mark.parametrize("folder", LAYERS)
def test_imports_point_down(folder: str) -> None:
    allowed = LAYERS[LAYERS.index(folder) :]
    wrong = {
        module: sorted(above)
        for module in below(folder)
        if (above := {one for one in GRAPH[module] if one != "llm_adapter" and layer(one) not in allowed})
    }
    assert wrong == {}, f"{folder} may import from {', '.join(allowed)}, in functions and under TYPE_CHECKING as well"


@pytest.mark.parametrize("folder", LAYERS)
def test_only_the_top_asks_the_package(folder: str) -> None:
    asking = [module for module in below(folder) if "llm_adapter" in GRAPH[module]]
    assert folder in MAY_ASK_THE_PACKAGE or asking == [], "import the module that defines the name instead"


@pytest.mark.parametrize("tool", TOOLS)
def test_the_developers_tools_do_not_know_one_another(tool: str) -> None:
    others = tuple(f"llm_adapter.devtools.{one}" for one in TOOLS if one != tool)
    ours = [module for module in MODULES if module.startswith(f"llm_adapter.devtools.{tool}")]
    wrong = {module: found for module in ours if (found := [one for one in GRAPH[module] if one.startswith(others)])}
    assert wrong == {}, "what two tools share belongs into `devtools.reporting`, or a module of `devtools` itself"


def test_imports_have_no_circle() -> None:
    """Also none by an import inside a function or for a type checker. A circle's error names its modules."""
    inside = {module: names - {"llm_adapter"} for module, names in GRAPH.items() if module != "llm_adapter"}
    assert "llm_adapter.client.requests" in inside["llm_adapter.client.clients"]
    assert list(TopologicalSorter(inside).static_order())


WORLD = {"time", "random", "secrets", "uuid", "os", "socket", "asyncio", "httpx", "httpx2", "ollama", "anyio"}
# What reads the clock, the environment or a file, below the folders of pure modules.
IMPURE = {
    "llm_adapter.providers",
    "llm_adapter.providers.embedded.child",
    "llm_adapter.providers.embedded.hub",
    "llm_adapter.providers.embedded.memory",
    "llm_adapter.providers.embedded.models",
    "llm_adapter.providers.embedded.ollama_store",
    "llm_adapter.providers.embedded.process",
    "llm_adapter.providers.embedded.provider",
    "llm_adapter.providers.embedded.room",
    "llm_adapter.providers.embedded.server",
    "llm_adapter.responses.resources",
    "llm_adapter.responses.store",
    "llm_adapter.translation.images",
    "llm_adapter.translation.process_cache",
    "llm_adapter.translation.token_count",
}
PURE = [
    module
    for module in MODULES
    if layer(module) in ("providers", "responses", "translation", "exchange", "comparison", "provider")
    and module not in IMPURE
]


@pytest.mark.parametrize("module", PURE)
def test_translation_is_pure(module: str) -> None:
    """No clock, no dice, no environment, no HTTP where calls are translated."""
    assert imported(module) & WORLD == set()


@pytest.mark.parametrize("module", MODULES)
def test_modules_and_functions_are_short(module: str) -> None:
    source = MODULES[module].read_text(encoding="utf-8")
    sizes = {
        node.name: (node.end_lineno or 0) - node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    long = {name: lines for name, lines in sizes.items() if lines >= MAX_FUNCTION_LINES}
    assert (source.count("\n") < MAX_LINES, long) == (True, {})
