"""What is saved is what is loaded, and what was not saved by saiki is not loaded."""

import hashlib
import json
import os
import time
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import saiki
from saiki import files, tensors
from saiki.estimators import keeping
from saiki.tensors import MOST_CONTAINERS, MOST_VALUES
from tests.estimators.data import ESTIMATORS, classifier, data_for, named, quick, ragged, regressor

MODELS = [
    classifier(),
    classifier(cell=["lstm", "simple"], hidden_layer_sizes=(4, 3), output="each", dropout=0.1),
    classifier(bidirectional=True, conv=(3, 3), solver="momentum", early_stopping=True, class_weight="balanced"),
    classifier(dtype=np.float32, solver_options={"beta2": 0.9}, class_weight={0: 1.0, 1: 2.0}),
    regressor(),
    regressor(scale_targets=False, scale_inputs=False, loss="huber", alpha=0, clip_norm=None),
]


@pytest.mark.parametrize("model", MODELS, ids=named)
def test_a_model_comes_back(model: Any, tmp_path: Path, rng: np.random.Generator) -> None:
    X, _, _ = ragged(rng)
    y: Any = np.arange(40) % 2
    if model.output == "each":
        y = [np.arange(len(x)) % 2 for x in X]
    model.fit(X, y)
    path = tmp_path / "model.safetensors"
    saiki.save(model, path)
    other = saiki.load(path)
    for one, two in zip(model.predict(X), other.predict(X), strict=True):
        np.testing.assert_array_equal(one, two)
    assert other.score(X, y) == model.score(X, y)
    wanted = model.get_params() | ({"dtype": "float32"} if model.dtype is np.float32 else {})
    assert other.get_params() == wanted
    for name in ("n_features_in_", "n_iter_", "loss_", "loss_curve_", "validation_scores_", "n_outputs_"):
        assert getattr(other, name) == getattr(model, name)
    if not model.early_stopping:
        model.partial_fit(X, y)
        other.partial_fit(X, y)
        for name, param in model.params_.items():
            np.testing.assert_array_equal(other.params_[name], param)


@pytest.mark.parametrize(
    "labels", [["b", "a"], [True, False], np.array(["x", "y"], object), np.array([3, 9], np.int8)], ids=str
)
def test_labels_of_every_kind(labels: Any, tmp_path: Path, rng: np.random.Generator) -> None:
    X = rng.standard_normal((10, 3))
    model = classifier().fit(X, np.asarray(labels)[np.arange(10) % 2])
    saiki.save(model, tmp_path / "model")
    other = saiki.load(tmp_path / "model")
    assert other.classes_.dtype == model.classes_.dtype
    np.testing.assert_array_equal(other.predict(X), model.predict(X))
    assert len(other.predict(X[..., None])) == 10


