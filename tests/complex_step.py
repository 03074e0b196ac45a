"""The proof of a gradient: complex-step differentiation (Squire and Trapp 1998, SIAM Review 40).

For a function that is analytic and real on real numbers, ``Im f(x + ih) / h`` is its derivative up to O(h**2), and no
difference is taken: with h = 1e-20 nothing is cut off and nothing cancels. What is left is the rounding of f itself.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from saiki.arrays import Array

STEP = 1e-20


def complex_step(function: Callable[[dict[str, Array]], Any], at: Mapping[str, Array]) -> dict[str, Array]:
    """Return the gradient of a function of named arrays, one perturbed number at a time."""
    gradients = {}
    for name, array in at.items():
        gradient = np.empty(array.shape)
        for place in np.ndindex(array.shape):
            perturbed = array.astype(np.complex128)
            perturbed[place] += STEP * 1j
            gradient[place] = np.imag(function({**at, name: perturbed})) / STEP
        gradients[name] = gradient
    return gradients
