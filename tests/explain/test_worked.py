"""A trace as text and as data frames."""

import re

import numpy as np
import pytest

import saiki
from saiki.layers import Bidirectional, Dense, Network, Readout, Recurrent
from tests.estimators.data import QUICK
from tests.explain.models import LENGTHS, drawn
from tests.layers.test_ladder import EXAMPLES, draw


def numbers(text: str, name: str) -> list[list[float]]:
    """Return the numbers that follow a name, of every line that has it."""
    found = re.findall(rf"(?:^| ){re.escape(name)} +((?:-?[\d.][\d.e+-]*(?: +|$))+)", text, re.MULTILINE)
    return [[float(number) for number in line.split()] for line in found]


def test_the_text_is_a_worked_example(rng: np.random.Generator) -> None:
    net = Network([Recurrent("simple", 2, 3), Dense(3, 1)])
    params, X, y = drawn(net, rng), rng.standard_normal((2, 4, 2)), rng.standard_normal((2, 4))
    seen = saiki.trace(net, X, y, params)
    assert str(seen) == seen.text(0)
    text = seen.text(1)
    assert f"E = {seen.loss:.6g}, squared error" in text
    layer = seen.layers[0]
    above, forward, back, of_steps, lags = re.split(r"\n(?:forward|backward|gradients|lags).*\n", text)
    for name, values in {"x": X, "a": layer.a, "v": seen.v}.items():
        np.testing.assert_allclose(numbers(forward, name), values[1], rtol=1e-3)
    np.testing.assert_allclose(numbers(forward, "h"), [np.zeros(3), *layer.h[1]], rtol=1e-3)
    np.testing.assert_allclose([float(n) for n in re.findall(r"target (\S+)", forward)], y[1], rtol=1e-3)
    assert re.findall(r"t = (\d) ", back) == ["4", "3", "2", "1"]
    for name, quantity in {"da": "da", "dh, outputs": "dh_out", "dh, time": "dh_time"}.items():
        np.testing.assert_allclose(numbers(back, name), layer[quantity][1, ::-1], rtol=1e-3)
    for name, share in seen.shares.items():
        norms = [*np.linalg.norm(share.reshape(4, -1), axis=1), np.linalg.norm(seen.gradients[name])]
        np.testing.assert_allclose(numbers(of_steps, name), [norms], rtol=1e-2)
    for s in range(4):
        (row,) = numbers(lags.split("mean")[0], str(s + 1))[-1:]
        np.testing.assert_allclose(row, seen.lag_matrix[s, : s + 1], rtol=1e-2)
    beside = [line.split("|") for line in above.splitlines() if "|" in line]
    rows = np.concatenate([seen.gradients[name].reshape(-1, params[name].shape[-1])[:, :1] for name in params])
    np.testing.assert_allclose([float(right.split()[0]) for _, right in beside], rows[:, 0], rtol=1e-3)
    assert len(text.splitlines()) < 90  # a page


def test_names_and_numbers_never_touch(rng: np.random.Generator) -> None:
    net = Network([Bidirectional(Recurrent("gru", 2, 2)), Recurrent("lstm", 4, 2), Dense(2, 1)])
    X, y = rng.standard_normal((1, 1001, 2)) * 30, rng.standard_normal((1, 1001))
    text = saiki.trace(net, X, y, drawn(net, rng), steps=[0, 1000], quantities=["a", "inputs", "delta"]).text()
    assert "t = 1001  0/forward x" in text
    for name in ("0/backward dh, time", "1 dc, time", "1 a_i"):
        assert re.search(rf"{name} +-?\d", text), name
    assert "of all" not in text
    both = saiki.trace(net, np.repeat(X, 2, axis=0), np.repeat(y, 2, axis=0), drawn(net, rng), steps=[0]).text()
    assert "gradients of all 2 sequences" in both
    assert "over all 2 sequences" in both


