"""Numbers about a study while it runs, for Prometheus and whoever reads its text format (extra `metrics`).

    asyncsim run scenario.yaml --metrics 9464        http://127.0.0.1:9464/metrics

`Metrics` looks on at a study as the progress bars do (asyncsim/parallel.py), in simulation and on Ray alike: about ten times
a second it is told how far the running runs are, and keeps that. Whoever asks is answered from what is kept, in threads of
the server's own, so that one who asks slowly, never or too often costs a run nothing; nothing is queued, and nothing is lost
but resolution, as everything is a state or counts from a run's beginning. At most `PLACES` ask at a time; more are refused
and counted. It listens on 127.0.0.1 and answers who names it so.

The labels `method` and `seed` tell runs apart. Of the last `SERIES` runs all is told; older ones stay in the totals.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from asyncsim.playing import DELAYS, OBJECTIVE, Reached, Seen, share
from asyncsim.result import Run
from asyncsim.stop import Stop

PORT = 9464  # where nothing else is said
SERIES = 100
PLACES = 16
PATIENCE = 10.0  # seconds that who asks may take


@dataclass
class _Run:
    """What is kept of a run."""

    label: str
    seed: int
    reached: Reached = (0.0, 0, 0, 0.0)
    seen: Seen | None = None
    running: bool = True


@dataclass
class _Study:
    planned: int = 0
    workers: int = 0
    stop: Stop | None = None
    target: Mapping[str, float] = field(default_factory=dict)
    ended: int = 0
    failed: int = 0


class Metrics:
    """The endpoint and what it tells; a context manager. Port 0 takes a free one.

    ImportError when the extra is missing, ValueError when the port is taken.
    """

    def __init__(self, port: int = PORT) -> None:
        try:
            import prometheus_client
        except ImportError:
            raise ImportError("metrics need prometheus_client: pip install 'asyncsim[metrics]'") from None
        self._study = _Study()
        self._runs: dict[tuple[str, int], _Run] = {}
        self._playing: dict[int, _Run] = {}
        self._lock = threading.Lock()
        self.refused = 0
        self._registry = prometheus_client.CollectorRegistry()
        self._registry.register(self)
        try:
            self._http = _Http(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise ValueError(
                f"--metrics: 127.0.0.1:{port} cannot be had ({error.strerror}); give another port, or 0 for a free one"
            ) from None
        self._http.metrics = self
        self.address = f"http://127.0.0.1:{self._http.server_address[1]}/metrics"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    # ---- looking on

    def plan(self, runs: int, workers: int, stop: Stop, target: Mapping[str, float] | None) -> None:
        """What is going to be played."""
        self._study = _Study(runs, workers, stop, dict(target or {}))

    def left_out(self, runs: int) -> None:
        """So many runs need not be played: they were before."""
        self._study.ended += runs

    def begin(self, label: str, seed: int, process: int = 0) -> None:
        """A run begins."""
        with self._lock:
            self._runs.pop((label, seed), None)
            self._playing[process] = self._runs[label, seed] = _Run(label, seed)
            for key in [key for key, run in self._runs.items() if not run.running][: max(0, len(self._runs) - SERIES)]:
                del self._runs[key]

    def at(self, reached: Reached, process: int = 0, seen: Seen | None = None) -> None:
        """How far a running one is."""
        run = self._playing[process]
        run.reached, run.seen = reached, seen

    def end(self, process: int = 0, *, begins_again: bool = False) -> None:
        """A running one has ended, or will be played again."""
        run = self._playing.pop(process, None)
        if run is not None:
            run.running = False
        self._study.ended += not begins_again

    def ended(self, run: Run) -> None:
        """What became of a run."""
        self._study.failed += run.status == "failed"
        kept = self._runs.get((run.label, run.seed))
        if kept is not None and run.status != "failed":
            counts = {"arrived": run.used + run.discarded}
            counts |= {name: getattr(run, name) for name in ("used", "stopped", "timed_out", "lost")}
            point = {name: float(run.curves[name][-1]) for name in OBJECTIVE if len(run.curves[name])}
            kept.reached = (run.time, run.iterations, counts["arrived"], run.wall_seconds)
            kept.seen = Seen.of(0, counts, run.delays, point)

    # ---- telling

    def collect(self) -> Iterator[Any]:
        """All metrics as they are now (called by prometheus_client)."""
        from prometheus_client.core import CounterMetricFamily as Counter
        from prometheus_client.core import GaugeMetricFamily as Gauge

        study = self._study
        with self._lock:
            runs = list(self._runs.values())
        states = {"planned": study.planned, "running": len(self._playing), "ended": study.ended, "failed": study.failed}
        yield _labelled(Gauge("asyncsim_runs", "Runs of the study, by state", labels=["state"]), states)
        playing = sum(self._progress(run) for run in runs if run.running)
        whole = min(1.0, (study.ended + playing) / max(1, study.planned))
        yield Gauge("asyncsim_progress_ratio", "How much of the study is done, 0 to 1", value=whole)
        yield Gauge("asyncsim_workers", "Workers of each run", value=study.workers)
        yield _labelled(Gauge("asyncsim_target", "The target, by quantity", labels=["quantity"]), study.target)
        yield Counter("asyncsim_metrics_refused", "Who asked when too many did", value=self.refused)
        yield from self._of_runs(runs)

    def _of_runs(self, runs: list[_Run]) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily as Counter
        from prometheus_client.core import GaugeMetricFamily as Gauge

        told: list[tuple[Any, Any]] = [
            (Gauge("asyncsim_run_progress_ratio", "How far a run is, 0 to 1", labels=_WHO), self._progress),
            (
                Gauge("asyncsim_simulated_seconds", "Seconds on the run's clock", labels=_WHO),
                lambda run: run.reached[0],
            ),
            (Gauge("asyncsim_wall_seconds", "Real seconds that the run took", labels=_WHO), lambda run: run.reached[3]),
            (Counter("asyncsim_iterations", "Iterations made", labels=_WHO), lambda run: run.reached[1]),
            (
                Counter("asyncsim_arrivals", "Gradients that reached the server", labels=_WHO),
                lambda run: run.reached[2],
            ),
        ]
        for family, value in told:
            for run in runs:
                family.add_metric(_who(run), float(value(run)))
            yield family
        yield from _of_seen([(run, run.seen) for run in runs if run.seen is not None])

    def _progress(self, run: _Run) -> float:
        return 1.0 if not run.running else share(run.reached, self._study.stop) if self._study.stop else 0.0

    def text(self) -> bytes:
        """All metrics in Prometheus's text format."""
        from prometheus_client import generate_latest

        return generate_latest(self._registry)


