"""`shoptalk audition` in Chromium with the real Kokoro: listening, thumbs, corrections, the keyboard, both themes.

The page is watched: no error in the console, nothing against its Content-Security-Policy, no request elsewhere.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("playwright")  # of the extra dev; the rest of the project goes without
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from scripts.browser import opened

from shoptalk.corpus import overrides

pytestmark = pytest.mark.page
ROOT = Path(__file__).parents[3]
WAIT_MS = 60_000
expect.set_options(timeout=WAIT_MS)
TERMS = """\
- {text: metformin, category: drug, ipa: mɛtfˈɔːɹmɪn}
- {text: vildagliptin, category: drug}
- {text: "Tylenol #3", category: drug, spoken: [Tylenol number three]}
"""
COUNT_SOUNDS = """() => {
    window.sounds = 0;
    const play = HTMLMediaElement.prototype.play;
    HTMLMediaElement.prototype.play = function () {
        return play.apply(this).then(() => { sounds += this.duration > 0.3 ? 1 : 0; });
    };
}"""
"""Script that counts clips that began to play and last longer than 0.3 s."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with opened(["--autoplay-policy=no-user-gesture-required"]) as chromium:
        yield chromium


@contextmanager
def audition(folder: Path) -> Iterator[str]:
    """The address of `shoptalk audition`, which Ctrl-C ends; it then tells what was heard."""
    (folder / "terms.yaml").write_text(TERMS)
    (folder / "recipe.yaml").write_text("lexicon: {files: [terms.yaml], pronunciations: pronunciations.yaml}\n")
    command = [sys.executable, "-m", "shoptalk.cli", "audition", "--recipe", "recipe.yaml", "--run", "run"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        # as a terminal starts it; what a script starts with `&` ignores SIGINT
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout
    try:
        yield re.findall(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())[0]
        process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=30)[0]
        assert re.search(r"\d of 3 terms were heard and found right: .*pronunciations\.yaml", told)
    finally:
        process.kill()


@contextmanager
def watched(browser: Browser, address: str, **context: Any) -> Iterator[Page]:
    told: list[str] = []
    hosts: set[str] = set()
    size = {"width": 1280, "height": 860}
    opened_in = browser.new_context(**{"viewport": size, "reduced_motion": "reduce", **context})
    opened_in.set_default_timeout(WAIT_MS)
    page = opened_in.new_page()
    page.on("console", lambda message: told.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    page.add_init_script(f"({COUNT_SOUNDS})()")
    try:
        page.goto(address)
        page.wait_for_selector(".pronunciation")
        yield page
        unexpected = [text for text in told if "400 (Bad Request)" not in text]  # what cannot be spoken, while typing
        assert unexpected == []
        assert hosts <= {urlsplit(address).netloc, ""}
    finally:
        opened_in.close()


def wait_for_sounds(page: Page, count: int) -> None:
    for _ in range(WAIT_MS // 100):
        if page.evaluate("sounds") >= count:
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"{page.evaluate('sounds')} of {count} clips played")


def test_a_term_is_heard_judged_and_corrected(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "pronunciations.yaml"
    with audition(tmp_path) as address, watched(browser, address) as page:
        expect(page.locator("#count")).to_have_text("0 of 3 terms heard and found right.")
        page.get_by_role("button", name="Play mɛtfˈɔːɹmɪn").click()
        wait_for_sounds(page, 1)
        page.get_by_role("button", name="Right: mɛtfˈɔːɹmɪn").click()
        expect(page.locator("#problem-text")).to_contain_text("who listens")
        assert not path.exists()
        page.fill("#listener", "A. Nurse")
        page.get_by_role("button", name="Right: mɛtfˈɔːɹmɪn").click()
        expect(page.locator("#text")).to_have_text("vildagliptin")  # the next one follows, and is played
        wait_for_sounds(page, 2)
        expect(page.locator("#count")).to_have_text("1 of 3 terms heard and found right.")

        page.fill("#written", "vil-da-glip-tin")
        expect(page.locator("#checked")).to_contain_text("capitals")
        expect(page.locator("#save")).to_be_disabled()
        page.fill("#written", "vil-duh-GLIP-tin")
        expect(page.locator("#checked")).to_have_text("vɪldəˈɡlɪptɪn")
        page.click("#listen")
        wait_for_sounds(page, 3)
        page.click("#save")
        expect(page.locator("#count")).to_have_text("2 of 3 terms heard and found right.")
        expect(page.locator(".pronunciation")).to_have_count(2)
        page.select_option("#filter", "unheard")
        expect(page.locator("#terms button")).to_have_count(1)
    first, second = overrides.read(path)
    assert (first.text, first.ipa, first.verdict) == ("metformin", "mɛtfˈɔːɹmɪn", "right")
    assert (second.text, second.respelling, second.verified_by) == ("vildagliptin", "vil-duh-GLIP-tin", "A. Nurse")


def test_all_of_it_goes_by_keyboard(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "pronunciations.yaml"
    with audition(tmp_path) as address, watched(browser, address) as page:
        page.fill("#listener", "A. Nurse")
        page.locator("#text").focus()
        page.keyboard.press("Space")
        wait_for_sounds(page, 1)
        page.keyboard.press("w")
        expect(page.locator("#written")).to_be_focused()
        page.keyboard.type("MET-for-min")
        page.keyboard.press("Enter")
        wait_for_sounds(page, 2)
        page.keyboard.press("Control+Enter")
        expect(page.locator("#text")).to_be_focused()
        expect(page.locator(".pronunciation")).to_have_count(2)
        page.keyboard.press("j")
        expect(page.locator("#text")).to_have_text("vildagliptin")
        page.keyboard.press("r")
        expect(page.locator("#text")).to_have_text("Tylenol #3")
        page.keyboard.press("k")
        expect(page.locator("#text")).to_have_text("vildagliptin")
        expect(page.locator(".verdict.right")).to_have_attribute("aria-pressed", "true")
        page.keyboard.press("u")
        expect(page.locator("#count")).to_have_text("1 of 3 terms heard and found right.")
        page.keyboard.press("?")
        expect(page.locator("#shortcuts")).to_be_visible()
        page.keyboard.press("Escape")
    assert [(entry.text, entry.verdict) for entry in overrides.read(path)] == [
        ("metformin", "wrong"),
        ("metformin", "right"),
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_it_can_be_used_by_all_in_light_and_dark_wide_and_narrow(
    browser: Browser, tmp_path: Path, theme: str, width: int
) -> None:
    size = {"width": width, "height": 800}
    with audition(tmp_path) as address, watched(browser, address, viewport=size, color_scheme=theme) as page:
        page.fill("#written", "met-for")
        expect(page.locator("#checked")).to_contain_text("capitals")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert Axe().run(page).response["violations"] == []
