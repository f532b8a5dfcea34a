"""The report in Chromium, driven by selenium; skipped where there is no Chromium with its driver."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aasce.writers.report.entries import Entry
from aasce.writers.report.html import write_html

FILMS = 500
SECONDS = 2.0
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs Chromium and chromedriver")


def entry(k: int, picture: Path, thumbnail: Path) -> Entry:
    """Film k has a major angle of (7 k mod 61) degrees; every tenth has a flag and every hundredth failed."""
    major = float(7 * k % 61)
    severity = (
        "under 10 degrees" if major < 10 else "mild" if major < 25 else "moderate" if major < 40 else "severe"
    )
    failed = k % 100 == 0
    return Entry(
        name=f"film-{k:03d}" if k != 1 else "<script>alert(1)</script>",
        failure="no spine is found" if failed else "",
        flags=("levels unsure",) if k % 10 == 0 else (),
        degrees=() if failed else (major, major / 2, 0.0),
        definition="" if failed else "challenge",
        severity="" if failed else severity,
        pattern="" if failed else "single main thoracic curve, convex right",
        curves=() if failed else (f"an1 {major:.1f}°, T6 to L1, apex T9",),
        balance=(),
        confidence=0.8,
        solver="vertebra_field",
        picture=picture,
        thumbnail=thumbnail,
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of 500 films with overlays of some 45 kB each, as of real films."""
    return written(tmp_path_factory.mktemp("report"), 52, (40_000, 60_000))


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with coarse overlays, which is opened for every test."""
    return written(tmp_path_factory.mktemp("light"), 1, (1_000, 10_000))


def written(folder: Path, quality: int, size: tuple[int, int]) -> Path:
    grain = np.random.default_rng(0).normal(110, 14, (800, 384)).clip(0, 255).astype(np.uint8)
    Image.fromarray(grain).convert("RGB").save(folder / "p.jpg", quality=quality)
    Image.fromarray(grain[:96, :46]).convert("RGB").save(folder / "t.jpg", quality=70)
    assert size[0] < (folder / "p.jpg").stat().st_size < size[1]
    entries = [entry(k, folder / "p.jpg", folder / "t.jpg") for k in range(FILMS)]
    write_html(folder / "report.html", sorted(entries, key=lambda film: film.rank))
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1400,1000",
    ):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=DRIVER))
    yield driver
    driver.quit()


def processor_seconds(browser: Any) -> float:
    """Processor time of the driver and of all its descendants so far, as Linux counts it; infinite elsewhere."""
    if not Path("/proc/self/stat").is_file():
        return math.inf
    parents, ticks = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rsplit(")", 1)[1].split()
            parents[int(path.parent.name)] = int(fields[1])
            ticks[int(path.parent.name)] = int(fields[11]) + int(fields[12])
    family = {browser.service.process.pid}
    for _ in parents:
        family |= {pid for pid, parent in parents.items() if parent in family}
    return sum(ticks.get(pid, 0) for pid in family) / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def opened(browser: Any, light: Path) -> Iterator[Any]:
    browser.get(light.as_uri())
    yield browser
    assert browser.get_log("browser") == []


def shown(browser: Any) -> list[str]:
    """Names of the films that the table shows, from the top."""
    names: list[str] = browser.execute_script(
        "return [...document.querySelectorAll('#films tbody tr')].filter(r => !r.hidden).map(r => r.cells[1].innerText)"
    )
    return names


def majors(browser: Any) -> list[float]:
    """an1 of the films shown; those that failed have none."""
    texts = browser.execute_script(
        "return [...document.querySelectorAll('#films tbody tr')].filter(r => !r.hidden).map(r => r.cells[4].innerText)"
    )
    return [float(text.rstrip("°")) for text in texts if text != "–"]


def press(browser: Any, heading: str) -> None:
    """Sorts by the keyboard: the button of the heading is focused and Enter is pressed."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    button = next(
        b for b in browser.find_elements(By.CSS_SELECTOR, "thead button") if b.text.startswith(heading)
    )
    button.send_keys(Keys.ENTER)


def test_a_report_of_500_films_opens_in_under_2_seconds_without_an_error(browser: Any, page: Path) -> None:
    taken: list[float] = []
    while len(taken) < 5 and min(taken, default=SECONDS) >= SECONDS:
        before = processor_seconds(browser)
        browser.get(page.as_uri())
        wall = browser.execute_script("return performance.getEntriesByType('navigation')[0].duration / 1000")
        # Where other programs keep the processor busy, what all of the browser's processes used of it counts.
        taken.append(min(wall, processor_seconds(browser) - before))
    assert min(taken) < SECONDS, taken
    assert browser.get_log("browser") == []
    assert browser.find_element("id", "shown").text == "500 of 500 films"
    # Nothing was fetched: the page is all there is.
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0


def test_films_that_failed_or_have_flags_come_first(opened: Any) -> None:
    names = shown(opened)
    assert len(names) == FILMS
    assert names[:6] == ["film-000", "film-100", "film-200", "film-300", "film-400", "film-010"]
    assert "<script>alert(1)</script>" in names


def test_headings_sort_by_the_keyboard_and_say_so(opened: Any) -> None:
    press(opened, "an1")
    assert majors(opened) == sorted(majors(opened), reverse=True)
    assert shown(opened)[-5:] == ["film-000", "film-100", "film-200", "film-300", "film-400"]
    press(opened, "an1")
    assert majors(opened) == sorted(majors(opened))
    assert shown(opened)[-1] == "film-400"  # without an angle: at the end both ways
    order = "return [...document.querySelectorAll('th[aria-sort]')].map(h => h.getAttribute('aria-sort'))"
    assert opened.execute_script(order).count("ascending") == 1
    press(opened, "Film")
    assert shown(opened)[1:] == [f"film-{k:03d}" for k in range(FILMS) if k != 1]


def test_filters_by_text_severity_and_flags(opened: Any) -> None:
    opened.find_element("id", "text").send_keys("FILM-04 levels")
    assert shown(opened) == ["film-040"]
    assert opened.find_element("id", "shown").text == "1 of 500 films"
    opened.find_element("id", "text").clear()
    opened.execute_script(
        "document.getElementById('text').dispatchEvent(new Event('input', {bubbles: true}))"
    )
    opened.find_element("id", "flagged").click()
    assert len(shown(opened)) == 50
    opened.find_element("id", "severity").send_keys("severe")
    assert min(majors(opened)) >= 40
    opened.find_element("id", "text").send_keys("nowhere")
    assert opened.find_element("id", "nothing").is_displayed()


def test_a_picture_opens_its_overlay_and_escape_closes_it(opened: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    opened.execute_script("document.querySelector('.open').focus()")
    opened.switch_to.active_element.send_keys(Keys.ENTER)
    overlay = opened.find_element("id", "overlay")
    natural = "return [arguments[0].complete, arguments[0].naturalWidth, arguments[0].naturalHeight]"
    opened.execute_async_script("const d = arguments[1]; arguments[0].decode().then(() => d())", overlay)
    assert opened.execute_script(natural, overlay) == [True, 384, 800]
    assert opened.find_element("id", "viewer-title").text == "film-000"
    opened.find_element("id", "next").click()
    assert opened.find_element("id", "viewer-title").text == "film-100"
    opened.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not opened.find_element("id", "viewer").is_displayed()
    label = opened.execute_script("return document.activeElement.getAttribute('aria-label')")
    assert label == "Overlay of film-100"