_WHO = ("method", "seed")


def _who(run: _Run) -> list[str]:
    return [run.label, str(run.seed)]


def _labelled(family: Any, values: Mapping[str, float]) -> Any:
    for label, value in values.items():
        family.add_metric([label], float(value))
    return family


def _of_seen(runs: list[tuple[_Run, Seen]]) -> Iterator[Any]:
    from prometheus_client.core import CounterMetricFamily as Counter
    from prometheus_client.core import GaugeMetricFamily as Gauge
    from prometheus_client.core import HistogramMetricFamily as Histogram

    busy = Gauge("asyncsim_busy_workers", "Workers that have something to do", labels=_WHO)
    gradients = Counter("asyncsim_gradients", "Gradients by what became of them", labels=(*_WHO, "outcome"))
    delays = Histogram("asyncsim_delay_iterations", "Delays of the gradients that arrived", labels=_WHO)
    points = {name: Gauge(f"asyncsim_{name}", f"{words} at the last record point", labels=_WHO) for name, words in _WORDS.items()}  # fmt: skip
    for run, seen in runs:
        busy.add_metric(_who(run), seen.busy)
        for outcome, count in seen.gradients.items():
            gradients.add_metric([*_who(run), outcome], count)
        delays.add_metric(
            _who(run), list(zip([*map(str, map(float, DELAYS)), "+Inf"], seen.delays, strict=True)), seen.delay_sum
        )
        for name, value in seen.point.items():
            points[name].add_metric(_who(run), value)
    yield from (busy, gradients, delays, *points.values())


_WORDS = {
    "value": "f(x)",
    "suboptimality": "f(x) - f*",
    "squared_gradient_norm": "Squared norm of the gradient",
    "mean_squared_gradient_norm": "Mean over iterations of the squared norm of the gradient",
}


# ---- the server


class _Http(ThreadingHTTPServer):
    metrics: Metrics
    daemon_threads = True
    block_on_close = False

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._places = threading.BoundedSemaphore(PLACES)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.metrics.refused += 1
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who went away in the middle is no matter of the run's."""


class _Handler(BaseHTTPRequestHandler):
    server: _Http
    timeout = PATIENCE
    server_version, sys_version = "asyncsim", ""

    def do_GET(self) -> None:
        if self.headers.get("Host", "").partition(":")[0] not in ("127.0.0.1", "localhost"):
            self._answer(403, "text/plain", b"these numbers are only for 127.0.0.1\n")
        elif self.path.partition("?")[0] in ("/metrics", "/"):
            self._answer(200, "text/plain; version=0.0.4; charset=utf-8", self.server.metrics.text())
        else:
            self._answer(404, "text/plain", b"the numbers are at /metrics\n")

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nobody needs to read who asked."""
