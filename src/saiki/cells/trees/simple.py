"""The recursive network: Socher, Lin, Ng and Manning (2011), "Parsing natural scenes and natural language with
recursive neural networks", ICML: two neighbours become one vector of the same size.

Equations, for one level of B nodes with F features and H units, ``pair`` being ``[h_left, h_right]``::

    h = activation(x @ Wx + pair @ Wh + b)

Shapes: ``x (B, F)``, zero where a node has no input, ``Wx (F, H)``, ``pair (B, 2 * H)``, zero where there is no child,
``Wh (2 * H, H)``, ``b (H,)``, ``h (B, H)``. A leaf is ``activation(x @ Wx + b)``, an inner node without an input
``activation(W [left; right] + b)``. The activation is tanh, or any other of ``saiki.maths.ACTIVATIONS``.

They are the equations of the simple cell over time; what differs is what the pre-activation is the sum of.
"""

from saiki.cells.simple import backward, forward

__all__ = ["backward", "forward"]
