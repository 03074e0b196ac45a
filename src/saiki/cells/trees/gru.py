"""The gated unit over two children: the gated recurrent unit of Cho et al. (2014), equations 5 to 8, with two previous
states in place of one: a reset gate for each child, as in Chen, Qiu, Zhu, Wu and Huang (2015), "Sentence modeling with
gated recursive neural network", EMNLP, and two update gates that share the new state out among candidate and children.

Equations, for one level of B nodes with F features and H units, ``pair`` being ``[h_left, h_right]``::

    l = sigmoid(x @ Wx_l + pair @ Wh_l + b_l)
    r = sigmoid(x @ Wx_r + pair @ Wh_r + b_r)
    z = sigmoid(x @ Wx_z + pair @ Wh_z + b_z)
    s = sigmoid(x @ Wx_s + pair @ Wh_s + b_s)
    n = tanh(x @ Wx_n + b_n + l * (h_left @ Wh_n[:H]) + r * (h_right @ Wh_n[H:]))
    h = (1 - z) * n + z * (s * h_left + (1 - s) * h_right)

Shapes: ``x (B, F)``, zero where a node has no input, ``Wx_l (F, H)``, ``pair (B, 2 * H)``, zero where there is no
child, ``Wh_l (2 * H, H)``, ``b_l (H,)``, every gate and ``h (B, H)``. The columns of ``Wx``, ``Wh`` and ``b`` are in
the order l, r, z, s, n.

Conventions: l and r reset what the candidate sees of the left and the right child, after the product, as in the GRU; z
is the share of the children in the new state, s the left one's share of that. Chen et al. normalise three exponentials
instead of taking two sigmoids; both reach every share.
"""

from saiki.maths import Number, dsigmoid, dtanh, one_minus, sigmoid, tanh


def forward(
    a_l: Number,
    a_r: Number,
    a_z: Number,
    a_s: Number,
    x_n: Number,
    left_n: Number,
    right_n: Number,
    h_left: Number,
    h_right: Number,
) -> tuple[Number, ...]:
    """Return the state h, then the gates."""
    l = sigmoid(a_l)  # noqa: E741
    r = sigmoid(a_r)
    z = sigmoid(a_z)
    s = sigmoid(a_s)
    n = tanh(x_n + l * left_n + r * right_n)
    h = one_minus(z) * n + z * (s * h_left + one_minus(s) * h_right)
    return h, l, r, z, s, n


def backward(
    dh: Number,
    l: Number,  # noqa: E741
    r: Number,
    z: Number,
    s: Number,
    n: Number,
    left_n: Number,
    right_n: Number,
    h_left: Number,
    h_right: Number,
) -> tuple[Number, ...]:
    """Return the gradients of the gates, of the candidate's parts, and of the children's h."""
    dx_n = dh * one_minus(z) * dtanh(n)  # h = (1 - z) * n + z * (s * h_left + (1 - s) * h_right)
    da_z = dh * (s * h_left + one_minus(s) * h_right - n) * dsigmoid(z)
    da_s = dh * z * (h_left - h_right) * dsigmoid(s)
    dh_left = dh * z * s
    dh_right = dh * z * one_minus(s)
    dleft_n = dx_n * l  # n = tanh(x_n + l * left_n + r * right_n)
    dright_n = dx_n * r
    da_l = dx_n * left_n * dsigmoid(l)
    da_r = dx_n * right_n * dsigmoid(r)
    return da_l, da_r, da_z, da_s, dx_n, dleft_n, dright_n, dh_left, dh_right
