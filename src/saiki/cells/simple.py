"""The simple recurrent network of Elman (1990), "Finding Structure in Time", Cognitive Science 14, figure 2.

Equations, for one step of B sequences with F features and H units::

    a = x @ Wx + h_prev @ Wh + b
    h = activation(a)

Shapes: ``x (B, F)``, ``Wx (F, H)``, ``Wh (H, H)``, ``b (H,)``, ``a`` and ``h (B, H)``. The activation is tanh unless
another is asked for.
"""

from saiki.maths import Number
from saiki.maths import dtanh as dactivation
from saiki.maths import tanh as activation


def forward(a: Number) -> Number:
    """One unit, one step: the new state from the pre-activation."""
    h = activation(a)
    return h


def backward(dh: Number, h: Number) -> Number:
    """Return the gradient of the pre-activation from that of the new state."""
    da = dh * dactivation(h)  # h = activation(a)
    return da
