"""The child-sum Tree-LSTM: Tai, Socher and Manning (2015), "Improved semantic representations from tree-structured long
short-term memory networks", ACL, section 3.1, equations 2 to 8.

Equations, for one level of B nodes with F features and H units. For each child of a node::

    f = sigmoid(x @ Wx_f + h_child @ Wh_f + b_f)
    m = f * c_child

and for the node itself, ``h_sum`` and ``m_sum`` being the sums over its children::

    i = sigmoid(x @ Wx_i + h_sum @ Wh_i + b_i)
    g = tanh(x @ Wx_g + h_sum @ Wh_g + b_g)
    o = sigmoid(x @ Wx_o + h_sum @ Wh_o + b_o)
    c = i * g + m_sum
    h = o * tanh(c)

Shapes: ``x (B, F)``, zero where a node has no input, ``Wx_i (F, H)``, ``Wh_i (H, H)``, ``b_i (H,)``, every gate and
state ``(B, H)``; sums over no children are zero. The columns of ``Wx``, ``Wh`` and ``b`` are in the order f, i, g, o;
g is the paper's u.
"""

from saiki.maths import Number, dsigmoid, dtanh, sigmoid, tanh


def child(a_f: Number, c_child: Number) -> tuple[Number, ...]:
    """Return what is kept of the child's memory, then the forget gate."""
    f = sigmoid(a_f)
    m = f * c_child
    return m, f


def child_backward(dm: Number, f: Number, c_child: Number) -> tuple[Number, ...]:
    """Return the gradients of the forget gate and of the child's c."""
    da_f = dm * c_child * dsigmoid(f)  # m = f * c_child
    dc_child = dm * f
    return da_f, dc_child


def forward(a_i: Number, a_g: Number, a_o: Number, m_sum: Number) -> tuple[Number, ...]:
    """Return the states h and c, then the gates."""
    i = sigmoid(a_i)
    g = tanh(a_g)
    o = sigmoid(a_o)
    c = i * g + m_sum
    h = o * tanh(c)
    return h, c, i, g, o


def backward(dh: Number, dc: Number, i: Number, g: Number, o: Number, c: Number) -> tuple[Number, ...]:
    """Return the gradients of the gates and of what is kept of the children's memories."""
    s = tanh(c)
    da_o = dh * s * dsigmoid(o)  # h = o * tanh(c)
    dc = dc + dh * o * dtanh(s)  # h = o * tanh(c)
    da_i = dc * g * dsigmoid(i)  # c = i * g + m_sum
    da_g = dc * i * dtanh(g)
    dm_sum = dc
    return da_i, da_g, da_o, dm_sum