def test_the_text_says_what_classes_and_estimators_are_held_to(rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((12, 5, 2)), np.array(["down", "up", "level"] * 4)
    text = str(saiki.trace(saiki.RNNClassifier(**QUICK).fit(X, y), X, y))
    assert "as the network of the RNNClassifier has them" in text
    ((*shares,),) = numbers(text, "p")
    assert sum(shares) == pytest.approx(1, abs=1e-3)
    assert "p = softmax(y)" in text
    assert "delta_out = (p, less 1 at the class of the target) / 12" in text


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_model_can_be_read(name: str, rng: np.random.Generator) -> None:
    model = EXAMPLES[name]
    params, X = draw(model, rng, 4, 7)
    Y, _ = model.predict(params, X, engine="reference")
    text = saiki.trace(model, X, rng.standard_normal(Y.shape), params).text(3, units=2)
    assert "E = " in text
    assert "nan" not in text


def test_long_and_wide_traces_are_cut(rng: np.random.Generator) -> None:
    net = Network([Recurrent("simple", 2, 30), Dense(30, 1)])
    X, y = rng.standard_normal((1, 300, 2)), rng.standard_normal((1, 300))
    text = str(saiki.trace(net, X, y, net.init(rng), quantities=["states", "shares"]))
    assert "..." in text.splitlines()
    assert "25 more" in text
    assert len(text.splitlines()) < 150


def test_frames_are_tidy(rng: np.random.Generator) -> None:
    import pandas as pd
    import polars as pl

    net = Network([Recurrent("gru", 2, 3), Dense(3, 1)])
    params, X, y = drawn(net, rng), rng.standard_normal((4, 7, 2)), rng.standard_normal((4, 7))
    seen = saiki.trace(net, X, y, params, lengths=LENGTHS)
    frame = seen.to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == ["layer", "quantity", "sequence", "t", "unit", "value"]
    row = frame[(frame.quantity == "dx_n") & (frame.sequence == 1) & (frame.t == 5) & (frame.unit == 2)]
    assert row.value.tolist() == [seen.layers[0]["dx_n"][1, 4, 2]]
    assert (frame[frame.quantity == "h"].groupby("sequence").t.max()).to_dict() == {0: 3, 1: 7, 3: 1}
    assert frame[frame.quantity == "loss"].value.sum() == pytest.approx(seen.loss)
    shares = seen.to_frame("shares", backend="polars")
    assert isinstance(shares, pl.DataFrame)
    total = shares.filter(parameter="0/Wh", row=1, column=8)["value"].sum()
    assert total == pytest.approx(seen.gradients["0/Wh"][1, 8])
    third = shares.filter(parameter="0/Wh", row=1, column=8, t=3)["value"].to_list()
    assert third == [seen.shares["0/Wh"][2, 1, 8]]
    lags = seen.to_frame("lags", backend="pyarrow").to_pandas()
    assert lags[(lags.loss_t == 6) & (lags.t == 2)].norm.tolist() == [seen.lag_matrix[5, 1]]
    read = Network([Recurrent("gru", 2, 3), Readout("last"), Dense(3, 1)])
    params = drawn(read, rng)
    last = saiki.trace(read, X, y[:, 0], params, steps=[1, 5])
    outputs, parts = last.to_frame(), last.to_frame("shares")
    assert set(outputs[outputs.layer == "output"].t) == set(parts[parts.parameter == "2/W"].t) == {7}
    assert set(parts[parts.parameter == "0/Wh"].t) == set(outputs[outputs.quantity == "h"].t) == {2, 6}
    few = saiki.trace(read, X, y[:, 0], params, quantities=["states"])
    for table in ("shares", "lags"):
        with pytest.raises(saiki.ArgumentError, match=f"what: this trace has kept no {table}"):
            few.to_frame(table)
    with pytest.raises(saiki.ArgumentError, match="what must be one of 'quantities', 'shares', 'lags'; got 'lag'"):
        seen.to_frame("lag")
    with pytest.raises(saiki.ArgumentError, match="backend must be one of 'pandas'"):
        seen.to_frame(backend="excel")
