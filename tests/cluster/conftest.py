"""One Ray for all tests that need one in this process: to start it takes longer than most of them."""

import pytest


@pytest.fixture(scope="package")
def here():
    pytest.importorskip("ray", reason="needs ray (extra ray)")
    from asyncsim.ray_session import Session

    with Session("local", insecure=False, cpus=8, gpus=0) as session:
        yield session
