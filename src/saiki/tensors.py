"""Files of numbers: a tree of dicts, lists and arrays as one safetensors file, and back.

The arrays are the file's tensors, under the path that leads to them (``params/0/Wx``), where any reader of safetensors
finds them. The rest is JSON in the file's metadata, beside a digest of everything: what is damaged is not read. Nothing
in a file is ever run, and nothing is allocated that the file does not hold.
"""

import hashlib
import json
import os
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

MOST_HEADER, MOST_VALUES, MOST_CONTAINERS, MOST_PAIRS, MOST_TEXT = 1 << 25, 1 << 20, 1 << 16, 10_000, 1 << 26
"""Limits of what a file may say: the bytes of its header, the values, the lists and dicts and the pairs in it, and the
bytes of an array of texts. They bound the memory and the time that reading a hostile file takes."""

DTYPES = {
    "BOOL": np.bool_, "U8": np.uint8, "U16": np.uint16, "U32": np.uint32, "U64": np.uint64, "I8": np.int8,
    "I16": np.int16, "I32": np.int32, "I64": np.int64, "F16": np.float16, "F32": np.float32, "F64": np.float64,
}  # fmt: skip
"""The dtypes of tensors, as safetensors calls them."""

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
        ArgumentError: something in the tree is none of these, a number outside arrays is not finite, or the tree is too
            large or too deep to be read again.
    """
    arrays: dict[str, Array] = {}
    try:
        content = _described(tree, "", arrays)
        said = {"format": FORMAT, "sha256": _digest(content, arrays), "content": content}
        text = json.dumps(said, allow_nan=False)
        data: bytes = save(arrays, metadata={KEY: text})  # one text: several come in any order
        _check_size(data[8 : 8 + _header_size(data)].decode())
        _check_size(text)
        _restored(content, arrays)
    except (RecursionError, ValueError) as error:
        if isinstance(error, ArgumentError):
            raise
        said_of = "it contains itself or is too deep" if isinstance(error, RecursionError) else error
        raise ArgumentError(f"the tree cannot be written to a file: {said_of}.") from None
    return data


def is_plain(value: Any) -> bool:
    """Whether a value can be part of such a tree without being changed.

    >>> is_plain({"sizes": (8, 4)}), is_plain(print)
    (True, False)
    """
    try:
        _described(value, "", {})
    except (ArgumentError, RecursionError):
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
    try:
        content, digest, claimed = _header(path)
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in claimed}
        if digest != _digest(content, arrays):
            raise FileError(f"{path} is damaged: its digest does not fit its content. Take a copy from before.")
        return _restored(content, arrays)
    except FileError:
        raise
    except DAMAGE as error:
        raise _damaged(path, error) from None


def read_claims(path: Path) -> Any:
    """Return the tree that a file claims to hold, with arrays that take no memory: right in shape and dtype alone.

    The errors are those of ``read``, but that the digest is not looked at.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write(Path(folder) / "tree", {"W": np.ones((2, 1))})
    ...     read_claims(Path(folder) / "tree")["W"].shape
    (2, 1)
    """
    try:
        content, _, claimed = _header(path)
        return _restored(content, claimed)
    except FileError:
        raise
    except DAMAGE as error:
        raise _damaged(path, error) from None


DAMAGE = SafetensorError, KeyError, TypeError, ValueError, RecursionError, AttributeError, MemoryError, OverflowError


def _damaged(path: Path, error: BaseException) -> FileError:
    return FileError(
        f"{path} is damaged, cut short, or no file that saiki wrote: {str(error)[:200]}. Give another, or a copy from"
        " before."
    )


def _header(path: Path) -> tuple[Any, Any, dict[str, Array]]:
    """Return the content that a file describes, its digest, and arrays as large as its tensors that take no memory.

    Nothing is read but the header, and that only if its size is possible.
    """
    if not path.is_file():
        path.stat()  # says that there is nothing, where that is so
        raise FileError(f"{path} must be a file that saiki wrote; it is a folder or a device.")
    with path.open("rb") as file:
        size, there = _header_size(file.read(8)), os.fstat(file.fileno()).st_size
        if not 2 <= size <= min(MOST_HEADER, there - 8):
            raise ValueError(f"its header cannot have {size} bytes")
        header = file.read(size).decode()
    _check_size(header)
    table = json.loads(header, object_pairs_hook=_unique)
    text = table.pop("__metadata__", {}).get(KEY, "{}")
    _check_size(text)  # again, as what is escaped was not seen
    said = json.loads(text, object_pairs_hook=_unique)
    if "format" not in said:
        raise FileError(f"{path} is a safetensors file, but none that saiki wrote.")
    if said["format"] != FORMAT:
        raise FileError(f"{path} is of format {said['format']!r:.20}; this saiki reads {FORMAT}. Update saiki.")
    claimed: dict[str, Array] = {
        name: np.broadcast_to(np.zeros((), DTYPES[entry["dtype"]]), entry["shape"]) for name, entry in table.items()
    }
    if sum(array.nbytes for array in claimed.values()) != there - 8 - size:
        raise ValueError("its tensors are not as large as they should be")
    return said["content"], said.get("sha256"), claimed


def _header_size(data: bytes) -> int:
    return int.from_bytes(data[:8], "little")


def _check_size(text: str) -> None:
    """Raise a ``ValueError`` where JSON could take much more memory, once it is read, than its length says."""
    if len(text) > MOST_HEADER:
        raise ValueError(f"its header has more than {MOST_HEADER} bytes")
    if text.count("[") + text.count("{") > MOST_CONTAINERS or text.count(",") > MOST_VALUES:
        raise ValueError(f"it has more than {MOST_CONTAINERS} lists and dicts or {MOST_VALUES} values outside arrays")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a dict of pairs, or refuse two with one name, of which readers might take either."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("two of its parts have one name")
    return found


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
        if len(tree) > MOST_PAIRS:
            raise ArgumentError(
                f"{path or 'the tree'} cannot be written to a file: it has more than {MOST_PAIRS} keys."
            )
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
        if described["dtype"] == "U" and 4 * len(texts) * max(map(len, texts), default=0) > MOST_TEXT:
            raise ValueError(f"its texts take more than {MOST_TEXT} bytes as one array")
        return np.array(texts, described["dtype"])
    if "pairs" in described:
        if len(described["pairs"]) > MOST_PAIRS:
            raise ValueError(f"one of its dicts has more than {MOST_PAIRS} keys")
        return dict(_restored(pair, arrays) for pair in described["pairs"])
    if "tuple" in described:
        return tuple(_restored(part, arrays) for part in described["tuple"])
    return {key: _restored(value, arrays) for key, value in described["dict"].items()}
