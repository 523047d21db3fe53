"""The run folder that the tests of exports read; they never write into it."""

from pathlib import Path

import pytest
from exports.reading import recorded


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two methods × two seeds, all events kept."""
    return recorded(tmp_path_factory.mktemp("exports") / "run")
