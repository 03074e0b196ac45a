"""Fixtures that tests share."""

import numpy as np
import pytest


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Return a generator with the seed that pytest-randomly prints and repeats; without the plugin, with seed 0."""
    return np.random.default_rng(request.config.getoption("randomly_seed", 0))
