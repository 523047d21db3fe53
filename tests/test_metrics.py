"""Metrics tell how a run goes, to a real Prometheus too, and a run does not notice."""

import http.client
import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import asyncsim
from asyncsim import metrics as ours
from asyncsim.metrics import Metrics
from asyncsim.playing import Seen
from asyncsim.result import Run
from asyncsim.stop import Stop

pytest.importorskip("prometheus_client", reason="needs the extra metrics: pip install 'asyncsim[metrics]'")
from prometheus_client.parser import text_string_to_metric_families

pytestmark = pytest.mark.metrics

ROOT = Path(asyncsim.__file__).parent.parent
SCENARIO = {
    "name": "told",
    "workers": {"count": 5, "compute_time": {"distribution": "exponential", "mean": "i"}},
    "problem": {"name": "quadratic", "dimension": 8},
    "methods": [
        {"name": "ringmaster_asgd", "stepsize": 0.1, "threshold": 3},
        {"name": "rennala_sgd", "stepsize": 0.1, "batch_size": 2},
    ],
    "target": {"squared_gradient_norm": 1e-12},
    "stop": {"time": 200},
    "seeds": [0, 1],
}


def told(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """(name, sorted label values …) → value, as the endpoint has it."""
    with urllib.request.urlopen(metrics.address, timeout=20) as answer:
        text = answer.read().decode()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def seen(arrived: int = 3) -> Seen:
    counts = {"arrived": arrived, "used": 2, "stopped": 1, "timed_out": 0, "lost": 0}
    return Seen.of(4, counts, np.array([[0, 2, 2], [3, 0, arrived - 2]]), {"value": 0.5, "suboptimality": float("nan")})


def test_a_running_run_is_told_with_its_delays_busy_workers_and_objective() -> None:
    with Metrics(0) as metrics:
        metrics.plan(4, 6, Stop(time=10), {"squared_gradient_norm": 0.1})
        metrics.left_out(1)
        metrics.begin("a", 7)
        metrics.at((5.0, 30, 3, 1.5), seen=seen())
        values = told(metrics)
    assert values["asyncsim_progress_ratio",] == (1 + 0.5) / 4
    assert values["asyncsim_runs", "running"] == 1
    assert values["asyncsim_target", "squared_gradient_norm"] == 0.1
    assert values["asyncsim_simulated_seconds", "a", "7"] == 5.0
    assert values["asyncsim_arrivals_total", "a", "7"] == 3
    assert values["asyncsim_gradients_total", "a", "discarded", "7"] == 1
    assert values["asyncsim_busy_workers", "a", "7"] == 4
    assert values["asyncsim_delay_iterations_bucket", "2.0", "a", "7"] == 2
    assert values["asyncsim_delay_iterations_bucket", "4.0", "a", "7"] == 3
    assert values["asyncsim_delay_iterations_sum", "a", "7"] == 3
    assert values["asyncsim_value", "a", "7"] == 0.5
    assert ("asyncsim_suboptimality", "a", "7") not in values


@pytest.mark.parametrize("processes", [1, 2])
def test_a_study_is_told_to_its_end_and_its_numbers_are_the_same_as_without(processes: int, tmp_path: Path) -> None:
    alone = asyncsim.run(SCENARIO, processes=1)
    from asyncsim import study

    with Metrics(0) as metrics:
        watched = study.run(SCENARIO, processes=processes, metrics=metrics, progress=False)
        values = told(metrics)
    assert values["asyncsim_progress_ratio",] == 1.0
    for one, other in zip(watched.runs, alone.runs, strict=True):
        assert one.event_hash == other.event_hash
        np.testing.assert_array_equal(one.intervals, other.intervals)
        np.testing.assert_array_equal(one.workers["busy_seconds"], other.workers["busy_seconds"])
        who = (one.label, str(one.seed))
        assert values["asyncsim_gradients_total", one.label, "used", str(one.seed)] == one.used
        assert values["asyncsim_delay_iterations_count", *who] == one.used + one.discarded
        assert values["asyncsim_squared_gradient_norm", *who] == one.curves["squared_gradient_norm"][-1]


def test_a_failed_run_is_counted_and_one_that_begins_again_is_not_done() -> None:
    with Metrics(0) as metrics:
        metrics.plan(2, 6, Stop(time=10), None)
        metrics.begin("a", 0)
        metrics.end(begins_again=True)
        metrics.begin("a", 0, 1)
        metrics.end(1)
        metrics.ended(Run("a", "a", {}, 0, 6, status="failed"))
        values = told(metrics)
    assert (values["asyncsim_runs", "ended"], values["asyncsim_runs", "failed"]) == (1, 1)


def test_however_many_runs_the_labels_stay_few() -> None:
    with Metrics(0) as metrics:
        metrics.plan(500, 6, Stop(time=10), None)
        for seed in range(500):
            metrics.begin("a", seed)
            metrics.at((5.0, 30, 3, 1.5), seen=seen())
            metrics.end()
        values = told(metrics)
    assert values["asyncsim_runs", "ended"] == 500
    assert len([key for key in values if key[0] == "asyncsim_simulated_seconds"]) <= ours.SERIES


def test_names_with_quotes_and_line_ends_can_be_read_back() -> None:
    odd = 'a "b"\\\n{}'
    with Metrics(0) as metrics:
        metrics.plan(1, 6, Stop(time=10), None)
        metrics.begin(odd, 0)
        metrics.at((5.0, 30, 3, 1.5), seen=seen())
        assert told(metrics)["asyncsim_busy_workers", odd, "0"] == 4


def test_only_this_machine_is_answered_and_only_what_there_is() -> None:
    with Metrics(0) as metrics:
        where = urllib.parse.urlsplit(metrics.address)
        assert where.hostname == "127.0.0.1"
        for path, host, status in (
            *(("/metrics", "localhost", 200), ("/metrics", "evil.example", 403)),
            *(("/metrics", "", 403), ("/other", "127.0.0.1", 404)),
        ):
            connection = http.client.HTTPConnection("127.0.0.1", where.port, timeout=20)
            connection.putrequest("GET", path, skip_host=True)
            connection.putheader("Host", host)
            connection.endheaders()
            assert connection.getresponse().status == status
            connection.close()


def test_who_asks_slowly_costs_a_run_nothing_and_too_many_are_counted() -> None:
    from asyncsim import study

    with Metrics(0) as metrics:
        port = urllib.parse.urlsplit(metrics.address).port
        slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
        try:
            result = study.run(SCENARIO, processes=1, metrics=metrics, progress=False)
            assert {run.status for run in result.runs} == {"finished"}
        finally:
            for each in slow:
                each.close()
        for _ in range(200):
            try:
                values = told(metrics)
                break
            except (urllib.error.URLError, ConnectionError):
                continue
        assert values["asyncsim_metrics_refused_total",] >= 40 - ours.PLACES


def test_a_port_that_is_taken_is_refused_with_what_to_do() -> None:
    with Metrics(0) as metrics:
        port = urllib.parse.urlsplit(metrics.address).port
        with pytest.raises(ValueError, match="give another port, or 0 for a free one"):
            Metrics(port)


# ---- a real Prometheus

DASHBOARD = ROOT / "dashboards" / "grafana" / "asyncsim.json"


def queries() -> list[str]:
    """What the panels ask, with Grafana's variables filled in."""
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    found = [target["expr"] for panel in panels for target in panel["targets"]]
    filled = {"$__rate_interval": "8s", "$method": ".*", "$seed": ".*"}
    for name, value in filled.items():
        found = [query.replace(name, value) for query in found]
    return found


def test_the_panels_ask_for_metrics_that_there_are() -> None:
    with Metrics(0) as metrics:
        metrics.plan(1, 6, Stop(time=10), {"squared_gradient_norm": 0.1})
        metrics.begin("a", 0)
        metrics.at((5.0, 30, 3, 1.5), seen=seen())
        names = {family.name for family in text_string_to_metric_families(metrics.text().decode())}
    asked = {name for query in queries() for name in re.findall(r"asyncsim_\w+", query)}
    assert {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in asked} <= names
    assert not [query for query in queries() if "$" in query]


def ask(port: int, query: str) -> list[dict[str, Any]]:
    url = f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    with urllib.request.urlopen(url, timeout=20) as answer:
        found = json.load(answer)
    assert found["status"] == "success", found
    return found["data"]["result"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.prometheus
@pytest.mark.timeout(240)
@pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed (apt install prometheus)")
def test_every_panel_has_an_answer_from_a_prometheus_that_scrapes_a_real_run(tmp_path: Path) -> None:
    theirs, target = free_port(), free_port()
    config = (ROOT / "dashboards" / "prometheus.yml").read_text(encoding="utf-8")
    assert "127.0.0.1:9464" in config
    assert "scrape_interval: 2s" in config
    (tmp_path / "prometheus.yml").write_text(config.replace("9464", str(target)).replace(": 2s", ": 1s"))
    (tmp_path / "scenario.json").write_text(json.dumps({**SCENARIO, "seeds": [0], "stop": {"wall_clock": 600}}))
    run = [
        sys.executable,
        "-m",
        "asyncsim",
        "run",
        "scenario.json",
        "-o",
        "run",
        "-q",
        "-p",
        "2",
        "--metrics",
        str(target),
    ]
    serve = [
        "prometheus",
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        f"--web.listen-address=127.0.0.1:{theirs}",
    ]
    started = [
        subprocess.Popen(
            run, cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}, stdout=subprocess.DEVNULL
        ),
        subprocess.Popen(serve, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL),
    ]
    waiting, until = queries(), time.monotonic() + 200
    try:
        while waiting and time.monotonic() < until:
            try:
                waiting = [query for query in waiting if not numbers(ask(theirs, query))]
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.5)  # it has not opened its door yet
            time.sleep(0.2)
        assert waiting == []
        methods = {row["metric"]["method"] for row in ask(theirs, "asyncsim_arrivals_total")}
        assert methods == {"ringmaster_asgd", "rennala_sgd"}
    finally:
        for process in started:
            process.terminate()
        assert [process.wait(60) for process in started] == [143, 0]


def numbers(rows: list[dict[str, Any]]) -> list[float]:
    """The values of an answer that are numbers."""
    return [value for row in rows if (value := float(row["value"][1])) == value]


@pytest.mark.ray
@pytest.mark.timeout(240)
def test_a_run_on_ray_is_told_as_one_in_simulation_is() -> None:
    pytest.importorskip("ray", reason="needs ray (extra ray)")
    from asyncsim import study
    from asyncsim.scenario import load

    scenario = load(ROOT / "scenarios" / "cluster" / "rehearsal.yaml", ["stop.time=1"])
    with Metrics(0) as metrics:
        (run,) = study.run(scenario, metrics=metrics, progress=False).runs
        values = told(metrics)
    assert values["asyncsim_gradients_total", run.label, "used", "1"] == run.used > 0
    assert values["asyncsim_delay_iterations_count", run.label, "1"] == run.used + run.discarded
    assert values["asyncsim_simulated_seconds", run.label, "1"] == run.time
