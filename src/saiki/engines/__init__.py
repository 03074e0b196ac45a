"""The engines: who walks through time. All give the same numbers."""

from collections.abc import Callable
from importlib import import_module

from saiki.engines import reference
from saiki.engines.tape import Engine
from saiki.errors import choose

ENGINES: dict[str, Callable[[], Engine]] = {
    "reference": lambda: reference,  # NumPy: plain, and able to run on complex numbers
    "compiled": lambda: import_module("saiki.engines.compiled"),  # Numba, imported when first asked for
}
"""Every engine by name."""

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


_loaded: dict[str | None, Engine] = {}
