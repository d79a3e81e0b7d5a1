"""A picture of `cpu.py`'s figures: how many seconds of audio each recogniser hears in one, load by load."""

from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

ROW, LEFT, WIDTH, VALUE = 17, 132, 470, 60
TITLES = {"base": "The tiny base, real recordings", "parakeet": "Parakeet TDT 0.6B's shape, random weights"}
STYLE = """
    text { fill: #24292f; font-size: 12px; } .title { font-size: 15px; font-weight: 600; } .load { font-weight: 600; }
    .paper { fill: #ffffff; } .shoptalk { fill: #1f6feb; } .NeMo { fill: #4d8a1e; } .onnx-asr { fill: #bf6a02; }
    .sherpa-onnx { fill: #8250df; } .int8 { fill-opacity: 0.6; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; } .paper { fill: #0d1117; } .shoptalk { fill: #58a6ff; } .NeMo { fill: #7ec94e; }
      .onnx-asr { fill: #e3a13b; } .sherpa-onnx { fill: #b78cf2; }
    }"""


def draw(result: Mapping[str, Any]) -> str:
    """One panel beside the other for each model that was measured; bars begin at 0, longer is faster."""
    panels = [_panel(result[model], title, LEFT + WIDTH + VALUE) for model, title in TITLES.items() if model in result]
    height = max((height for _, height in panels), default=0) + 40
    width = (LEFT + WIDTH + VALUE) * len(panels)
    placed = "".join(
        f'<g transform="translate({number * (LEFT + WIDTH + VALUE)} 0)">{body}</g>'
        for number, (body, _) in enumerate(panels)
    )
    machine = f"{result['machine']['cpu']}, {result['threads']} threads, {result['isa']}, {result['date']}"
    note = f'<text x="12" y="{height - 12}">Seconds of audio heard in a second; {escape(machine)}</text>'
    head = '<svg xmlns="http://www.w3.org/2000/svg" role="img" font-family="system-ui, Helvetica, Arial, sans-serif"'
    label = 'aria-label="Speed of the engine beside NeMo, onnx-asr and sherpa-onnx"'
    paper = f'<rect class="paper" width="{width}" height="{height}" />'
    return f'{head} {label} viewBox="0 0 {width} {height}"><style>{STYLE}</style>{paper}{placed}{note}</svg>\n'


def _panel(variants: Mapping[str, Any], title: str, width: int) -> tuple[str, int]:
    measured = {name: one["loads"] for name, one in variants.items() if "loads" in one}
    parts, y = [f'<text class="title" x="12" y="26">{escape(title)}</text>'], 44
    for load in next(iter(measured.values()), ()):
        parts.append(f'<text class="load" x="12" y="{y + 12}">{escape(load)}</text>')
        y += ROW
        rates = {name: loads[load]["rtfx"] for name, loads in measured.items()}
        for name, rate in rates.items():
            long = WIDTH * rate / max(rates.values())
            parts.append(f'<text x="{LEFT - 6}" y="{y + 12}" text-anchor="end">{escape(name)}</text>')
            parts.append(f'<rect class="{name}" x="{LEFT}" y="{y + 2}" width="{long:.1f}" height="{ROW - 4}" />')
            parts.append(f'<text x="{LEFT + long + 6:.1f}" y="{y + 12}">{rate:.3g}</text>')
            y += ROW
        y += 8
    return "".join(parts), y
