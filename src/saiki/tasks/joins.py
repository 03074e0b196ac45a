"""The quiz of the course notes: how does a parser network join two neighbours into one vector?

Its answer is ``W [left; right]``; the wrong ones are the sum, the product and the maximum of the two. A network over
trees can be given those all the same, to see what each can learn. None of them has weights on the children.

Equations, for one level of B nodes with F features and H units, ``x (B, H)`` being ``inputs @ Wx``::

    h = x + h_left + h_right             sum
    h = x + h_left * h_right             product
    h = x + maximum(h_left, h_right)     maximum, written h_right + relu(h_left - h_right)

Shapes: ``Wx (F, H)``, ``h``, ``h_left`` and ``h_right (B, H)``, zero where there is no child, as is ``x`` where a node
has no input. Without a bias a leaf is thus its vector ``x`` and an inner node the join alone; make the layer with
``bias=False``. What is missing beside an only child counts as zero, so the product of such a node is zero, and its
maximum the positive part. Where both sides are equal the maximum has no slope; the right one gets the gradient.
"""

from saiki.cells import TREE_CELLS, TreeCell
from saiki.maths import Number, drelu, relu


def sum_forward(x: Number, h_left: Number, h_right: Number) -> Number:
    """Return the state h, the sum of both children's."""
    h = x + h_left + h_right
    return h


def sum_backward(dh: Number) -> tuple[Number, ...]:
    """Return the gradients of the input and of the children's h."""
    dx = dh  # h = x + h_left + h_right
    dh_left = dh
    dh_right = dh
    return dx, dh_left, dh_right


def product_forward(x: Number, h_left: Number, h_right: Number) -> Number:
    """Return the state h, the product of both children's."""
    h = x + h_left * h_right
    return h


def product_backward(dh: Number, h_left: Number, h_right: Number) -> tuple[Number, ...]:
    """Return the gradients of the input and of the children's h."""
    dx = dh  # h = x + h_left * h_right
    dh_left = dh * h_right
    dh_right = dh * h_left
    return dx, dh_left, dh_right


def maximum_forward(x: Number, h_left: Number, h_right: Number) -> tuple[Number, ...]:
    """Return the state h, the greater of both children's, then by how much the left one exceeds the right one."""
    m = relu(h_left - h_right)
    h = x + h_right + m
    return h, m


def maximum_backward(dh: Number, m: Number) -> tuple[Number, ...]:
    """Return the gradients of the input and of the children's h: that of the join goes to the greater child alone."""
    dx = dh  # h = x + h_right + m
    dh_left = dh * drelu(m)  # m = relu(h_left - h_right)
    dh_right = dh - dh_left
    return dx, dh_left, dh_right


JOINS: dict[str, TreeCell] = {
    "W [left; right]": TREE_CELLS["simple"],
    "sum": TreeCell("sum", sum_forward, sum_backward, equations="h = x + h_left + h_right"),
    "product": TreeCell("product", product_forward, product_backward, equations="h = x + h_left * h_right"),
    "maximum": TreeCell("maximum", maximum_forward, maximum_backward, equations="h = x + maximum(h_left, h_right)"),
}
"""The four answers of the quiz as cells, the right one first."""
