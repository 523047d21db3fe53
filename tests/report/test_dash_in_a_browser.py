"""The live page in a real browser: it follows a real run, written by another process, without being loaded anew."""

import dataclasses
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from factories import make_result
from report.looking import settled

import asyncsim
from asyncsim.dash import Live, Server
from asyncsim.folder import RunFolder
from asyncsim.result import CURVES, Result

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

# methods that go on until the page was seen to follow, and then come to an end
PACED = """
import time
from pathlib import Path
from asyncsim import Gradient

class Paced:
    def run(self, server):
        while server.k < 300 or not Path("seen").exists():
            server.broadcast(Gradient(server.x))
            arrival = server.receive()
            if not Path("seen").exists():
                time.sleep(0.002)
            server.step(0.05 / (1 + arrival.delay), arrival.gradient)
"""
SCENARIO = """
name: live
workers: {count: 6, compute_time: {distribution: exponential, mean: i}}
problem: {name: quadratic, dimension: 40}
methods:
  - {name: "paced:Paced", label: one}
  - {name: "paced:Paced", label: another}
stop: {wall_clock: 150}
record: {every: 20}
"""


@contextmanager
def looked_at(browser, folder):
    """The live page of a folder, opened; afterwards it must have been silent and asked nobody but its own server."""
    complaints, requests = [], []
    with Server(Live(folder)) as server:
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(server.address)
        settled(page)
        page.evaluate("() => { window.loadedOnce = true; }")
        yield page
        assert page.evaluate("() => window.loadedOnce")
        page.close()
    assert complaints == []
    own = f"http://127.0.0.1:{server.port}/"
    assert [url for url in requests if not url.startswith((own, "data:", "blob:"))] == []


def last_time(page) -> float:
    """The last simulated second of the first method's curve, as it is drawn."""
    return page.evaluate(
        """() => { const place = document.querySelector("[data-curves=time]");
          return Math.max(-1, ...((place && place.data) || []).flatMap((trace) => trace.x)); }"""
    )


@contextmanager
def ending(file):
    """The methods end after this, also where it goes wrong."""
    try:
        yield
    finally:
        file.touch()


RANGE = "() => document.querySelector('[data-curves=time]')._fullLayout.xaxis.range"


def zoom(page) -> list[float]:
    """Drag a piece of the first chart out; the range of seconds that is then drawn."""
    place = page.locator("[data-curves=time]")
    place.scroll_into_view_if_needed()
    box = place.bounding_box()
    whole = page.evaluate(RANGE)
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.5 * box["height"], steps=4)
    page.mouse.up()
    page.wait_for_function(f"(whole) => ({RANGE})()[0] > whole[0]", arg=whole)
    return page.evaluate(RANGE)


def test_the_page_follows_a_real_run_to_its_end(browser, tmp_path: Path) -> None:
    (tmp_path / "scenario.yaml").write_text(SCENARIO)
    (tmp_path / "paced.py").write_text(PACED)
    environment = {**os.environ, "PYTHONPATH": str(Path(asyncsim.__file__).parent.parent)}
    command = [sys.executable, "-m", "asyncsim", "run", "scenario.yaml", "-o", "run", "-q", "-p", "1", "--allow-code"]
    started = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    with started as process, ending(tmp_path / "seen"), looked_at(browser, tmp_path / "run") as page:
        page.wait_for_selector("[data-curves=time].js-plotly-plot", timeout=60_000)
        first, table = last_time(page), page.locator("table").first.inner_text()
        page.wait_for_function(
            """(first) => { const place = document.querySelector("[data-curves=time]");
              return Math.max(...((place && place.data) || []).flatMap((trace) => trace.x)) > first; }""",
            arg=first, timeout=60_000,
        )  # fmt: skip
        (tmp_path / "seen").touch()
        assert process.wait(90) == 0
        # a method more, the timeline and the player came with the runs' ends
        page.wait_for_function("() => /2 of 2 runs ended/.test(document.querySelector('.live').textContent)", timeout=60_000)  # fmt: skip
        page.wait_for_function("() => document.querySelectorAll('[data-lanes]').length === 2", timeout=60_000)
        assert page.locator("table").first.inner_text() != table
        assert page.locator("input[data-method]").count() == 2
        run = Result.read(tmp_path / "run", events=False).runs
        assert last_time(page) == pytest.approx(max(each.time for each in run), rel=1e-3)
        page.locator("[data-play]").click()
        settled(page)


def test_choices_and_zoom_stay_while_curves_grow_and_a_new_run_keeps_the_choices(browser, tmp_path: Path) -> None:
    result = make_result(methods=("ringmaster_asgd", "rennala_sgd"), seeds=(0,))
    manifest = {"name": "grows", "scenario": {"methods": [{}, {}, {}]}, "seeds": [0], "problem": result.problem}
    with RunFolder.create(tmp_path / "run", manifest, "") as folder:
        writers = [folder.writer(i, run.label, run.method, {}, 0, run.n) for i, run in enumerate(result.runs)]
        for run, writer in zip(result.runs, writers, strict=True):
            for point in range(20):
                writer.curve({name: float(run.curves[name][point]) for name in CURVES})
        folder.flush()
        with looked_at(browser, tmp_path / "run") as page:
            page.locator("input[data-method=rennala_sgd]").uncheck()
            page.locator("label:has(input[name=y-axis][value=linear])").click()
            zoomed = zoom(page)
            for point in range(20, 41):
                writers[0].curve({name: float(result.runs[0].curves[name][point]) for name in CURVES})
            folder.flush()
            page.wait_for_function("() => document.querySelector('.live').textContent.includes(': 60 s')")
            page.wait_for_function(
                "() => Math.max(...document.querySelector('[data-curves=time]').data.flatMap((t) => t.x)) === 60"
            )
            shown = (
                "() => [...document.querySelectorAll('input:checked')].map((box) => box.dataset.method || box.value)"
            )
            assert page.evaluate(RANGE) == zoomed
            before = page.evaluate(shown)
            assert "rennala_sgd" not in before
            assert "linear" in before
            more = dataclasses.replace(result.runs[0], label="another", method="hero_sgd")
            folder.writer(2, more.label, more.method, {}, 0, more.n).finish(more)
            page.wait_for_selector("input[data-method=another]")
            page.wait_for_selector("[data-lanes=another]")
            after = page.evaluate(shown)
            assert set(before) <= set(after)
            assert "rennala_sgd" not in after
