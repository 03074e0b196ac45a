"""The engines: who walks through time. All give the same numbers."""

from collections.abc import Callable
from importlib import import_module

from saiki.engines import reference
from saiki.engines.tape import Engine
from saiki.engines.tree_tape import TreeEngine
from saiki.errors import choose

ENGINES: dict[str, Callable[[], Engine]] = {
    "reference": lambda: reference,  # NumPy: plain, and able to run on complex numbers
    "compiled": lambda: import_module("saiki.engines.compiled"),  # Numba, imported when first asked for
}
"""Every engine by name."""

TREE_ENGINES: dict[str, Callable[[], TreeEngine]] = {
    "reference": lambda: import_module("saiki.engines.tree_reference"),
    "compiled": lambda: import_module("saiki.engines.tree_compiled"),
}
"""Those that walk over trees, by the same names."""

DEFAULT = "compiled"


def get_engine(name: str | None) -> Engine:
    """Return the engine called ``name``; None asks for the default one.

    Raises:
        ArgumentError: no such engine. Nothing falls back silently.
    """
    engine = _loaded.get(name) if name is None or isinstance(name, str) else None
    if engine is None:
        engine = _loaded[name] = choose("engine", DEFAULT if name is None else name, ENGINES)()
    return engine


def get_tree_engine(name: str | None) -> TreeEngine:
    """Return the engine of that name that walks over trees; None asks for the default one.

    Raises:
        ArgumentError: no such engine.
    """
    return choose("engine", DEFAULT if name is None else name, TREE_ENGINES)()


_loaded: dict[str | None, Engine] = {}
