"""The LSTM whose gates see the memory: Gers, Schraudolph and Schmidhuber (2002), JMLR 3; as written by
Graves (2013), "Generating sequences with recurrent neural networks", equations 7 to 11.

Equations, for one step of B sequences with F features and H units::

    i = sigmoid(x @ Wx_i + h_prev @ Wh_i + b_i + p_i * c_prev)
    f = sigmoid(x @ Wx_f + h_prev @ Wh_f + b_f + p_f * c_prev)
    g = tanh(x @ Wx_g + h_prev @ Wh_g + b_g)
    c = f * c_prev + i * g
    o = sigmoid(x @ Wx_o + h_prev @ Wh_o + b_o + p_o * c)
    h = o * tanh(c)

Shapes: as in the LSTM; the peepholes ``p_i``, ``p_f``, ``p_o`` are ``(H,)``, one weight for each unit. The columns of
``Wx``, ``Wh`` and ``b`` are in the order i, f, g, o.
"""

from saiki.maths import Number, dsigmoid, dtanh, sigmoid, tanh


def forward(
    a_i: Number,
    a_f: Number,
    a_g: Number,
    a_o: Number,
    p_i: Number,
    p_f: Number,
    p_o: Number,
    c_prev: Number,
) -> tuple[Number, ...]:
    """Return the new states h and c, then the gates."""
    i = sigmoid(a_i + p_i * c_prev)
    f = sigmoid(a_f + p_f * c_prev)
    g = tanh(a_g)
    c = f * c_prev + i * g
    o = sigmoid(a_o + p_o * c)
    h = o * tanh(c)
    return h, c, i, f, g, o


def backward(
    dh: Number,
    dc: Number,
    i: Number,
    f: Number,
    g: Number,
    o: Number,
    c: Number,
    c_prev: Number,
    p_i: Number,
    p_f: Number,
    p_o: Number,
) -> tuple[Number, ...]:
    """Return the gradients of the gates, of the peepholes and of the previous c."""
    s = tanh(c)
    da_o = dh * s * dsigmoid(o)  # h = o * tanh(c)
    dp_o = da_o * c  # o = sigmoid(a_o + p_o * c)
    dc = dc + dh * o * dtanh(s) + da_o * p_o
    da_i = dc * g * dsigmoid(i)  # c = f * c_prev + i * g
    da_f = dc * c_prev * dsigmoid(f)
    da_g = dc * i * dtanh(g)
    dp_i = da_i * c_prev  # i = sigmoid(a_i + p_i * c_prev)
    dp_f = da_f * c_prev  # f = sigmoid(a_f + p_f * c_prev)
    dc_prev = dc * f + da_i * p_i + da_f * p_f
    return da_i, da_f, da_g, da_o, dp_i, dp_f, dp_o, dc_prev
