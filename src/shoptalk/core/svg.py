"""The parts of the pages' charts: lines, texts and the picture around them, as inline SVG."""

from collections.abc import Sequence


def line(x1: float, y1: float, x2: float, y2: float, style: str = "bar") -> str:
    """A line; `style` is a CSS class of the shared style sheet."""
    place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line class="{style}" {place} stroke="currentColor" />'


def text(x: float, y: float, content: str, anchor: str) -> str:
    """A text, escaped; `anchor` is ``start``, ``middle`` or ``end``."""
    from markupsafe import escape

    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(content)}</text>'


def picture(parts: Sequence[str], title: str, *, width: float, height: float) -> str:
    """The parts as one picture, marked as safe for templates; `title` is read to those who do not see it."""
    from markupsafe import Markup, escape

    head = f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(title)}">'
    return Markup(head + "".join(parts) + "</svg>")
