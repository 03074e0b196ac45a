"""The minimal gated unit, one gate for two purposes: Zhou et al. (2016), "Minimal gated unit for recurrent neural
networks", International Journal of Automation and Computing 13, section 3.

Equations, for one step of B sequences with F features and H units::

    f = sigmoid(x @ Wx_f + h_prev @ Wh_f + b_f)
    n = tanh(x @ Wx_n + (f * h_prev) @ Wh_n + b_n)
    h = (1 - f) * h_prev + f * n

Shapes: ``x (B, F)``, ``Wx_f (F, H)``, ``Wh_f (H, H)``, ``b_f (H,)``, every gate and ``h (B, H)``. The columns of
``Wx``, ``Wh`` and ``b`` are in the order f, n. The candidate n sees what ``look`` makes of the previous state.
"""

from saiki.maths import Number, dsigmoid, dtanh, one_minus, sigmoid, tanh


def look(a_f: Number, h_prev: Number) -> tuple[Number, ...]:
    """Return the previous state as the candidate sees it, then the gate."""
    f = sigmoid(a_f)
    v = f * h_prev
    return v, f


def look_backward(dv: Number, df: Number, f: Number, h_prev: Number) -> tuple[Number, ...]:
    """Return the gradients of the gate and of the previous h."""
    da_f = (df + dv * h_prev) * dsigmoid(f)  # v = f * h_prev
    dh_prev = dv * f
    return da_f, dh_prev


def forward(f: Number, a_n: Number, h_prev: Number) -> tuple[Number, ...]:
    """Return the new state h, then the candidate."""
    n = tanh(a_n)
    h = one_minus(f) * h_prev + f * n
    return h, n


def backward(dh: Number, f: Number, n: Number, h_prev: Number) -> tuple[Number, ...]:
    """Return the gradients of the gate, of the candidate and of the previous h."""
    df = dh * (n - h_prev)  # h = (1 - f) * h_prev + f * n
    da_n = dh * f * dtanh(n)
    dh_prev = dh * one_minus(f)
    return df, da_n, dh_prev
