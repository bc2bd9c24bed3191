"""A real Chromium, Debian's, driven by its own driver; it makes no connection that the page does not ask for.

with chromium((1280, 900)) as browser:
    browser.get("http://127.0.0.1:8080/")
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
    *("--no-first-run", "--disable-quic", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--disable-extensions", "--lang=en"),
)


@contextlib.contextmanager
def chromium(size: tuple[int, int]) -> Iterator[Chrome]:
    """A browser with a window of ``size`` pixels and an empty profile; gone at the end, with all that it wrote."""
    with tempfile.TemporaryDirectory(prefix="chromium-") as profile:
        options = ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for flag in (*_FLAGS, f"--user-data-dir={profile}", "--window-size={},{}".format(*size)):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        browser = Chrome(options, Service("/usr/bin/chromedriver"))
        try:
            yield browser
        finally:
            browser.quit()
