"""The minimal GRU, whose gates do not see the past: Feng et al. (2024), "Were RNNs all we needed?", section 3.1.

Equations, for one step of B sequences with F features and H units::

    z = sigmoid(x @ Wx_z + b_z)
    n = x @ Wx_n + b_n
    h = (1 - z) * h_prev + z * n

Shapes: ``x (B, F)``, ``Wx_z (F, H)``, ``b_z (H,)``, every gate and ``h (B, H)``. The columns of ``Wx`` and ``b`` are in
the order z, n; there is no ``Wh``.
"""

from saiki.maths import Number, dsigmoid, one_minus, sigmoid


def forward(x_z: Number, x_n: Number, h_prev: Number) -> tuple[Number, ...]:
    """Return the new state h, then the gate."""
    z = sigmoid(x_z)
    h = one_minus(z) * h_prev + z * x_n
    return h, z


def backward(dh: Number, z: Number, x_n: Number, h_prev: Number) -> tuple[Number, ...]:
    """Return the gradients of the gate, of the candidate and of the previous h."""
    dx_z = dh * (x_n - h_prev) * dsigmoid(z)  # h = (1 - z) * h_prev + z * x_n
    dx_n = dh * z
    dh_prev = dh * one_minus(z)
    return dx_z, dx_n, dh_prev
