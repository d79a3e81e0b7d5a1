"""Take the pictures of the service's page that documents show: a service with the tiny base, Chromium, two voices.

    python scripts/pictures_of_page.py [FOLDER]

Without a folder they go to docs/: page.png, page-dark.png, page-narrow.png. A folder gets all states of the page, for
whoever changes how it looks: empty, while it transcribes, with a transcript, with an error; light, dark and narrow.
"""

import argparse
import io
import tempfile
from pathlib import Path

from browser import opened
from page_service import serving, write_consultation
from PIL import Image
from playwright.sync_api import Browser, Page, Route

ROOT = Path(__file__).parents[1]
WIDE, NARROW = (1200, 800), (360, 760)
MOST_BYTES = 150_000
COLOURS = 64
WAIT_MS = 60_000
NAMES = {("light", WIDE): "page", ("dark", WIDE): "page-dark", ("light", NARROW): "page-narrow"}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="where all states go")
    folder: Path | None = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as temporary, serving(Path(temporary)) as url, opened() as browser:
        recording = Path(temporary) / "visit.wav"
        write_consultation(recording, channels=2)
        for (scheme, size), name in NAMES.items():
            page = open_page(browser, url, scheme, size)
            if folder is None:
                transcribe(page, recording)
                take(page, ROOT / "docs" / f"{name}.png")
            else:
                folder.mkdir(parents=True, exist_ok=True)
                take_all(page, recording, folder / name)
            page.context.close()


def open_page(browser: Browser, url: str, scheme: str, size: tuple[int, int]) -> Page:
    viewport = {"width": size[0], "height": size[1]}
    context = browser.new_context(color_scheme=scheme, viewport=viewport, reduced_motion="reduce")
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    page.goto(url)
    page.evaluate("document.fonts.ready")
    return page


def transcribe(page: Page, recording: Path) -> None:
    """A transcript of two speakers in which one word was corrected and one is played."""
    page.check("input[value=each]")
    page.set_input_files("#file", recording)
    page.wait_for_selector("body[data-view=result]")
    page.locator("#words .word", has_text="headaches").first.dblclick()
    page.keyboard.type("headaches.")
    page.keyboard.press("Enter")
    page.keyboard.press("n")
    page.evaluate("document.querySelector('#audio').pause()")
    page.locator("#position").fill("9.4")
    page.mouse.move(0, 0)
    page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
    page.wait_for_timeout(500)


def take_all(page: Page, recording: Path, stem: Path) -> None:
    """Every state of the page."""
    take(page, stem.with_name(f"{stem.name}-1-start.png"))
    page.fill("#term", "apixaban, metoprolol, torsade de pointes,")
    page.route("**/transcriptions", stay_busy)
    page.set_input_files("#file", recording)
    page.wait_for_function("() => document.querySelector('#progress-text').textContent.includes('by itself')")
    take(page, stem.with_name(f"{stem.name}-2-busy.png"))
    page.click("#cancel")
    page.unroute_all()
    take(page, stem.with_name(f"{stem.name}-3-terms.png"))
    (stem.parent / "text.txt").write_text("no audio")
    page.set_input_files("#file", stem.parent / "text.txt")
    page.wait_for_selector("#problem:visible")
    take(page, stem.with_name(f"{stem.name}-4-error.png"))
    transcribe(page, recording)
    take(page, stem.with_name(f"{stem.name}-5-result.png"))
    page.locator("#words .word").nth(12).dblclick()
    take(page, stem.with_name(f"{stem.name}-6-edit.png"))
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    take(page, stem.with_name(f"{stem.name}-7-shortcuts.png"))


def stay_busy(route: Route) -> None:
    error = {"message": "the server is busy: 128 requests wait; try again in 20 s", "code": "queue_full"}
    route.fulfill(status=429, headers={"retry-after": "20"}, json={"error": error})


def take(page: Page, picture: Path) -> None:
    """The window as PNG with a palette."""
    with Image.open(io.BytesIO(page.screenshot())) as drawn:
        drawn.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(picture, optimize=True)
    size = picture.stat().st_size
    if size > MOST_BYTES:
        raise SystemExit(f"{picture}: {size} bytes, more than {MOST_BYTES}; take a smaller window")
    print(f"{picture}: {size} bytes")


if __name__ == "__main__":
    main()
