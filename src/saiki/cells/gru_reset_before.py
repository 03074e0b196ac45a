"""The gated recurrent unit as first published, whose reset gate acts before the product: Cho et al. (2014), "Learning
phrase representations using RNN encoder-decoder", equations 5 to 8.

Equations, for one step of B sequences with F features and H units::

    r = sigmoid(x @ Wx_r + h_prev @ Wh_r + b_r)
    z = sigmoid(x @ Wx_z + h_prev @ Wh_z + b_z)
    n = tanh(x @ Wx_n + (r * h_prev) @ Wh_n + b_n)
    h = (1 - z) * n + z * h_prev

Shapes: ``x (B, F)``, ``Wx_r (F, H)``, ``Wh_r (H, H)``, ``b_r (H,)``, every gate and ``h (B, H)``. The columns of
``Wx``, ``Wh`` and ``b`` are in the order r, z, n. The candidate n sees what ``look`` makes of the previous state.
"""

from saiki.maths import Number, dsigmoid, dtanh, one_minus, sigmoid, tanh


def look(a_r: Number, a_z: Number, h_prev: Number) -> tuple[Number, ...]:
    """Return the previous state as the candidate sees it, then the gates."""
    r = sigmoid(a_r)
    z = sigmoid(a_z)
    v = r * h_prev
    return v, r, z


def look_backward(dv: Number, dz: Number, r: Number, z: Number, h_prev: Number) -> tuple[Number, ...]:
    """Return the gradients of the gates and of the previous h."""
    da_r = dv * h_prev * dsigmoid(r)  # v = r * h_prev
    dh_prev = dv * r
    da_z = dz * dsigmoid(z)  # z = sigmoid(a_z)
    return da_r, da_z, dh_prev


def forward(z: Number, a_n: Number, h_prev: Number) -> tuple[Number, ...]:
    """Return the new state h, then the candidate."""
    n = tanh(a_n)
    h = one_minus(z) * n + z * h_prev
    return h, n


def backward(dh: Number, z: Number, n: Number, h_prev: Number) -> tuple[Number, ...]:
    """Return the gradients of the update gate, of the candidate and of the previous h."""
    dz = dh * (h_prev - n)  # h = (1 - z) * n + z * h_prev
    da_n = dh * one_minus(z) * dtanh(n)
    dh_prev = dh * z
    return dz, da_n, dh_prev
