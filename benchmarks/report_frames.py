"""How long a frame of the report takes in a real browser: the player at play, the timeline of 100 workers being moved.

    python benchmarks/report_frames.py [REPORT]

Without a report it runs 100 workers until 10⁵ gradients have ended, keeps all events, and looks at that. Milliseconds spent
in painting: least, median, 95th percentile of 120 frames. On a busy machine the least tells most.
"""

import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

import asyncsim

SCENARIO = {
    "name": "frames",
    "seed": 0,
    "workers": {"count": 100, "compute_time": {"distribution": "exponential", "mean": "sqrt(i)"}},
    "problem": {"name": "none"},
    "methods": [{"name": "ringmaster_asgd", "stepsize": 0.2, "threshold": 30}],
    "stop": {"gradients": 99_900},
    "record": {"points": 200, "events": "all"},
}

PLAYER = """async () => {
  const frame = () => new Promise((done) => requestAnimationFrame(done)), { player } = asyncsim, costs = [];
  document.querySelector(".player").scrollIntoView();
  for (let i = 0; i < 5; i++) await frame();
  player.go(player.state.range.from + 2 * player.seconds());
  player.start();
  for (let i = 0; i < 120; i++) { await frame(); costs.push(Number(document.querySelector(".player").dataset.cost)); }
  player.pause();
  return costs;
}"""

TIMELINE = """async (zooms) => {
  const frame = () => new Promise((done) => requestAnimationFrame(done)), costs = [], lanes = document.querySelector(".lanes");
  const press = (key) => lanes.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  lanes.scrollIntoView();
  const last = [...document.querySelectorAll("input[name=window]")].at(-1);
  if (last && !last.checked) last.click();
  press("0");
  for (let i = 0; i < zooms; i++) press("+");
  await frame(); await frame();
  for (let i = 0; i < 120; i++) {
    press(i % 20 < 10 ? "ArrowRight" : "ArrowLeft");
    await frame();
    costs.push(Number(document.querySelector(".timeline").dataset.cost));
  }
  return costs;
}"""


def said(name: str, costs: list[float]) -> None:
    """One line of the answer."""
    ordered = sorted(costs)
    print(f"{name:34} {ordered[0]:6.1f} {statistics.median(ordered):6.1f} {ordered[int(0.95 * len(ordered))]:6.1f}")


def looked_at(page: Page) -> None:
    """All measurements of an open report."""
    print(f"{'milliseconds a frame':34} {'least':>6} {'median':>6} {'95 %':>6}")
    said("player", page.evaluate(PLAYER))
    for zooms, name in ((0, "whole"), (5, "zoomed in × 8"), (15, "zoomed in × 400")):
        said(f"timeline, {name}", page.evaluate(TIMELINE, zooms))


def main(report: Path) -> None:
    """Open the report and measure."""
    with sync_playwright() as session:
        browser = session.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(report.resolve().as_uri())
        page.wait_for_timeout(500)
        looked_at(page)
        browser.close()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(asyncsim.run(SCENARIO, output=Path(folder, "frames"), progress=False).report())
