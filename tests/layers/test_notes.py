"""The small experiment of the second course note, with the numbers that are right."""

import numpy as np
import pytest

import saiki

# Sixteen figures are given; float64 products of three steps round to a few 1e-16.
EXACT = 1e-12

X = np.array([[[1, 2], [2, 3], [3, 4]]]) / 100
PARAMS = {
    "Wx": np.array([[1, 3, 5, 7], [3, 5, 7, 8]]) / 100,
    "Wh": np.array([[1, 3, 5, 7], [2, 4, 6, 8], [3, 5, 7, 8], [4, 6, 8, 10]]) / 100,
    "b": np.ones(4),
}
H = np.array(
    [
        [0.7618879813039355, 0.7621395822810539, 0.7623909532572992, 0.7625584061962826],
        [0.7922090043313164, 0.8141833978422628, 0.8340491248636697, 0.8497771904595501],
        [0.7949422790422093, 0.8183900239382846, 0.8393964886275626, 0.8558417381114936],
    ]
)
DH = np.array(
    [
        [-0.02149633, 0.00632246, 0.01809524, -0.01156441],
        [-0.09329432, 0.02335331, -0.00404074, -0.02144627],
        [-0.21688441, -0.01943171, 0.02462611, -0.01815572],
    ]
)
DWX = np.array(
    [
        [-3.1901055142549324e-03, -2.5289044662474455e-05, 2.4782698482633743e-04, -3.4028388344213003e-04],
        [-4.4326181465129313e-03, 5.1242062395279585e-06, 3.7035302279581756e-04, -5.1415195695379541e-04],
    ]
)
DB = np.array([-0.12425126322579984, 0.003041325090200246, 0.012252603796948012, -0.017386807351166537])
DX = np.array(
    [
        [-6.9671411646804471e-05, -1.2825765640620234e-04],
        [-7.1898988135955582e-04, -1.3854426410705809e-03],
        [-9.6705791127988793e-04, -2.5950336670941617e-03],
    ]
)
DH0 = np.array([-6.9671411646804471e-05, -1.2697711124284251e-04, -1.2825765640620234e-04, -2.4158851043491855e-04])
DWH_FIRST, DWH_LAST = -8.9985274090112366e-02, -9.4098577042608326e-03


def test_forward_and_backward_give_the_right_numbers() -> None:
    layer = saiki.SimpleRNN(n_features=2, n_units=4)
    outputs, state, tape = layer.forward(PARAMS, X)
    grads = layer.backward(PARAMS, tape, DH[None])

    np.testing.assert_allclose(outputs, H[None], rtol=EXACT)
    np.testing.assert_allclose(state, H[2:], rtol=EXACT)
    np.testing.assert_allclose(grads.params["Wx"], DWX, rtol=EXACT)
    np.testing.assert_allclose(grads.params["b"], DB, rtol=EXACT)
    np.testing.assert_allclose(grads.X, DX[None], rtol=EXACT)
    np.testing.assert_allclose(grads.state, DH0[None], rtol=EXACT)
    assert grads.params["Wh"][0, 0] == pytest.approx(DWH_FIRST, rel=EXACT)
    assert grads.params["Wh"][3, 3] == pytest.approx(DWH_LAST, rel=EXACT)


def test_two_copies_of_the_sequence_double_the_gradients() -> None:
    layer = saiki.SimpleRNN(n_features=2, n_units=4)
    outputs, _, tape = layer.forward(PARAMS, np.repeat(X, 2, axis=0))
    grads = layer.backward(PARAMS, tape, np.repeat(DH[None], 2, axis=0))

    np.testing.assert_allclose(outputs, np.stack([H, H]), rtol=EXACT)
    np.testing.assert_allclose(grads["Wx"], 2 * DWX, rtol=EXACT)
    np.testing.assert_allclose(grads["b"], 2 * DB, rtol=EXACT)


def test_backward_changes_nothing() -> None:
    layer = saiki.SimpleRNN(n_features=2, n_units=4)
    before = {name: value.copy() for name, value in PARAMS.items()}
    _, _, tape = layer.forward(PARAMS, X)
    first = layer.backward(PARAMS, tape, DH[None])
    second = layer.backward(PARAMS, tape, DH[None])

    for name in PARAMS:
        np.testing.assert_array_equal(first[name], second[name])
        np.testing.assert_array_equal(PARAMS[name], before[name])
