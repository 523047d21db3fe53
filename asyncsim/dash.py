"""The live page: the report of a run folder, following the run while it is being written. It only reads.

    asyncsim dash runs/my          asyncsim run scenario.yaml --dash

A server of the standard library shows the page of asyncsim/report/ and pushes what has changed as server-sent events, once
a second at most, and only while somebody looks. It always is a process of its own: a run knows nothing of it.

Rules:
1. It listens on 127.0.0.1 only, and answers only who names it so (Host) and has the token: in the address at first, then in
   a cookie, so that the address bar forgets it. All else is 403, before anything is read. GET and HEAD are all it knows.
2. What is sent is what the report would hold: escaped in the same places, under the same policy for scripts, shrunk as it is
   there. Runs that have ended are read once.
3. A viewer that is slow, or goes away, costs one thread that waits: what came meanwhile is not queued, it gets the newest
   state when it is ready for it. There are at most `VIEWERS` connections at a time; more are refused.
4. Reading and building take at most a fifth of one processor: the slower that is, the rarer the page changes.
"""

import hashlib
import hmac
import json
import math
import os
import secrets
import subprocess
import sys
import threading
import time
import webbrowser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from html import escape
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import parse_qs, urlsplit

from asyncsim.folder import FolderError, in_use, read_manifest, read_tuning
from asyncsim.report import data
from asyncsim.report.page import SCRIPTS, SECTIONS, asset, embedded, plotly, policy
from asyncsim.report.tuning import tuning
from asyncsim.result import Result, Run
from asyncsim.tuned import so_far

EVERY = 1.0  # seconds between two states at least
LOOK = 0.25  # seconds between two looks whether something was written
SHARE = 5  # building a state takes at most this part of the time
ALIVE = 10.0  # seconds after which a silent connection is tried
PATIENCE = 20.0  # seconds that a client may take to send its request, or to take a state
VIEWERS = 150
FAREWELL = 2.0  # seconds in which viewers get the last state


def serve(folder: Path, port: int = 0, *, browser: bool = True, with_parent: bool = False) -> None:
    """Show the live page of `folder` until Ctrl-C; with `with_parent` until stdin ends, then the last state once more.

    FolderError when it is no run folder (with a parent it may still become one), OSError when the port is taken.
    """
    if not with_parent:
        read_manifest(folder)
    live = Live(folder)
    with Server(live, port) as server:
        try:
            # whoever reads the address may press Ctrl-C at once
            print(f"live page: {server.address}", file=sys.stderr, flush=True)
            if browser and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform == "darwin"):
                webbrowser.open(server.address)
            if with_parent:
                sys.stdin.buffer.read()
                live.refresh(wait=False)
                live.end(FAREWELL)
            else:
                threading.Event().wait()
        except KeyboardInterrupt:
            live.end(0.0)


