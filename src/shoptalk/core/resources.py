"""The data that ship with Shoptalk, found wherever it runs: beside the clone's sources, or in an installed package.

A wheel carries `lexicons/`, `assets/`, `recipes/` and the tiny base of `models/` as `shoptalk/resources/`; setup.py
puts them there. So `recipes/demo.yaml` names the same file in a clone and outside of one.
"""

from functools import cache
from pathlib import Path

import shoptalk


@cache
def root() -> Path:
    """The folder that holds what ships: of the installed package, or the top of the clone."""
    package = Path(shoptalk.__file__).resolve().parent
    installed = package / "resources"
    return installed if installed.is_dir() else package.parents[1]


def locate(path: Path) -> Path:
    """The path itself if something is there, else what ships under that name, else the path as it is."""
    shipped = root() / path
    return shipped if not path.exists() and shipped.exists() else path
