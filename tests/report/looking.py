"""What tests that look at pages share; the browser itself is a fixture in conftest.py."""


def settled(page):
    """Two frames later everything asked for has been painted."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
