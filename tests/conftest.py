"""Fixtures that many tests share; what is built with arguments is in toys.py and factories.py."""

from importlib.util import find_spec

import pytest
from hypothesis import settings
from toys import Noisy, Slope

# a slow first example on a busy machine is no failure, and the same examples every time make a red test repeatable
settings.register_profile("asyncsim", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("asyncsim")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The examples in the docstrings of torch problems need torch, as their tests do."""
    for item in items:
        if isinstance(item, pytest.DoctestItem) and item.name.endswith((".CNN", ".GPT", ".TorchProblem")):
            item.add_marker(pytest.mark.torch)
            item.add_marker(pytest.mark.skipif(find_spec("torch") is None, reason="needs the extra torch"))


@pytest.fixture
def slope() -> Slope:
    """f(x) = x²/2 on one number, x⁰ = 8, exact gradients: iterates can be computed by hand."""
    return Slope()


@pytest.fixture
def noisy() -> Noisy:
    """f(x) = ‖x‖²/2 on three numbers with normal noise: different luck gives different bits."""
    return Noisy()
