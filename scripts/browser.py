"""Chromium of the system, driven by Playwright: for the page's tests, and for pictures in documents."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def find_browser() -> str:
    """The program; `SystemExit` with what to do if there is none."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        raise SystemExit("no Chromium found; install it: sudo apt-get install chromium")
    return program


def flags() -> list[str]:
    """What Chromium needs on this machine."""
    return ["--no-sandbox"] if os.geteuid() == 0 else []  # it refuses to start its sandbox as root


@contextmanager
def opened(arguments: Sequence[str] = ()) -> Iterator["Browser"]:
    """A browser without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=[*flags(), *arguments])
        try:
            yield browser
        finally:
            browser.close()


def speaking(recording: Path) -> list[str]:
    """Arguments for a browser whose microphone has a WAV file, once, and that lets every page use it."""
    return [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={recording}%noloop",
    ]
