"""The laws of the house that a command can check."""

import subprocess
import sys

import saiki

HEAVY = {"numba", "sklearn", "matplotlib", "rich", "click", "onnx", "safetensors", "torch", "pandas"}


def test_importing_saiki_is_light() -> None:
    code = f"import sys, saiki; print(*({HEAVY!r} & sys.modules.keys()))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def test_public_names_are_documented() -> None:
    for name in saiki.__all__:
        assert getattr(saiki, name).__doc__, name
