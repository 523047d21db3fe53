"""Fixtures that many tests share; what is built with arguments is in toys.py and factories.py."""

import pytest
from hypothesis import settings
from toys import Noisy, Slope

# a slow first example on a busy machine is no failure, and the same examples every time make a red test repeatable
settings.register_profile("asyncsim", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("asyncsim")


@pytest.fixture
def slope() -> Slope:
    """f(x) = x²/2 on one number, x⁰ = 8, exact gradients: iterates can be computed by hand."""
    return Slope()


@pytest.fixture
def noisy() -> Noisy:
    """f(x) = ‖x‖²/2 on three numbers with normal noise: different luck gives different bits."""
    return Noisy()
