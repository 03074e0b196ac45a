"""The independently recurrent network, where each unit remembers only itself: Li et al. (2018), "Independently
recurrent neural network (IndRNN): building a longer and deeper RNN", section 3.

Equations, for one step of B sequences with F features and H units::

    h = activation(x @ Wx + b + u * h_prev)

Shapes: ``x (B, F)``, ``Wx (F, H)``, ``b (H,)``, ``h (B, H)``; ``u (H,)`` is one recurrent weight for each unit. The
activation is a rectifier unless another is asked for.
"""

from saiki.maths import Number
from saiki.maths import drelu as dactivation
from saiki.maths import relu as activation


def forward(x: Number, u: Number, h_prev: Number) -> Number:
    """Return the new state."""
    h = activation(x + u * h_prev)
    return h


def backward(dh: Number, h: Number, u: Number, h_prev: Number) -> tuple[Number, ...]:
    """Return the gradients of the input part, of the recurrent weight and of the previous h."""
    dx = dh * dactivation(h)  # h = activation(x + u * h_prev)
    du = dx * h_prev
    dh_prev = dx * u
    return dx, du, dh_prev
