"""What the HTML pages share: their templates, their style sheet, recordings, and the place of the gate's banner."""

import base64
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from shoptalk.core import audio
from shoptalk.core.records import Samples

GATE_BEGIN, GATE_END = "<!-- gate -->", "<!-- /gate -->"
"""Between these marks of the report, `shoptalk gate` writes what it decided."""

STYLE = "page.css"
"""The style sheet's name in templates; it lies beside this file."""


def environment(package: str | None, **filters: Callable[..., str]) -> Any:
    """A jinja2 environment with the templates of a package, the shared style sheet, and filters that write figures.

    All values are escaped; a name that the template uses and nobody gave is an error.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    def read(name: str) -> str:
        folder = __package__ if name == STYLE else package
        return files(folder or __package__).joinpath(name).read_text(encoding="utf-8")

    made = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, loader=FunctionLoader(read)
    )
    made.filters.update(filters)
    return made


def data_url(samples_T: Samples) -> str:
    """A recording as it stands in a page."""
    return "data:audio/ogg;base64," + base64.b64encode(audio.opus(samples_T)).decode()