@contextmanager
def beside(folder: Path, port: int = 0, *, browser: bool = True) -> Iterator[None]:
    """A live page of this folder in a process of its own, as long as this goes on."""
    arguments = ["dash", str(folder), "--port", str(port), "--with-parent", *([] if browser else ["--no-browser"])]
    # a session of its own: Ctrl-C is for the run, which ends, and the page with it
    process = subprocess.Popen(
        [sys.executable, "-m", "asyncsim", *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        yield
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(FAREWELL + 8.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


# ---- the state


class Live:
    """The state of the page: parts by name, each as JSON, with the version at which it last changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.version = 0
        self.ended = False
        self._parts: dict[str, tuple[int, str]] = {}
        self._result = Result(folder.name, ())
        self._known: dict[str, Run] = {}
        self._pace = Pace()
        self._seen: Any = None
        self._next = 0.0
        self._viewers = 0
        self._changed = threading.Condition()
        self._building = threading.Lock()

    def refresh(self, wait: bool = True) -> None:
        """Read the folder where something was written since, unless that was just done."""
        with self._building:
            signature = _signature(self.folder)
            if signature == self._seen or (wait and time.monotonic() < self._next):
                return
            begun = time.monotonic()
            problem, grids = "", {}
            try:
                self._result = Result.read(self.folder, events=False, known=self._known)
                if plan := self._result.manifest.get("tuning_plan"):
                    grids = so_far(plan, read_tuning(self.folder))
            except (FolderError, OSError) as error:
                problem = str(error)
            alive = in_use(self.folder)
            parts = _parts(self._result, problem, alive, grids, self._pace.left(grids) if alive else math.inf)
            self._take(parts)
            self._seen = signature
            now = time.monotonic()
            self._next = now + max(EVERY, SHARE * (now - begun))

    def _take(self, parts: Mapping[str, str]) -> None:
        with self._changed:
            new = [name for name, text in parts.items() if self._parts.get(name, (0, None))[1] != text]
            if new:
                self.version += 1
                self._parts |= {name: (self.version, parts[name]) for name in new}
                self._changed.notify_all()

    def page(self) -> str:
        """The whole page as it is now."""
        self.refresh()
        with self._changed:
            return _page(self._result.name, self.version, {name: text for name, (_, text) in self._parts.items()})

    def since(self, version: int) -> tuple[int, dict[str, str]]:
        """The parts that have changed since this version; waits for some for a while."""
        with self._changed:
            self._changed.wait_for(lambda: self.ended or self.version > version, ALIVE)
            return self.version, {name: text for name, (at, text) in self._parts.items() if at > version}

    @contextmanager
    def viewed(self) -> Iterator[None]:
        """Somebody looks on: the first one has the folder followed."""
        with self._changed:
            self._viewers += 1
            if self._viewers == 1:
                threading.Thread(target=self._follow, daemon=True).start()
        try:
            yield
        finally:
            with self._changed:
                self._viewers -= 1
                self._changed.notify_all()

    def _follow(self) -> None:
        while self._viewers and not self.ended:
            self.refresh()
            time.sleep(LOOK)

    def end(self, patience: float) -> None:
        """Tell the viewers that nothing more comes, and wait until they know or the time is over."""
        with self._changed:
            self.ended = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._viewers, patience)


def _signature(folder: Path) -> tuple[Any, ...]:
    """What changes when something is written."""
    found: list[Any] = [in_use(folder)]
    for name in ("manifest.json", "record.sqlite", "record.sqlite-wal"):
        try:
            status = (folder / name).stat()
            found.append((status.st_ino, status.st_mtime_ns, status.st_size))
        except OSError:
            found.append(None)
    return tuple(found)


def _tried(grids: Mapping[str, Any]) -> tuple[int, int]:
    """(tuning runs that have ended, all) of all methods."""
    return sum(grid["tried"][0] for grid in grids.values()), sum(grid["tried"][1] for grid in grids.values())


class Pace:
    """How fast tuning runs end, from what was seen of it."""

    def __init__(self) -> None:
        self._since: tuple[float, int] | None = None

    def left(self, grids: Mapping[str, Any]) -> float:
        """Seconds until all have ended, at the pace so far; inf where there is none yet."""
        ended, runs = _tried(grids)
        now = time.monotonic()
        if self._since is None and grids:
            self._since = now, ended
        if self._since is None or ended == self._since[1]:
            return math.inf
        return (now - self._since[0]) * (runs - ended) / (ended - self._since[1])


def _parts(result: Result, problem: str, alive: bool, grids: Mapping[str, Any], left: float) -> dict[str, str]:
    parts = {"progress": json.dumps(_progress(result, problem, alive, grids, left), ensure_ascii=False)}
    if result.runs:
        parts |= {f"section {number}": json.dumps(section(result)) for number, section in enumerate(SECTIONS)}
        parts |= {f"data {key}": embedded(value) for key, value in data.blob(result).items()}
    elif grids:
        tried = replace(result, manifest={**result.manifest, "tuning": grids})
        parts[f"section {SECTIONS.index(tuning)}"] = json.dumps(tuning(tried))
    return parts


def _progress(result: Result, problem: str, alive: bool, grids: Mapping[str, Any], left: float) -> str:
    """The line at the head of the page, as HTML."""
    ended = sum(run.status not in ("running", "waiting", "interrupted") for run in result.runs)
    planned = max(len(result.runs), len(result.scenario.get("methods", ())) * len(result.manifest.get("seeds", ())))
    state = "running" if alive else str(result.manifest.get("status", "waiting for the first run"))
    state = "interrupted" if state == "running" and not alive else state
    running = [run for run in result.runs if run.status == "running"]
    words = [f"<b>{escape(state)}</b>", f"{ended} of {planned} runs ended"]
    tried, tuned = _tried(grids)
    if grids:
        words[1] = f"{tried} of {tuned} tuning runs ended, the {planned} runs of the winners come after them"
        if left < math.inf:
            words.append(f"about {_duration(left)} of tuning left")
    words += [f"{escape(run.label)}, seed {run.seed}: {run.time:.4g} s, k = {run.iterations}" for run in running[:4]]
    if len(running) > 4:
        words.append(f"and {len(running) - 4} more")
    if problem:
        words.append(f"the folder cannot be read just now: {escape(problem)}")
    share = ended + tried + sum(_share(run, result.scenario.get("stop") or {}) for run in running)
    share /= max(1, planned + tuned)
    return f'<progress max="1" value="{share:.4f}"></progress> {" · ".join(words)}'


def _duration(seconds: float) -> str:
    """
    >>> _duration(42.3), _duration(600.0), _duration(40_000.0)
    ('42 s', '10 min', '11 h')
    """
    for most, unit in ((100, 1), (6000, 60), (math.inf, 3600)):
        if seconds < most:
            return f"{seconds / unit:.0f} {({1: 's', 60: 'min', 3600: 'h'})[unit]}"
    return ""


def _share(run: Run, stop: Mapping[str, Any]) -> float:
    """How far a run is, 0…1, as far as its stop rule tells."""
    curves = run.curves
    arrived = (curves["gradients_used"][-1] + curves["gradients_discarded"][-1]) if len(curves["time"]) else 0.0
    reached = {"time": run.time, "iterations": run.iterations, "gradients": arrived}
    return max([0.0, *(min(1.0, float(at / stop[name])) for name, at in reached.items() if stop.get(name))])


# ---- the page


def _page(name: str, version: int, parts: Mapping[str, str]) -> str:
    drawing = "\n".join(asset(script) for script in SCRIPTS)
    scripts = [plotly(), f"{_BEFORE}{drawing}{_AFTER}", asset("live.js")]
    sections = "\n".join(
        f'<div class="part" data-part="{number}">{json.loads(parts.get(f"section {number}", _EMPTY))}</div>'
        for number in range(len(SECTIONS))
    )
    blob = ",".join(f"{json.dumps(key[5:])}:{text}" for key, text in parts.items() if key.startswith("data "))
    text = Template(asset("template.html")).substitute(
        policy=f"{policy(scripts)}; connect-src 'self'",
        title=escape(f"{name}: asyncsim, live"),
        style=f"{asset('style.css')}\n{asset('live.css')}",
        sections=f'<div class="live" role="status" data-version="{version}">{json.loads(parts["progress"])}</div>\n{sections}',
        data=f"{{{blob}}}",
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
    )
    return text.encode("utf-8", "replace").decode()


_EMPTY = '""'
# The report's scripts as one function, to be called again on new elements; frames asked for by an earlier call are dropped.
_BEFORE = """window.asyncsimDraw = (current) => { "use strict";
const requestAnimationFrame = (paint) => window.requestAnimationFrame((at) => { if (current()) paint(at); });
"""
_AFTER = "\nreturn asyncsim; };"


# ---- the server


class Server:
    """The page's server in a thread of its own; a context manager."""

    def __init__(self, live: Live, port: int = 0) -> None:
        self.live = live
        self.token = secrets.token_urlsafe(24)
        self._http = _Http(("127.0.0.1", port), _Handler)
        self._http.ours = self
        self.port = int(self._http.server_address[1])
        self.address = f"http://127.0.0.1:{self.port}/?token={self.token}"
        self.hosts = {f"{name}:{self.port}" for name in ("127.0.0.1", "localhost")}
        self.cookie = f"asyncsim-{self.port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True)

    def __enter__(self) -> "Server":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.live.end(0.0)
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def admits(self, token: str) -> bool:
        """Whether this is the token; takes the same time for all wrong ones."""
        return hmac.compare_digest(
            hashlib.sha256(token.encode("utf-8", "replace")).digest(), hashlib.sha256(self.token.encode()).digest()
        )


class _Http(ThreadingHTTPServer):
    ours: Server
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._places = threading.BoundedSemaphore(VIEWERS)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # who went away is no error
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Http
    timeout = PATIENCE
    server_version, sys_version = "asyncsim", ""

    def do_GET(self) -> None:
        ours, url = self.server.ours, urlsplit(self.path)
        asked = parse_qs(url.query)
        if self.headers.get("Host", "") not in ours.hosts:
            return self._refuse("this page is only for 127.0.0.1")
        if ours.admits(asked.get("token", [""])[0]) and url.path == "/":
            return self._enter()
        if not ours.admits(self._kept_token()):
            return self._refuse("open the address with the token that asyncsim dash has printed")
        if url.path == "/":
            return self._send(HTTPStatus.OK, ours.live.page())
        if url.path == "/events":
            return self._stream(self.headers.get("Last-Event-ID") or asked.get("since", ["0"])[0])
        return self._send(HTTPStatus.NOT_FOUND, "there is nothing here")

    do_HEAD = do_GET  # noqa: N815 - the name is http.server's

    def _kept_token(self) -> str:
        with suppress(CookieError):
            kept = SimpleCookie(self.headers.get("Cookie", "")).get(self.server.ours.cookie)
            return "" if kept is None else kept.value
        return ""

    def _enter(self) -> None:
        ours = self.server.ours
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", "/")
        self.send_header("Set-Cookie", f"{ours.cookie}={ours.token}; HttpOnly; SameSite=Strict; Path=/")
        self._end_headers("text/plain")

    def _refuse(self, words: str) -> None:
        self._send(HTTPStatus.FORBIDDEN, words)

    def _send(self, status: HTTPStatus, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self._end_headers("text/html" if status is HTTPStatus.OK else "text/plain")
        if self.command != "HEAD":
            self.wfile.write(body)

    def _end_headers(self, kind: str) -> None:
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        # the page says in its own head which scripts may run
        self.send_header("Content-Security-Policy", "frame-ancestors 'none'")
        for name, value in (("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"),
                            ("Cross-Origin-Resource-Policy", "same-origin"), ("Cache-Control", "no-store")):  # fmt: skip
            self.send_header(name, value)
        self.end_headers()

    def _stream(self, seen: str) -> None:
        version = int(seen) if seen.isdecimal() and len(seen) < 12 else 0
        live = self.server.ours.live
        self.send_response(HTTPStatus.OK)
        self._end_headers("text/event-stream")
        if self.command == "HEAD":
            return
        with live.viewed():
            while True:
                ended = live.ended
                version, parts = live.since(version)
                self.wfile.write(_event(version, parts) if parts else b": still here\n\n")
                if ended:
                    self.wfile.write(b"event: end\ndata: {}\n\n")
                    return

    def log_message(self, *_: Any) -> None:
        """Nobody needs to read who looked at the page."""


def _event(version: int, parts: Mapping[str, str]) -> bytes:
    # JSON that stands in a script element has no line ends, so it is one line of an event too
    body = ",".join(f"{json.dumps(name)}:{text}" for name, text in parts.items())
    return f"id: {version}\ndata: {{{body}}}\n\n".encode("utf-8", "replace")
