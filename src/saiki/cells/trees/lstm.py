"""The binary Tree-LSTM: Tai, Socher and Manning (2015), "Improved semantic representations from tree-structured long
short-term memory networks", ACL, section 3.2, equations 9 to 14 with N = 2.

Equations, for one level of B nodes with F features and H units, ``pair`` being ``[h_left, h_right]``::

    i = sigmoid(x @ Wx_i + pair @ Wh_i + b_i)
    l = sigmoid(x @ Wx_l + pair @ Wh_l + b_l)
    r = sigmoid(x @ Wx_r + pair @ Wh_r + b_r)
    g = tanh(x @ Wx_g + pair @ Wh_g + b_g)
    o = sigmoid(x @ Wx_o + pair @ Wh_o + b_o)
    c = i * g + l * c_left + r * c_right
    h = o * tanh(c)

Shapes: ``x (B, F)``, zero where a node has no input, ``Wx_i (F, H)``, ``pair (B, 2 * H)`` and ``c_left (B, H)``, zero
where there is no child, ``Wh_i (2 * H, H)``, ``b_i (H,)``, every gate and state ``(B, H)``. The columns of ``Wx``,
``Wh`` and ``b`` are in the order i, l, r, g, o.

Conventions: l and r are the forget gates of the left and the right child, g is the paper's u. Each forget gate has an
input weight and a bias of its own; in the paper both share one.
"""

from saiki.maths import Number, dsigmoid, dtanh, sigmoid, tanh


def forward(
    a_i: Number, a_l: Number, a_r: Number, a_g: Number, a_o: Number, c_left: Number, c_right: Number
) -> tuple[Number, ...]:
    """Return the states h and c, then the gates."""
    i = sigmoid(a_i)
    l = sigmoid(a_l)  # noqa: E741
    r = sigmoid(a_r)
    g = tanh(a_g)
    o = sigmoid(a_o)
    c = i * g + l * c_left + r * c_right
    h = o * tanh(c)
    return h, c, i, l, r, g, o


def backward(
    dh: Number,
    dc: Number,
    i: Number,
    l: Number,  # noqa: E741
    r: Number,
    g: Number,
    o: Number,
    c: Number,
    c_left: Number,
    c_right: Number,
) -> tuple[Number, ...]:
    """Return the gradients of the gates and of the children's c."""
    s = tanh(c)
    da_o = dh * s * dsigmoid(o)  # h = o * tanh(c)
    dc = dc + dh * o * dtanh(s)  # h = o * tanh(c)
    da_i = dc * g * dsigmoid(i)  # c = i * g + l * c_left + r * c_right
    da_l = dc * c_left * dsigmoid(l)
    da_r = dc * c_right * dsigmoid(r)
    da_g = dc * i * dtanh(g)
    dc_left = dc * l
    dc_right = dc * r
    return da_i, da_l, da_r, da_g, da_o, dc_left, dc_right
