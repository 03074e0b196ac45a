"""Files of numbers: a tree of dicts, lists and arrays as one safetensors file, and back.

The arrays are the file's tensors, under the path that leads to them (``params/0/Wx``), where any reader of safetensors
finds them. The rest is JSON in the file's metadata, beside a digest of everything: what is damaged is not read. Nothing
in a file is ever run, and nothing is allocated that the file does not hold.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from saiki.arrays import Array
from saiki.errors import ArgumentError, FileError
from saiki.files import atomic_write

KEY, FORMAT = "saiki", 1

KINDS = "biuf"
"""The kinds of dtype that are written as tensors; texts are written as lists."""


def write(path: Path, tree: Any) -> None:
    """Write a tree to a file: either the whole new file is there afterwards, or what was there before.

    Raises:
        ArgumentError: see ``encoded``.
        OSError: the folder is missing or read-only, or the disk is full.
    """
    data = encoded(tree)
    with atomic_write(path) as file:
        file.write(data)


def encoded(tree: Any) -> bytes:
    """Return the content of a file: a tree of dicts, lists, tuples, arrays, numbers, texts and None.

    Raises:
        ArgumentError: something in the tree is none of these, or a number outside arrays is not finite.
    """
    arrays: dict[str, Array] = {}
    content = _described(tree, "", arrays)
    said = {"format": FORMAT, "sha256": _digest(content, arrays), "content": content}
    return save(arrays, metadata={KEY: json.dumps(said, allow_nan=False)})  # one text: several come in any order


def is_plain(value: Any) -> bool:
    """Whether a value can be part of such a tree without being changed.

    >>> is_plain({"sizes": (8, 4)}), is_plain(print)
    (True, False)
    """
    try:
        _described(value, "", {})
    except ArgumentError:
        return False
    return True


def read(path: Path) -> Any:
    """Return the tree that ``write`` has written.

    Raises:
        FileError: the file is damaged, or was written by something else.
        OSError: there is no such file, or it may not be read.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write(Path(folder) / "tree", {"W": np.ones((2, 1)), "sizes": (2, 1)})
    ...     read(Path(folder) / "tree")
    {'W': array([[1.],
           [1.]]), 'sizes': (2, 1)}
    """
    if not path.is_file():
        path.stat()  # says that there is nothing, where that is so
        raise FileError(f"{path} must be a file that saiki wrote; it is a folder or a device.")
    path.open("rb").close()
    try:
        with safe_open(path, framework="numpy") as file:
            said = json.loads((file.metadata() or {}).get(KEY, "{}"))
            if "format" not in said:
                raise FileError(f"{path} is a safetensors file, but none that saiki wrote.")
            if said["format"] != FORMAT:
                raise FileError(f"{path} is of format {said['format']!r}; this saiki reads {FORMAT}. Update saiki.")
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if said.get("sha256") != _digest(said["content"], arrays):
            raise FileError(f"{path} is damaged: its digest does not fit its content. Take a copy from before.")
        return _restored(said["content"], arrays)
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError, AttributeError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(
            f"{path} is damaged, cut short, or no file that saiki wrote: {error}. Give another, or a copy from before."
        ) from None


def _digest(content: Any, arrays: Mapping[str, Array]) -> str:
    """Return the SHA-256 of everything that a file says."""
    digest = hashlib.sha256(json.dumps(content).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.data if array.size else b"")
    return digest.hexdigest()


def _described(tree: Any, path: str, arrays: dict[str, Array]) -> Any:
    """Return the JSON of a tree, and put its arrays into ``arrays``."""
    if isinstance(tree, np.generic):
        tree = tree.item()
    if tree is None or isinstance(tree, bool | int | str):
        return tree
    if isinstance(tree, float):
        if not np.isfinite(tree):
            raise ArgumentError(f"{path or 'the tree'} must be finite to be written; got {tree}.")
        return tree
    if isinstance(tree, np.ndarray) and tree.dtype.kind in KINDS:
        while path in arrays:  # {"a/b": ...} beside {"a": {"b": ...}}
            path += "'"
        arrays[path] = np.ascontiguousarray(tree).reshape(tree.shape)
        return {"tensor": path}
    if isinstance(tree, np.ndarray) and all(type(value) in (str, np.str_) for value in tree.flat) and tree.ndim == 1:
        return {"texts": tree.tolist(), "dtype": "O" if tree.dtype.kind == "O" else "U"}
    if isinstance(tree, dict) and not all(isinstance(key, str) for key in tree):
        return {"pairs": [_described(pair, f"{path}/{i}".lstrip("/"), arrays) for i, pair in enumerate(tree.items())]}
    if isinstance(tree, dict):
        return {"dict": {key: _described(value, f"{path}/{key}".lstrip("/"), arrays) for key, value in tree.items()}}
    if isinstance(tree, list | tuple):
        parts = [_described(value, f"{path}/{i}".lstrip("/"), arrays) for i, value in enumerate(tree)]
        return {"tuple": parts} if isinstance(tree, tuple) else parts
    what = f"an array of dtype {tree.dtype}" if isinstance(tree, np.ndarray) else f"{tree!r}"
    raise ArgumentError(f"{path or 'the tree'} cannot be written to a file of numbers: it is {what}.")


def _restored(described: Any, arrays: Mapping[str, Array]) -> Any:
    """Return the tree that ``_described`` has described."""
    if isinstance(described, list):
        return [_restored(part, arrays) for part in described]
    if not isinstance(described, dict):
        return described
    if "tensor" in described:
        return arrays[described["tensor"]]
    if "texts" in described:
        texts = described["texts"]
        if described["dtype"] not in ("O", "U") or not all(isinstance(text, str) for text in texts):
            raise ValueError("its texts are none")
        return np.array(texts, described["dtype"])
    if "pairs" in described:
        return dict(_restored(pair, arrays) for pair in described["pairs"])
    if "tuple" in described:
        return tuple(_restored(part, arrays) for part in described["tuple"])
    return {key: _restored(value, arrays) for key, value in described["dict"].items()}
