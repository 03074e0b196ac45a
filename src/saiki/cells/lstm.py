"""The long short-term memory: Hochreiter and Schmidhuber (1997), Neural Computation 9, with the forget gate of Gers,
Schmidhuber and Cummins (2000), Neural Computation 12, section 3, and no peepholes.

Equations, for one step of B sequences with F features and H units::

    i = sigmoid(x @ Wx_i + h_prev @ Wh_i + b_i)
    f = sigmoid(x @ Wx_f + h_prev @ Wh_f + b_f)
    g = tanh(x @ Wx_g + h_prev @ Wh_g + b_g)
    o = sigmoid(x @ Wx_o + h_prev @ Wh_o + b_o)
    c = f * c_prev + i * g
    h = o * tanh(c)

Shapes: ``x (B, F)``, ``Wx_i (F, H)``, ``Wh_i (H, H)``, ``b_i (H,)``, every gate and state ``(B, H)``. The columns of
``Wx``, ``Wh`` and ``b`` are in the order i, f, g, o.
"""

from saiki.maths import Number, dsigmoid, dtanh, sigmoid, tanh


def forward(a_i: Number, a_f: Number, a_g: Number, a_o: Number, c_prev: Number) -> tuple[Number, ...]:
    """Return the new states h and c, then the gates."""
    i = sigmoid(a_i)
    f = sigmoid(a_f)
    g = tanh(a_g)
    o = sigmoid(a_o)
    c = f * c_prev + i * g
    h = o * tanh(c)
    return h, c, i, f, g, o


def backward(
    dh: Number, dc: Number, i: Number, f: Number, g: Number, o: Number, c: Number, c_prev: Number
) -> tuple[Number, ...]:
    """Return the gradients of the gates and of the previous c."""
    s = tanh(c)
    da_o = dh * s * dsigmoid(o)  # h = o * tanh(c)
    dc = dc + dh * o * dtanh(s)  # h = o * tanh(c)
    da_i = dc * g * dsigmoid(i)  # c = f * c_prev + i * g
    da_f = dc * c_prev * dsigmoid(f)
    da_g = dc * i * dtanh(g)
    dc_prev = dc * f
    return da_i, da_f, da_g, da_o, dc_prev
