"""Asking the port of a cluster, against a server that answers what Ray 2.60 answered."""

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from asyncsim.ray_port import NoRayError, token_here, version_there
from asyncsim.ray_session import EngineError, Session

SETTINGS = bytes.fromhex("000018040000000000000400400000000500400000000600004000fe0300000001")
REFUSED = bytes.fromhex("000012010500000001") + b"\x88@\x0bgrpc-status\x0216\x00"
LET_IN = (
    bytes.fromhex("000001010400000001") + b"\x88"
    + bytes.fromhex("000011000000000001") + b"\0\0\0\0\x0c\n\0\x12\x062.59.0 \x01"
    + bytes.fromhex("00000f010500000001") + b"@\x0bgrpc-status\x010"
)  # fmt: skip


@contextmanager
def answering(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """The port of a server that answers this to who asks, and what it was asked."""
    asked: list[bytes] = []

    def answer_all() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                asked.append(connection.recv(4096))
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer_all)
        thread.start()
        try:
            yield server.getsockname()[1], asked
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_cluster_that_lets_us_in_says_its_version():
    with answering(SETTINGS + LET_IN) as (port, asked):
        assert version_there("127.0.0.1", port, "secret") == "2.59.0"
    assert asked[0].startswith(b"PRI * HTTP/2.0")
    assert b"Bearer secret" in asked[0]


def test_a_cluster_that_does_not_let_us_in_says_nothing():
    with answering(SETTINGS + REFUSED) as (port, asked):
        assert version_there("127.0.0.1", port, None) is None
    assert b"Bearer" not in asked[0]


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 9, SETTINGS, b"SSH-2.0-x\r\n"])
def test_what_is_no_cluster_is_called_so(answer):
    with answering(answer) as (port, _), pytest.raises(NoRayError):
        version_there("127.0.0.1", port, None)


@pytest.mark.ray
def test_another_version_of_ray_is_told_before_anything_is_tried():
    pytest.importorskip("ray", reason="needs ray (extra ray)")
    with (
        answering(SETTINGS + LET_IN) as (port, _),
        pytest.raises(EngineError, match=r"runs Ray 2\.59\.0, here is Ray 2"),
    ):
        Session(f"127.0.0.1:{port}", insecure=False, cpus=1, gpus=0).__enter__()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ray://127.0.0.1:10001", "Ray client"),
        ("head", "allowed: local, auto, or host:port"),
        ("head:port", "allowed: local, auto, or host:port"),
        ("127.0.0.1:1", "nobody answers"),
        ("nowhere.invalid:6379", "nobody answers"),
    ],
)
def test_an_address_where_no_cluster_is_is_refused(address, said):
    with pytest.raises(EngineError, match=said) as told:
        Session(address, insecure=False, cpus=1, gpus=0).__enter__()
    assert "\n" not in str(told.value)


def test_without_ray_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EngineError, match=r"pip install 'asyncsim\[ray\]'"):
        Session("local", insecure=False, cpus=1, gpus=0).__enter__()


def test_the_token_is_looked_for_where_ray_looks(monkeypatch, tmp_path):
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    assert token_here() is None
    (tmp_path / "token").write_text("from a file\n")
    assert token_here() == "from a file"
    monkeypatch.setenv("RAY_AUTH_TOKEN", "from outside")
    assert token_here() == "from outside"
