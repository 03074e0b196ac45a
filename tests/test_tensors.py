"""A tree comes back from its file as it was, and a file that is not whole gives one clear error."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save

import saiki
from saiki import tensors

TREE: dict[str, Any] = {
    "params": {"0/Wx": np.arange(6.0).reshape(2, 3), "0/b": np.zeros(0, np.float32), "n": np.array(3)},
    "params/0": {"Wx": np.array([True, False])},  # the same path in another way
    "sizes": (8, [1, 2, (3,)], ()),
    "text": "grú",
    "big": 2**127 + 1,
    "none": None,
    "flag": True,
    "weights": {0: 1.0, True: 2.0, "a": 3.0},
    "labels": np.array(["a", "bc"]),
    "names": np.array(["x", "y"], object),
    "numbers": [np.float32(0.5), np.int8(3)],
}


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and bool((one == other).all())
    return bool(one == other)


def test_a_tree_comes_back(tmp_path: Path) -> None:
    tensors.write(tmp_path / "tree", TREE)
    assert same(TREE, tensors.read(tmp_path / "tree"))


def test_other_readers_find_the_tensors(tmp_path: Path) -> None:
    tensors.write(tmp_path / "tree", TREE)
    np.testing.assert_array_equal(load_file(tmp_path / "tree")["params/0/Wx"], TREE["params"]["0/Wx"])


@pytest.mark.parametrize("value", [print, {print: 2}, np.array([1, "a"], object), float("nan"), {"a": [np.inf]}, 1j])
def test_what_is_no_such_tree(value: Any, tmp_path: Path) -> None:
    assert not tensors.is_plain(value)
    with pytest.raises(saiki.ArgumentError):
        tensors.write(tmp_path / "tree", {"value": value})
    assert not list(tmp_path.iterdir())


def test_every_truncation_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "tree"
    tensors.write(path, TREE)
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(saiki.FileError, match="tree"):
            tensors.read(path)


def test_every_flipped_bit_is_an_error_or_harmless(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "tree"
    tensors.write(path, TREE)
    data = bytearray(path.read_bytes())
    harmless = 0
    for byte in range(len(data)):
        bit = 1 << int(rng.integers(8))
        data[byte] ^= bit
        path.write_bytes(data)
        try:
            assert same(TREE, tensors.read(path))  # such as a blank in the header that became another
            harmless += 1
        except saiki.FileError:
            pass
        data[byte] ^= bit
    assert harmless < 0.01 * len(data)


def test_noise_is_an_error_and_takes_no_memory(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "noise"
    files = [b"", b"\x00" * 8, b"\xff" * 64, b"PK\x03\x04", b"{}", json.dumps({"a": 1}).encode()]
    files += [(2**62).to_bytes(8, "little") + b"{}", (10**8 - 1).to_bytes(8, "little") + b"{}"]
    files += [rng.bytes(int(n)) for n in rng.integers(0, 300, size=200)]
    header = b'{"W":{"dtype":"F64","shape":[1000000000,1000],"data_offsets":[0,8000000000000]}}'
    files.append(len(header).to_bytes(8, "little") + header)
    tracemalloc.start()
    for data in files:
        path.write_bytes(data)
        with pytest.raises(saiki.FileError, match="noise"):
            tensors.read(path)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_foreign_files_are_said_to_be_so(tmp_path: Path) -> None:
    path = tmp_path / "foreign"
    path.write_bytes(save({"W": np.ones(3)}))
    with pytest.raises(saiki.FileError, match="but none that saiki wrote"):
        tensors.read(path)
    path.write_bytes(save({"W": np.ones(3)}, metadata={"saiki": '{"format": 9}'}))
    with pytest.raises(saiki.FileError, match=r"of format 9; this saiki reads 1\. Update"):
        tensors.read(path)
    path.write_bytes(save({"W": np.ones(3)}, metadata={"saiki": '{"format": 1}'}))
    with pytest.raises(saiki.FileError, match="damaged"):
        tensors.read(path)
    path.write_bytes(save({}, metadata={"saiki": "[" * 100_000}))
    with pytest.raises(saiki.FileError, match="damaged"):
        tensors.read(path)
    with pytest.raises(saiki.FileError, match="a folder or a device"):
        tensors.read(tmp_path)
    with pytest.raises(FileNotFoundError):
        tensors.read(tmp_path / "nowhere")
