"""The live page's server: who gets in, what it sends while a run goes on, and that nobody can hold it up."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import make_result

import asyncsim
from asyncsim import dash
from asyncsim.dash import Live, Server
from asyncsim.folder import FolderError, RunFolder
from asyncsim.folder.tables import TUNING
from asyncsim.result import CURVES, Run

POINT = dict.fromkeys(CURVES, 0.0)


def begun(path: Path, labels: tuple[str, ...] = ("a",), name: str = "study") -> RunFolder:
    """A run folder that is being written: one record point of each run."""
    manifest = {
        "name": name,
        "problem": {"name": "quadratic", "dimension": 3},
        "scenario": {"methods": [{"name": label} for label in labels], "stop": {"time": 10}},
        "seeds": [0],
        "status": "running",
    }
    folder = RunFolder.create(path, manifest, "name: study\n")
    for number, label in enumerate(labels):
        folder.writer(number, label, "hero_sgd", {}, seed=0, n=2).curve({**POINT, "value": 1.0})
    folder.flush()
    return folder


@pytest.fixture
def folder(tmp_path: Path):
    with begun(tmp_path / "run") as opened:
        yield opened


@pytest.fixture
def server(folder: RunFolder):
    with Server(Live(folder.path)) as started:
        yield started


def ask(server: Server, path: str = "/", method: str = "GET", **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    return connection.getresponse()


def cookie(server: Server) -> str:
    return f"{server.cookie}={server.token}"


def following(server: Server, since: int) -> Any:
    """The states that are pushed, one after the other."""
    answer = ask(server, f"/events?since={since}", Cookie=cookie(server))
    for line in iter(answer.readline, b""):
        if line.startswith(b"data: "):
            yield json.loads(line[6:])


def test_while_a_sweep_is_tuned_the_page_has_its_grids_and_how_much_is_left(tmp_path: Path) -> None:
    plan = {
        "hero": {
            "rule": "time_to_target", "seeds": 2, "first": 0, "axes": {"stepsize": [0.1, 1.0]}, "at": [[0], [1]],
            "parameters": [{"stepsize": 0.1}, {"stepsize": 1.0}],
        }
    }  # fmt: skip
    manifest = {"name": "tuned", "scenario": {"methods": [{}]}, "seeds": [0, 1, 2], "tuning_plan": plan}
    with RunFolder.create(tmp_path / "run", manifest, "") as folder:
        live = Live(tmp_path / "run")
        folder.tuning()
        assert "0 of 4 tuning runs ended, the 3 runs of the winners come after them" in live.page()
        row = dict.fromkeys(TUNING, 0) | {"label": "hero", "parameters": {"stepsize": 0.1}}
        folder.tuning_writer(row | {"run": 0}, 1).finish(row | {"status": "finished", "value": 7.5})
        folder.flush()
        live._next = 0.0
        page = live.page()
        assert "1 of 4 tuning runs ended" in page
        assert "of tuning left" in page
        assert "best so far ★ stepsize 0.1: 7.5 s" in page
        folder.update_manifest(tuning_plan={})
        live._next = 0.0
        assert "tuning runs" not in live.page()


def test_the_token_opens_the_page_and_a_cookie_keeps_it_open(server: Server) -> None:
    entry = ask(server, f"/?token={server.token}")
    assert (entry.status, entry.headers["Location"]) == (303, "/")
    kept = entry.headers["Set-Cookie"]
    assert "HttpOnly" in kept
    assert "SameSite=Strict" in kept
    page = ask(server, Cookie=kept.split(";")[0])
    text = page.read().decode()
    assert page.status == 200
    assert "study" in text
    assert server.token not in text


@pytest.mark.parametrize("path", ["/", "/?token=", "/?token=wrong", "/events?since=0", "/anything"])
def test_nobody_gets_in_without_the_token(server: Server, path: str) -> None:
    for headers in ({}, {"Cookie": f"{server.cookie}=wrong"}, {"Cookie": "\x7f=;;"}):
        answer = ask(server, path, **headers)
        assert answer.status == 403
        assert b"study" not in answer.read()


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example", ""])
def test_a_foreign_host_is_refused_even_with_the_token(server: Server, host: str) -> None:
    for path in (f"/?token={server.token}", "/", "/events"):
        assert ask(server, path, Host=host, Cookie=cookie(server)).status == 403


def test_it_only_reads(server: Server) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert ask(server, method=method, Cookie=cookie(server)).status == 501
    assert ask(server, method="HEAD", Cookie=cookie(server)).read() == b""
    assert ask(server, "/../../etc/passwd", Cookie=cookie(server)).status == 404
    assert ask(server, "/record.sqlite", Cookie=cookie(server)).status == 404


def test_it_listens_on_loopback_alone_and_says_what_browsers_must_not_do(server: Server) -> None:
    assert server._http.server_address[0] == "127.0.0.1"
    answer = ask(server, Cookie=cookie(server))
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', answer.read().decode())
    assert policy is not None
    assert "default-src 'none'" in policy[1]
    assert "connect-src 'self'" in policy[1]
    assert "unsafe-eval" not in policy[1]


def test_what_is_written_is_pushed_and_only_what_has_changed(server: Server, folder: RunFolder) -> None:
    page = ask(server, Cookie=cookie(server)).read().decode()
    version = int(re.findall(r'data-version="(\d+)"', page)[0])
    states = following(server, version)
    folder.writer(0, "a", "hero_sgd", {}, seed=0, n=2).curve(
        {**POINT, "time": 5.0, "iteration": 7.0, "squared_gradient_norm": 0.5}
    )
    folder.flush()
    state = next(states)
    assert state["data curves"]["a"]["time"]["squared_gradient_norm"]["median"] == [0.0, 0.5]
    assert "a, seed 0: 5 s, k = 7" in state["progress"]
    assert not {"data methods", "data axes", "data target"} & set(state)


def test_a_run_that_ended_is_read_once(server: Server, folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    before = asyncsim.folder.reading.read_run

    def counted(connection: Any, number: int, *rest: Any) -> Run:
        read.append(number)
        return before(connection, number, *rest)

    monkeypatch.setattr(asyncsim.folder.reading, "read_run", counted)
    ended = make_result(methods=("hero_sgd",), seeds=(1,)).runs[0]
    folder.writer(1, ended.label, ended.method, ended.parameters, ended.seed, ended.n).finish(ended)
    server.live.refresh(wait=False)
    folder.update_manifest(more=1)
    server.live.refresh(wait=False)
    assert sorted(read) == [0, 0, 1]


def test_names_from_a_scenario_are_escaped_in_what_is_pushed(tmp_path: Path) -> None:
    odd = "</script><img src=x onerror=alert(1)>"
    with begun(tmp_path / "run", labels=(odd,), name=odd) as folder, Server(Live(folder.path)) as server:
        text = ask(server, Cookie=cookie(server)).read().decode()
        assert "<img src=x" not in text
        state = next(following(server, 0))
        html = [text for name, text in state.items() if name == "progress" or name.startswith("section ")]
        assert len(html) > 10
        assert not [text for text in html if "<img src=x" in text]


def test_a_folder_without_runs_or_with_a_damaged_file_still_has_a_page(tmp_path: Path) -> None:
    with Server(Live(tmp_path / "not there yet")) as server:
        assert "waiting for the first run" in ask(server, Cookie=cookie(server)).read().decode()
        states = following(server, 0)
        assert "cannot be read just now" in next(states)["progress"]
        with begun(tmp_path / "not there yet"):
            assert "<b>running</b>" in next(states)["progress"]
        assert "<b>interrupted</b>" in next(states)["progress"]


def test_a_hundred_clients_that_read_nothing_keep_nobody_waiting(server: Server, folder: RunFolder) -> None:
    request = f"GET /events?since=0 HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nCookie: {cookie(server)}\r\n\r\n"
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
    try:
        for place, each in enumerate(slow):
            each.sendall(request.encode() if place % 2 else b"GET / HT")
        assert ask(server, Cookie=cookie(server)).status == 200
        states = following(server, 0)
        next(states)
        folder.writer(0, "a", "hero_sgd", {}, seed=0, n=2).curve({**POINT, "time": 1.0})
        folder.flush()
        assert "a, seed 0: 1 s" in next(states)["progress"]
    finally:
        for each in slow:
            each.close()


def test_more_connections_than_there_are_places_are_refused(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dash, "VIEWERS", 2)
    with Server(Live(folder.path)) as server:
        held = [following(server, 0) for _ in range(2)]
        assert all(next(states)["progress"] for states in held)
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            ask(server, Cookie=cookie(server))


def test_the_last_state_is_told_before_the_page_ends(server: Server) -> None:
    states = following(server, 0)
    next(states)
    threading.Thread(target=server.live.end, args=(5.0,)).start()
    assert list(states)[-1] == {}


def test_a_state_is_built_no_more_often_than_the_page_may_change(folder: RunFolder) -> None:
    live = Live(folder.path)
    live.refresh()
    version = live.version
    folder.writer(0, "a", "hero_sgd", {}, seed=0, n=2).curve({**POINT, "time": 1.0})
    folder.flush()
    live.refresh()
    assert live.version == version
    live.refresh(wait=False)
    assert live.version == version + 1


def test_what_is_no_run_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="is not a run folder"):
        dash.serve(tmp_path, browser=False)


SCENARIO = """
name: beside
workers: {count: 5, compute_time: {distribution: exponential, mean: i}}
problem: {name: quadratic, dimension: 8}
methods: [{name: ringmaster_asgd, stepsize: 0.1, threshold: 3}, {name: rennala_sgd, stepsize: 0.1, batch_size: 2}]
stop: {time: 300}
seeds: [0, 1]
"""


@pytest.mark.timeout(120)
def test_the_events_are_the_same_with_the_page_or_without(tmp_path: Path) -> None:
    (tmp_path / "scenario.yaml").write_text(SCENARIO)
    environment = {**os.environ, "PYTHONPATH": str(Path(asyncsim.__file__).parent.parent)}
    said = []
    for name, more in (("with", ["--dash", "--no-browser"]), ("without", [])):
        command = [sys.executable, "-m", "asyncsim", "run", "scenario.yaml", "-o", name, "-q", "-p", "1", *more]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        said.append(done.stderr)
    assert "live page: http://127.0.0.1:" not in said[1]
    one, other = (asyncsim.Result.read(tmp_path / name) for name in ("with", "without"))
    assert [run.event_hash for run in one.runs] == [run.event_hash for run in other.runs]
    for mine, theirs in zip(one.runs, other.runs, strict=True):
        np.testing.assert_array_equal(mine.curves["value"], theirs.curves["value"])


@pytest.mark.timeout(120)
def test_the_command_prints_its_address_and_ends_by_ctrl_c(folder: RunFolder) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(asyncsim.__file__).parent.parent)}
    # what a shell starts in the background ignores Ctrl-C, and so do its children unless they say otherwise
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from asyncsim.cli import main; main()"
    )
    command = [sys.executable, "-c", program, "dash", str(folder.path), "--no-browser"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert re.fullmatch(r"live page: http://127\.0\.0\.1:\d+/\?token=[\w-]{32}\n", line)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""
