"""The gated recurrent unit whose reset gate acts after the product, as cuDNN, PyTorch and Keras have it: Cho et al.
(2014), equations 5 to 8, but with the reset gate on the candidate's recurrent part: one product serves all gates.

Equations, for one step of B sequences with F features and H units::

    r = sigmoid(x @ Wx_r + h_prev @ Wh_r + b_r)
    z = sigmoid(x @ Wx_z + h_prev @ Wh_z + b_z)
    n = tanh(x @ Wx_n + b_n + r * (h_prev @ Wh_n + bh_n))
    h = (1 - z) * n + z * h_prev

Shapes: ``x (B, F)``, ``Wx_r (F, H)``, ``Wh_r (H, H)``, ``b_r (H,)``, every gate and ``h (B, H)``. The columns of
``Wx``, ``Wh`` and ``b`` are in the order r, z, n; ``bh (H,)`` is the bias of the candidate's recurrent part.
"""

from saiki.maths import Number, dsigmoid, dtanh, one_minus, sigmoid, tanh


def forward(a_r: Number, a_z: Number, x_n: Number, h_n: Number, h_prev: Number) -> tuple[Number, ...]:
    """Return the new state h, then the gates."""
    r = sigmoid(a_r)
    z = sigmoid(a_z)
    n = tanh(x_n + r * h_n)
    h = one_minus(z) * n + z * h_prev
    return h, r, z, n


def backward(dh: Number, r: Number, z: Number, n: Number, h_n: Number, h_prev: Number) -> tuple[Number, ...]:
    """Return the gradients of the gates, of both parts of the candidate, and of the previous h."""
    dx_n = dh * one_minus(z) * dtanh(n)  # h = (1 - z) * n + z * h_prev
    da_z = dh * (h_prev - n) * dsigmoid(z)
    dh_prev = dh * z
    dh_n = dx_n * r  # n = tanh(x_n + r * h_n)
    da_r = dx_n * h_n * dsigmoid(r)
    return da_r, da_z, dx_n, dh_n, dh_prev
