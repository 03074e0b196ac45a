"""What tests share: one generator, seeded by the number that pytest-randomly prints and replays."""

import numpy as np
import pytest


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    return np.random.default_rng(request.config.getoption("randomly_seed"))
