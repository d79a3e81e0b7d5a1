"""Take the picture of a report that README shows, with Chromium.

    python scripts/picture_of_report.py runs/demo docs/report.png

The first argument is a run folder or a page. Chromium or Chrome must be installed (Debian package `chromium`).
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from browser import find_browser, flags

MOST_BYTES = 300_000
TIMEOUT_S = 120


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path, help="run folder, or an HTML page")
    parser.add_argument("picture", type=Path, help="PNG file to write")
    parser.add_argument("--width", type=int, default=960, help="of the window, in pixels")
    parser.add_argument("--height", type=int, default=1100, help="of the window; the page below it is cut off")
    options = parser.parse_args()
    page = options.report / "70-scores" / "report.html" if options.report.is_dir() else options.report
    if not page.is_file():
        return fail(f"{page}: no such page; run `shoptalk evaluate` first")
    take(find_browser(), page, options.picture, width=options.width, height=options.height)
    size = options.picture.stat().st_size
    if size > MOST_BYTES:
        return fail(f"{options.picture}: {size} bytes, more than {MOST_BYTES}; take a smaller window")
    print(f"{options.picture}: {size} bytes")
    return 0


def take(browser: str, page: Path, picture: Path, *, width: int, height: int) -> None:
    """Let the browser draw the page, in light colours and without a profile of the user's."""
    picture.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, "--headless=new", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}"]
        command += [f"--window-size={width},{height}", f"--screenshot={picture.resolve()}"]
        command += [*flags(), page.resolve().as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    if not picture.is_file():
        raise SystemExit(f"picture_of_report: the browser wrote no picture:\n{done.stderr[-2000:]}")


def fail(message: str) -> int:
    print(f"picture_of_report: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
