"""The engines: who walks through time. All give the same numbers."""

from _thread import start_new_thread
from collections.abc import Callable
from importlib import import_module
from threading import Lock
from typing import TypeVar

from saiki.engines import reference
from saiki.engines.locks import loading
from saiki.engines.tape import Engine
from saiki.engines.tree_tape import TreeEngine
from saiki.errors import choose

E = TypeVar("E")

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
        make = choose("engine", DEFAULT if name is None else name, ENGINES)
        engine = _loaded[name] = _imported(make)
    return engine


def get_tree_engine(name: str | None) -> TreeEngine:
    """Return the engine of that name that walks over trees; None asks for the default one.

    Raises:
        ArgumentError: no such engine.
    """
    engine = _loaded_trees.get(name) if name is None or isinstance(name, str) else None
    if engine is None:
        make = choose("engine", DEFAULT if name is None else name, TREE_ENGINES)
        engine = _loaded_trees[name] = _imported(make)
    return engine


def _imported(make: Callable[[], E]) -> E:
    """Import an engine in a thread of its own, where Ctrl-C cannot end the import half way.

    A module that an interrupt has left half imported fails for the rest of the process.
    """
    found: list[E] = []
    errors: list[BaseException] = []
    over = Lock()
    over.acquire()

    def run() -> None:
        try:
            with loading:
                found.append(make())
        except BaseException as error:
            errors.append(error)
        finally:
            over.release()

    start_new_thread(run, ())
    over.acquire()  # an interrupt ends this wait; the next call waits for the same import
    if errors:
        raise errors[0]
    return found[0]


_loaded: dict[str | None, Engine] = {}
_loaded_trees: dict[str | None, TreeEngine] = {}
