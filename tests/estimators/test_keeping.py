"""What is saved is what is loaded, and what was not saved by saiki is not loaded."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import saiki
from saiki import tensors
from saiki.estimators import keeping
from tests.estimators.data import ESTIMATORS, classifier, named, ragged, regressor

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


def test_parameters_of_ones_own_are_asked_for(tmp_path: Path, rng: np.random.Generator) -> None:
    own = saiki.cells.CELLS["simple"].with_activation("relu")
    X = rng.standard_normal((10, 3))
    model = classifier(cell=own, learning_rate=saiki.optimizers.constant(0.01)).fit(X, np.arange(10) % 2)
    saiki.save(model, tmp_path / "model")
    with pytest.raises(saiki.ArgumentError, match=r"must be given again .*cell=Cell\(name='simple'.*learning_rate="):
        saiki.load(tmp_path / "model")
    other = saiki.load(tmp_path / "model", cell=own, learning_rate=saiki.optimizers.constant(0.01))
    np.testing.assert_array_equal(other.predict_proba(X), model.predict_proba(X))
    with pytest.raises(saiki.FileError, match="no sound estimator"):
        saiki.load(tmp_path / "model", cell="lstm", learning_rate="cosine")
    with pytest.raises(saiki.ArgumentError, match="dropout"):
        saiki.load(tmp_path / "model", cell=own, learning_rate="cosine", dropout=0.1)


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
    with pytest.raises((saiki.FileError, saiki.ArgumentError), match="model"):
        saiki.load(file)


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
