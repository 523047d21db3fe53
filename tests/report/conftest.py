"""A real browser for the tests that look at pages."""

import shutil

import pytest
from report.looking import settled

from asyncsim.report import write_report

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


@pytest.fixture(scope="session")
def browser():
    """Debian's chromium, driven by playwright."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: the page is not tried in a browser"
    )
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: the page is not tried in a browser")
    with playwright.sync_playwright() as session:
        started = session.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield started
        started.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Opens the report of a result; afterwards the page must have been silent and asked for nothing but its file."""
    complaints, requests, pages = [], [], []

    def open_page(result, width=1400, write=write_report, **options):
        path = write(result, tmp_path / "report.html")
        page = browser.new_page(viewport={"width": width, "height": 900}, **options)
        page.on(
            "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        settled(page)
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
