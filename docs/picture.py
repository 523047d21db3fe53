"""Make the pictures of the README from a run folder's report: docs/player.png and docs/player.webp, and docs/quickstart.png.

    python docs/picture.py runs/quickstart

The player is driven moment by moment in a real browser, so the same folder gives the same pictures on the same machine.
Needs the extra `picture` (playwright, pillow) and chromium.
"""

import io
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).parent
WIDTH = 960
UNTIL, FRAMES, HOLD = 175.0, 88, 20  # simulated seconds, frames until then, frames of the last moment
PER_FRAME = 100  # milliseconds
COLOURS = 96
LARGEST = 2 * 2**20  # bytes: a README is to open at once
STILL = 84.0  # simulated seconds; the first method has arrived, the others are on their way

# three stages in a row, and nothing but the player
STYLE = """
main > :not(.player) { display: none !important; } main { padding: 14px 20px 6px !important; max-width: none !important; }
.player { margin: 0 !important; } .player h2, .player .note, .controls .choice, .controls [data-step], .counts .none { display: none !important; }
.stages { grid-template-columns: repeat(3, 1fr) !important; gap: 10px 22px !important; }
.controls { position: static !important; margin: 4px -20px 0 !important; border: 0 !important; backdrop-filter: none !important; }
"""


def main(folder: Path) -> None:
    """Write the pictures of the report in `folder`."""
    with sync_playwright() as session:
        browser = session.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        head = opened(browser, folder, 1200, 1310)
        head.screenshot(path=HERE / "quickstart.png")
        page = opened(browser, folder, WIDTH, 900)
        page.add_style_tag(content=STYLE)
        height = page.evaluate("() => Math.ceil(document.querySelector('.player').getBoundingClientRect().bottom)") + 6
        page.set_viewport_size({"width": WIDTH, "height": height})
        page.wait_for_timeout(300)
        at(page, STILL).save(HERE / "player.png", optimize=True)
        animation(list(moments(page)), HERE / "player.webp")
        browser.close()


def opened(browser: Any, folder: Path, width: int, height: int) -> Page:
    """The report in a window of this size."""
    page: Page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light", bypass_csp=True)
    page.goto((folder / "report.html").resolve().as_uri())
    page.wait_for_timeout(500)
    return page


def moments(page: Page) -> Iterator[Image.Image]:
    """The frames of the animation."""
    for frame in range(FRAMES + 1):
        yield at(page, UNTIL * frame / FRAMES)


def at(page: Page, now: float) -> Image.Image:
    """The player at a moment."""
    page.evaluate(
        """(now) => new Promise((done) => {
          asyncsim.player.go(now);
          requestAnimationFrame(() => requestAnimationFrame(done));
        })""",
        now,
    )
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def animation(frames: list[Image.Image], path: Path) -> None:
    """An endless animation of few colours: what does not move costs nothing, and letters stay sharp."""
    sample = Image.new("RGB", (frames[0].width, frames[0].height * 3))
    for place, frame in enumerate((frames[len(frames) // 4], frames[len(frames) // 2], frames[-1])):
        sample.paste(frame, (0, place * frame.height))
    palette = sample.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few = [frame.quantize(palette=palette, dither=Image.Dither.NONE).convert("RGB") for frame in frames]
    lengths = [PER_FRAME] * (len(few) - 1) + [PER_FRAME * HOLD]
    few[0].save(
        path, save_all=True, append_images=few[1:], duration=lengths, loop=0, lossless=True, quality=80, method=4
    )
    size = path.stat().st_size
    print(f"{path}: {len(few)} frames, {size / 2**20:.2f} MiB")
    if size > LARGEST:
        raise SystemExit(f"{path} has {size} bytes, more than {LARGEST}: fewer frames or colours are needed")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
