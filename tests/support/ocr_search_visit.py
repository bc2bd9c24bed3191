"""A visit to ocr-search's web page in a real Chromium, as a program: it runs where the container is reached.

    python -m tests.support.ocr_search_visit ADDRESS SCAN FOLDER

Uploads SCAN, asks, goes through the answers with the keyboard, and looks at the page wide, narrow and dark. Pictures go to
FOLDER; what it saw is printed as one line of JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from testbed.browser import chromium

WIDE, NARROW = (1280, 1000), (390, 1300)
QUESTION = "Which ship was wrecked?"
WITHIN_S = 240
_FITS = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
_UNNAMED = """
return [...document.querySelectorAll("button, input, meter, progress, img")].filter(element =>
  !(element.textContent.trim() || element.labels?.length || element.ariaLabel || element.alt)).map(one => one.outerHTML)
"""
_BOXES_LIE_ON_THE_PICTURE = """
const picture = document.querySelector("#picture").getBoundingClientRect();
return [...document.querySelectorAll("polygon")].every(polygon => {
  const box = polygon.getBoundingClientRect();
  return box.width > 0 && box.left >= picture.left - 2 && box.right <= picture.right + 2
    && box.top >= picture.top - 2 && box.bottom <= picture.bottom + 2;
})
"""


def main(address: str, scan: str, folder: str) -> None:
    """Visit and print."""
    pictures = Path(folder)
    with chromium(WIDE) as browser:
        browser.get(address)
        seen = upload(browser, Path(scan), pictures)
        seen |= ask(browser)
        browser.save_screenshot(str(pictures / "wide.png"))
        seen |= walk(browser)
        browser.set_window_size(*NARROW)
        seen["narrow_fits"] = browser.execute_script(_FITS)
        browser.save_screenshot(str(pictures / "narrow.png"))
        browser.set_window_size(*WIDE)
        browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
        )
        seen["dark_background"] = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        browser.save_screenshot(str(pictures / "dark.png"))
        seen |= {
            "asked_hosts": asked_hosts(browser),
            "console": [line["message"] for line in browser.get_log("browser")],
        }
    print(json.dumps(seen))


def upload(browser: Chrome, scan: Path, pictures: Path) -> dict[str, Any]:
    """Send a scan and wait until it is read; its progress and its state are said."""
    browser.find_element(By.ID, "file").send_keys(str(scan))
    browser.find_element(By.CSS_SELECTOR, "#upload button").click()
    wait(browser, lambda: text(browser, "#page-title") == scan.name)
    states = set()

    def is_read() -> bool:
        states.add(
            browser.execute_script("return document.querySelector('#pages li:last-child small').textContent.trim()")
        )
        return "read" in states

    browser.save_screenshot(str(pictures / "reading.png"))
    wait(browser, is_read)
    wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, "#boxes polygon"))
    return {"states": sorted(states), "lines": count(browser, "#lines li"), "boxes": count(browser, "#boxes polygon")}


def ask(browser: Chrome) -> dict[str, Any]:
    """Type a question and press Enter."""
    browser.find_element(By.ID, "query").send_keys(QUESTION, Keys.ENTER)
    wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, "#hits button"))
    wait(browser, lambda: "the best on" in text(browser, "#status"))
    return {
        "status": text(browser, "#status"),
        "hits": [hit.text for hit in browser.find_elements(By.CSS_SELECTOR, "#hits button")],
        "title": text(browser, "#page-title"),
        "caption": text(browser, "#caption"),
        "best_boxes": count(browser, "polygon.best"),
        "hit_boxes": count(browser, "polygon.hit"),
        "boxes_lie_on_the_picture": browser.execute_script(_BOXES_LIE_ON_THE_PICTURE),
        "unnamed": browser.execute_script(_UNNAMED),
    }


def walk(browser: Chrome) -> dict[str, Any]:
    """From the question to the second answer and to a page, with Tab and Enter alone."""
    browser.find_element(By.ID, "query").click()
    press(browser, Keys.TAB, Keys.TAB, Keys.TAB)  # the button "Ask", the first answer, the second
    outline = browser.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
    press(browser, Keys.ENTER)
    second = "#hits li:nth-child(2) button"
    wait(browser, lambda: attribute(browser, second, "aria-current") == "true")
    return {"outline": outline, "walked_to": text(browser, "#page-title"), "walked_caption": text(browser, "#caption")}


def asked_hosts(browser: Chrome) -> list[str]:
    """Every host that the page asked for anything."""
    messages = (json.loads(entry["message"])["message"] for entry in browser.get_log("performance"))
    sent = (message for message in messages if message["method"] == "Network.requestWillBeSent")
    addresses = (urlsplit(message["params"]["request"]["url"]) for message in sent)
    return sorted({address.netloc for address in addresses if address.scheme not in {"chrome", "data"}})


def press(browser: Chrome, *keys: str) -> None:
    for key in keys:
        browser.switch_to.active_element.send_keys(key)


def wait(browser: Chrome, true: Callable[[], object]) -> None:
    WebDriverWait(browser, WITHIN_S, poll_frequency=0.2).until(lambda _: true())


def text(browser: Chrome, selector: str) -> str:
    return browser.find_element(By.CSS_SELECTOR, selector).text


def attribute(browser: Chrome, selector: str, name: str) -> str | None:
    return browser.find_element(By.CSS_SELECTOR, selector).get_attribute(name)


def count(browser: Chrome, selector: str) -> int:
    return len(browser.find_elements(By.CSS_SELECTOR, selector))


if __name__ == "__main__":
    main(*sys.argv[1:])