def test_names_of_columns_are_kept(tmp_path: Path, rng: np.random.Generator) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(rng.standard_normal((10, 3)), columns=["a", "b", "c"])
    with pytest.warns(saiki.AxesWarning, match="each of its 10 rows is read as a sequence of 3 steps"):
        model = classifier().fit(frame, np.arange(10) % 2)
    saiki.save(model, tmp_path / "model")
    other = saiki.load(tmp_path / "model")
    assert other.feature_names_in_.tolist() == ["a", "b", "c"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(other.predict(frame), model.predict(frame))


def falling(update: int) -> float:
    """A learning rate of a user."""
    return 0.01 / (1 + update)


def by_score(estimator: Any, X: Any, y: Any) -> float:
    """A scorer of a user."""
    return float(estimator.score(X, y))


OWN: dict[str, Any] = {
    "solver": saiki.optimizers.adam(0.01),
    "learning_rate": falling,
    "loss": saiki.losses.huber(0.3),
    "scoring": by_score,
    "callbacks": [lambda _: None],
    "random_state": np.random.RandomState(0),
    "class_weight": dict.fromkeys(range(20_000), 1.0),  # more than a file of numbers holds
}
"""Values of a user's own for the parameters that predict nothing."""


@pytest.mark.parametrize("name", [name for name, cls in ESTIMATORS.items() if "solver" in cls().get_params()])
def test_only_a_fit_needs_the_code_of_its_user(name: str, tmp_path: Path, rng: np.random.Generator) -> None:
    X, y = data_for(name, rng)
    held_out = {"X": X, "y": y}
    own = {key: value for key, value in OWN.items() if key in quick(name).get_params()}
    assert own.keys() >= {"solver", "learning_rate", "scoring", "callbacks", "random_state"}
    for given in [own, *({key: value} for key, value in own.items())]:
        model = quick(name, **given).fit(X, y, validation_data=held_out)
        saiki.save(model, tmp_path / "model")
        other = saiki.load(tmp_path / "model")
        assert other.score(X, y) == model.score(X, y)
        needed = sorted(given.keys() - keeping.NOT_NEEDED)
        saiki.save(other, tmp_path / "again")  # what was not loaded is still not there
        for left in (other, clone(other), saiki.load(tmp_path / "again")):
            assert " at 0x" not in repr(left)
            for train in (left.fit, left.partial_fit, clone(left).set_params(warm_start=True).fit):
                if needed:
                    with pytest.raises(saiki.ArgumentError, match="must be given again, as the file") as caught:
                        train(X, y)
                    assert all(f"{key}=..." in str(caught.value) for key in needed)
                    assert len(str(caught.value)) < 500
        for whole in (saiki.load(tmp_path / "model", **given), other.set_params(**given)):
            whole.fit(X, y, validation_data=held_out).partial_fit(X, y)
    with pytest.raises(saiki.ArgumentError, match=r"solver must be one of|learning_rate"):
        saiki.save(quick(name, **own).fit(X, y, validation_data=held_out), tmp_path / "model")
        saiki.load(tmp_path / "model", solver="nothing")


def test_the_loss_is_needed_to_look_at_gradients(tmp_path: Path, rng: np.random.Generator) -> None:
    X = rng.standard_normal((10, 3, 1))
    model = regressor(loss=saiki.losses.huber(0.3)).fit(X, X[:, 0, 0])
    saiki.save(model, tmp_path / "model")
    for look in (saiki.trace, saiki.check_gradients):
        with pytest.raises(saiki.ArgumentError, match=r"loss \(Loss\) must be given again.*load\(path, loss=\.\.\.\)"):
            look(saiki.load(tmp_path / "model"), X, X[:, 0, 0])
        look(saiki.load(tmp_path / "model", loss=saiki.losses.huber(0.3)), X, X[:, 0, 0])


def test_a_cell_of_ones_own_is_asked_for(tmp_path: Path, rng: np.random.Generator) -> None:
    own = saiki.cells.CELLS["simple"].with_activation("relu")
    X = rng.standard_normal((10, 3))
    model = classifier(cell=own, learning_rate=saiki.optimizers.constant(0.01)).fit(X, np.arange(10) % 2)
    saiki.save(model, tmp_path / "model")
    assert list(keeping.own_parameters(tmp_path / "model").items()) == [
        ("cell", "Cell simple"),
        ("learning_rate", "function constant.<locals>.<lambda>"),
    ]
    with pytest.raises(
        saiki.ArgumentError, match=r"^cell \(Cell simple\) must be given again.*load\(path, cell=\.\.\.\)\.$"
    ):
        saiki.load(tmp_path / "model")
    other = saiki.load(tmp_path / "model", cell=own)
    np.testing.assert_array_equal(other.predict_proba(X), model.predict_proba(X))
    with pytest.raises(saiki.FileError, match="no sound estimator"):
        saiki.load(tmp_path / "model", cell="lstm", learning_rate="cosine")
    for wrong in (3, None, print):
        with pytest.raises(saiki.ArgumentError, match="cell must be the name of a cell"):
            saiki.load(tmp_path / "model", cell=wrong)
    with pytest.raises(saiki.ArgumentError, match=r"dropout must be left out: .* holds it"):
        saiki.load(tmp_path / "model", cell=own, learning_rate="cosine", dropout=0.1)


def test_files_of_earlier_versions(tmp_path: Path, rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((10, 3, 1)), np.arange(10) % 2
    model = classifier(learning_rate=falling).fit(X, y)
    saiki.save(model, tmp_path / "model")
    tree = tensors.read(tmp_path / "model")
    for name in keeping.ADDED:
        del tree["parameters"][name]
    tree["own"]["learning_rate"] = repr(falling)  # with an address, as they were written
    tensors.write(tmp_path / "model", tree)
    other = saiki.load(tmp_path / "model")
    assert all(other.get_params()[name] == saiki.RNNClassifier().get_params()[name] for name in keeping.ADDED)
    np.testing.assert_array_equal(other.predict_proba(X), model.predict_proba(X))
    assert repr(other.learning_rate) == "<function falling, not loaded>"
    for name in ("tol", "cell"):
        changed = {**tree, "parameters": {k: v for k, v in tree["parameters"].items() if k != name}}
        tensors.write(tmp_path / "model", changed)
        with pytest.raises(saiki.FileError, match="names parameters that this saiki does not know"):
            saiki.load(tmp_path / "model")
    tensors.write(tmp_path / "model", {**tree, "parameters": tree["parameters"] | {"of_tomorrow": 1}})
    with pytest.raises(saiki.FileError, match=r"names parameters that this saiki does not know\. Update saiki"):
        saiki.load(tmp_path / "model")


def test_the_scaler_and_the_class_of_the_course(tmp_path: Path, rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((12, 4, 2)), np.array(["a", "b", "c"])[np.arange(12) % 3]
    scratch = saiki.ScratchSimpleRNNClassifier(n_nodes=3, epochs=2).fit(X, y, X_val=X, y_val=y)
    scaler = saiki.SequenceScaler().fit(X)
    saiki.save(scratch, tmp_path / "scratch")
    saiki.save(scaler, tmp_path / "scaler")
    again = saiki.load(tmp_path / "scratch")
    np.testing.assert_array_equal(again.predict_proba(X), scratch.predict_proba(X))
    assert again.validation_loss_curve_ == scratch.validation_loss_curve_
    np.testing.assert_array_equal(saiki.load(tmp_path / "scaler").transform(X), scaler.transform(X))
    for file, path, value in (
        ("scratch", "learnt.rnn_params_.Wh", np.zeros((3, 4))),
        ("scratch", "learnt.classes_", np.arange(2)),
        ("scaler", "learnt.scale_", np.zeros(2)),
        ("scaler", "learnt.n_features_in_", 3),
    ):
        tensors.write(tmp_path / "forged", _changed(tensors.read(tmp_path / file), path, value))
        with pytest.raises(saiki.FileError, match="no sound estimator"):
            saiki.load(tmp_path / "forged")


def test_every_estimator_is_kept() -> None:
    assert keeping.KINDS == ESTIMATORS
    assert keeping.SOUND.keys() == set(ESTIMATORS.values())


def test_what_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(saiki.ArgumentError, match="estimator must be one of RNNClassifier"):
        saiki.save("model", tmp_path / "model")
    with pytest.raises(NotFittedError):
        saiki.save(classifier(), tmp_path / "model")
    model = classifier().fit(np.ones((4, 2)), [0, 1, 0, 1])
    for changes in ({"hidden_layer_sizes": 5}, {"solver": "sgd"}):
        with pytest.raises(saiki.ArgumentError, match="changed since it was fitted"):
            saiki.save(classifier().fit(np.ones((4, 2)), [0, 1, 0, 1]).set_params(**changes), tmp_path / "model")
    saiki.save(model.set_params(max_iter=9, learning_rate="constant"), tmp_path / "model")
    with pytest.raises(FileNotFoundError):
        saiki.save(classifier().fit(np.ones((4, 2)), [0, 1, 0, 1]), tmp_path / "nowhere" / "model")


def _changed(tree: Any, path: str, value: Any) -> Any:
    *way, last = path.split(".")
    at = tree
    for key in way:
        at = at[key]
    at[last] = value
    return tree


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("kind", "os.system"),
        ("kind", ["RNNClassifier"]),
        ("parameters", {}),
        ("parameters.hidden_layer_sizes", 10**9),
        ("parameters.hidden_layer_sizes", (10**12, 10**12)),
        ("parameters.hidden_layer_sizes", 10**400),
        ("parameters.hidden_layer_sizes", (1,) * 100_000),
        ("parameters.hidden_layer_sizes", "6" * 10**6),
        ("parameters.conv", (10**9, 10**9)),
        ("parameters.conv", (10**300, 3, 10**300)),
        ("parameters.cell", "gru" * 10**6),
        ("parameters.cell", ["gru" * 10**6]),
        ("parameters.learning_rate_init", 10**400),
        ("parameters.solver_options", {"beta2": 10**400}),
        ("parameters.solver_options", {"x" * 10**6: 1}),
        ("parameters.alpha", "0"),
        ("own", {"solver": 3}),
        ("own", {"x" * 10**6: "x"}),
        ("own", ["cell"]),
        ("learnt._epoch.params", {"0/Wx": np.zeros((0, 10**9))}),
        ("learnt._epoch.earlier", ((1.0,) * 10**4, ("x",))),
        ("learnt._epoch.earlier", None),
        ("learnt._epoch.losses", (1.0,) * 10**4),
        ("learnt._epoch.seed", "seed"),
        ("learnt._epoch.waited", -1),
        ("learnt._epoch.done", 0),
        ("learnt._epoch.best", {}),
        ("learnt._epoch.count", 10**400),
        ("learnt._epoch.random_state", {"bit_generator": "PCG64", "state": {"state": 10**400, "inc": -1}}),
        ("learnt._epoch.random_state", {"bit_generator": "MT19937", "state": {"key": np.zeros(3), "pos": 10**9}}),
        ("learnt._epoch.optimizer_state", ((((),),),)),
        ("learnt._scaling.more", np.zeros(10**6)),
        ("learnt.feature_names_in_", np.zeros(10**6)),
        ("learnt.classes_", np.array(["x" * 10**6, "y"])),
        ("parameters.cell", "simple"),
        ("parameters.output", 3),
        ("parameters.max_iter", None),
        ("own", {"cell": "x"}),
        ("own", None),
        ("learnt", {}),
        ("learnt.predict", "me"),
        ("learnt._epoch", None),
        ("learnt._epoch.params", {}),
        ("learnt._epoch.losses", ()),
        ("learnt._epoch.losses", "low"),
        ("learnt._epoch.losses", (float("1e308"), 2)),
        ("learnt._epoch.count", "many"),
        ("learnt._epoch.random_state", {}),
        ("learnt._epoch.optimizer_state", None),
        ("learnt._epoch.optimizer_state", ()),
        ("learnt._scaling", None),
        ("learnt._scaling.mean", np.zeros(2)),
        ("learnt._scaling.scale", np.zeros(1)),
        ("learnt._scaling.scale", np.full(1, np.nan)),
        ("learnt.n_outputs_", 10**12),
        ("learnt.classes_", np.arange(3)),
        ("learnt._flat_", "yes"),
        ("learnt.n_features_in_", None),
    ],
    ids=named,
)
def test_forged_files(path: str, value: Any, tmp_path: Path, rng: np.random.Generator) -> None:
    file = tmp_path / "model"
    saiki.save(classifier().fit(rng.standard_normal((10, 3)), np.arange(10) % 2), file)
    tensors.write(file, _changed(tensors.read(file), path, value))
    began = time.perf_counter()
    tracemalloc.start()
    try:
        with pytest.raises((saiki.FileError, saiki.ArgumentError), match="model") as caught:
            saiki.load(file)
        assert tracemalloc.get_traced_memory()[1] < 200e6
    finally:
        tracemalloc.stop()
    assert len(str(caught.value)) < 1500
    assert time.perf_counter() - began < 10  # 2 s on an idle machine, of which tracing takes most


HOSTILE: dict[str, Callable[[], bytes]] = {
    "many lists": lambda: _file("[" + "[]," * (MOST_CONTAINERS + 1) + "[]]"),
    "many lists in disguise": lambda: _file(
        json.dumps("[" + "[]," * (MOST_CONTAINERS + 1) + "[]]")[1:-1], escaped=True
    ),
    "deep lists": lambda: _file("[" * 60_000 + "]" * 60_000),
    "many numbers": lambda: _file("[" + "1," * (MOST_VALUES + 1) + "1]"),
    "a long number": lambda: _file("9" * 10**7),
    "a long text": lambda: _file(json.dumps("x" * 10**7)),
    "keys of one hash": lambda: _file(
        '{"pairs": [' + ",".join(f'{{"tuple": [{k * (2**61 - 1)}, 0]}}' for k in range(1, 16_000)) + "]}"
    ),
    "wide texts": lambda: _file(json.dumps({"texts": ["x" * 10**6, *"y" * 10**5], "dtype": "U"})),
    "one name twice": lambda: _file('{"a": 1, "a": 2}'),
    "one tensor twice": lambda: _raw(b'{"W":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},' * 2 + b'"x":{}}'),
    "a huge tensor": lambda: _raw(b'{"W":{"dtype":"F64","shape":[1000000000000],"data_offsets":[0,8000000000000]}}'),
    "a shape that overflows": lambda: _raw(
        b'{"W":{"dtype":"F64","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,0]}}'
    ),
    "a negative shape": lambda: _raw(b'{"W":{"dtype":"F64","shape":[-1],"data_offsets":[0,-8]}}'),
    "many tensors": lambda: _raw(
        b"{" + b",".join(b'"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}' % k for k in range(200_000)) + b"}"
    ),
    "a huge header": lambda: (10**9).to_bytes(8, "little") + b"{}",
    "no metadata": lambda: _raw(b'{"__metadata__":[]}'),
    "no text": lambda: _raw(b'{"__metadata__":{"saiki":"%s"}}' % (b"\\ud800" * 1000)),
    "not UTF-8": lambda: _raw(b'{"\xff":{}}'),
}


def _raw(header: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header


def _file(content: str, escaped: bool = False) -> bytes:
    """Return a file with a content that may be anything, under its right digest where JSON can be read at all."""
    try:
        digest = hashlib.sha256(json.dumps(json.loads(content)).encode()).hexdigest()
    except (RecursionError, ValueError):
        digest = ""
    text = f'{{"format": 1, "sha256": "{digest}", "content": {content}}}'
    inner = json.dumps(text)
    if escaped:
        inner = inner.replace("[", "\\u005b").replace(",", "\\u002c")
    return _raw(f'{{"__metadata__": {{"saiki": {inner}}}}}'.encode())


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(name: str, tmp_path: Path) -> None:
    file = tmp_path / "model"
    file.write_bytes(HOSTILE[name]())
    began = time.perf_counter()
    tracemalloc.start()
    try:
        for read in (saiki.load, tensors.read):
            with pytest.raises(saiki.FileError, match="model") as caught:
                read(file) if read is saiki.load else _refuse(tensors.read(file), file)
            assert len(str(caught.value)) < 1000
        assert tracemalloc.get_traced_memory()[1] < 200e6
    finally:
        tracemalloc.stop()
    assert time.perf_counter() - began < 10


def _refuse(tree: Any, file: Path) -> None:
    """A tree that is harmless may be read; it is ``load`` that refuses it."""
    assert len(str(type(tree))) < 100
    raise saiki.FileError(str(file))


def test_holes_folders_and_pipes(tmp_path: Path, rng: np.random.Generator) -> None:
    file = tmp_path / "model"
    saiki.save(classifier().fit(rng.standard_normal((10, 3)), np.arange(10) % 2), file)
    began = time.perf_counter()
    for size in (10**10, file.stat().st_size - 1):
        os.truncate(file, size)
        with pytest.raises(saiki.FileError, match="tensors are not as large"):
            saiki.load(file)
    file.write_bytes(b"")
    os.truncate(file, 10**10)
    with pytest.raises(saiki.FileError, match="header cannot have 0 bytes"):
        saiki.load(file)
    file.write_bytes(_raw(b'{"W":{"dtype":"U8","shape":[10000000000],"data_offsets":[0,10000000000]}}'))
    os.truncate(file, file.stat().st_size + 10**10)
    with pytest.raises(saiki.FileError, match="none that saiki wrote"):
        saiki.load(file)
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo", "/dev/zero", b"/dev/null"):
        with pytest.raises(saiki.FileError, match="a folder or a device"):
            saiki.load(path)  # type: ignore[arg-type]
    for wrong in (None, 3, "", "a/", "a\0b", [file]):
        with pytest.raises(saiki.ArgumentError, match="path must be the path of a file"):
            saiki.load(wrong)  # type: ignore[arg-type]
        with pytest.raises(saiki.ArgumentError, match="path must be the path of a file"):
            saiki.save(classifier(), wrong)  # type: ignore[arg-type]
    assert time.perf_counter() - began < 5


def test_a_network_of_another_size_is_not_read(tmp_path: Path, rng: np.random.Generator) -> None:
    file = tmp_path / "model"
    saiki.save(classifier().fit(rng.standard_normal((10, 3)), np.arange(10) % 2), file)
    tree = tensors.read(file)
    tree["learnt"]["classes_"] = np.zeros(10**7)
    tensors.write(file, tree)
    tracemalloc.start()
    with pytest.raises(saiki.FileError, match="holds much more than its network needs"):
        saiki.load(file)
    assert tracemalloc.get_traced_memory()[1] < 10e6  # the tensors are not read at all
    tracemalloc.stop()


@pytest.mark.parametrize("own", [False, True])
def test_a_parameter_that_holds_itself(own: bool, tmp_path: Path, rng: np.random.Generator) -> None:
    X = rng.standard_normal((10, 3))
    model = classifier().fit(X, np.arange(10) % 2)
    model.class_weight = {0: 1.0}
    if own:
        model.class_weight[1] = model.class_weight
    saiki.save(model, tmp_path / "model")
    np.testing.assert_array_equal(saiki.load(tmp_path / "model").predict(X), model.predict(X))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("params", {}),
        ("params", {"0/Wx": np.zeros((10**6, 1))}),
        ("optimizer_state", None),
        ("random_state", {"state": 10**400}),
        ("seed", ("a",)),
        ("losses", ("a",) * 2),
        ("losses", ()),
        ("count", "many"),
        ("count", 10**9),
        ("earlier", None),
        ("best", 3),
        ("done", None),
    ],
    ids=named,
)
def test_hostile_checkpoints(field: str, value: Any, tmp_path: Path, rng: np.random.Generator) -> None:
    X, y, file = rng.standard_normal((10, 3)), np.arange(10) % 2, tmp_path / "run"
    before = classifier().fit(X, y, checkpoint=file)
    tree = tensors.read(file)
    tree["epoch"] |= {"done": False, field: value}
    tensors.write(file, tree)
    files.previous_of(file).unlink(missing_ok=True)
    model = classifier().fit(X, y)
    with pytest.raises(saiki.FileError, match="run"):
        model.fit(X, y, checkpoint=file)
    np.testing.assert_array_equal(model.predict_proba(X), before.predict_proba(X))
    tensors.write(file, {"run": 3, "epoch": tree["epoch"]})
    with pytest.raises(saiki.FileError, match="is no checkpoint"):
        model.fit(X, y, checkpoint=file)
    for wrong in (tmp_path, 3, "", b"a/"):
        with pytest.raises(saiki.ArgumentError, match="checkpoint must be the path of a file"):
            model.fit(X, y, checkpoint=wrong)


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_numbers_that_are_none(number: float, tmp_path: Path, rng: np.random.Generator) -> None:
    file = tmp_path / "model"
    saiki.save(classifier().fit(rng.standard_normal((10, 3)), np.arange(10) % 2), file)
    tree = tensors.read(file)
    tree["learnt"]["_epoch"]["params"]["0/Wh"] = np.full((6, 18), number)
    tensors.write(file, tree)
    with pytest.raises(saiki.FileError, match="finite"):
        saiki.load(file)


def test_damage_is_one_clear_error(tmp_path: Path, rng: np.random.Generator) -> None:
    file = tmp_path / "model"
    saiki.save(classifier().fit(rng.standard_normal((10, 3)), np.arange(10) % 2), file)
    data = file.read_bytes()
    for length in rng.integers(0, len(data), size=100):
        file.write_bytes(data[:length])
        with pytest.raises(saiki.FileError):
            saiki.load(file)
    for byte in rng.integers(0, len(data), size=300):
        flipped = bytearray(data)
        flipped[byte] ^= 1 << int(rng.integers(8))
        file.write_bytes(flipped)
        try:
            saiki.load(file)  # harmless, such as another blank in the header
        except saiki.FileError:
            continue
        assert byte < 8 + int.from_bytes(data[:8], "little")
