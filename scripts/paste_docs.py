"""Write what is known into the documents: help of commands, keys of the recipe, settings, models, test sets, GPU runs.

    python scripts/paste_docs.py            # rewrite what stands between the marks
    python scripts/paste_docs.py --check    # change nothing; status 1 if a document is not current

The marks are comments. Each ends with the same comment and a slash, such as ``<!-- /help:COMMAND -->``:

- ``<!-- help:COMMAND -->``: the help of a command; ``shoptalk`` for the list of all.
- ``<!-- keys:SECTION -->``: a section of the recipe; ``recipe`` for the keys that are in no section.
- ``<!-- settings:serve -->``: the settings of the service.
- ``<!-- models:sources -->``, ``<!-- models:hashes -->``: the model store.
- ``<!-- sets:catalogue -->``: the known test sets.
- ``<!-- gpu:speed -->``, ``<!-- gpu:training -->``: what was measured on a GPU, from results/.
- ``<!-- live:figures -->``: what was measured of live streams, from results/live.json.
- ``<!-- capacity:NAME -->``: what `shoptalk capacity` prints for the options in `CAPACITY`, from results/.
"""

import argparse
import contextlib
import io
import json
import os
import re
import shlex
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
import yaml
from pydantic.fields import FieldInfo

from shoptalk.cli import build_parser
from shoptalk.cli import main as cli_main
from shoptalk.core.files import write_text
from shoptalk.core.models import store
from shoptalk.core.recipe import NoEffect, Recipe, Section
from shoptalk.service.settings import Settings
from shoptalk.testsets import catalogue

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 120
MOST_FILES = 10
"""A model of more files has no row for each."""
MARKED = re.compile(
    r"<!-- (help|keys|settings|models|sets|gpu|live|capacity):([a-z]+) -->\n.*?<!-- /\1:\2 -->", re.DOTALL
)
NAMES = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`", Path: "path", Any: "value"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; status 1 if a document is not current")
    is_check = parser.parse_args().check
    stale = False
    for path in documents(ROOT):
        old = path.read_text(encoding="utf-8")
        new = pasted(old)
        if new == old:
            continue
        stale = True
        if is_check:
            print(f"{path.relative_to(ROOT)}: not current; run `make docs`")
        else:
            write_text(path, new)
            print(f"{path.relative_to(ROOT)}: written")
    return int(is_check and stale)


def documents(root: Path) -> list[Path]:
    """README and the pages below docs/."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def pasted(text: str) -> str:
    """A document with everything between its marks made anew."""
    return MARKED.sub(lambda match: block(match.group(1), match.group(2)), text)


def block(kind: str, name: str) -> str:
    """What stands between two marks, and the marks."""
    makers = {
        "help": command_help,
        "keys": section_keys,
        "settings": lambda section: "\n".join(lines_of(Settings, section)),
        "models": models,
        "sets": known_test_sets,
        "gpu": gpu_figures,
        "live": live_figures,
        "capacity": capacity_plan,
    }
    content = makers[kind](name)
    return f"<!-- {kind}:{name} -->\n{content}\n<!-- /{kind}:{name} -->"


def command_help(name: str) -> str:
    """The help of a command as a block of text; of one with actions also the help of each."""
    os.environ["COLUMNS"] = "100"  # argparse wraps at the width of the terminal
    parser = build_parser()
    parsers = [parser]
    if name != "shoptalk":
        command = subparsers(parser)[name]
        parsers = [command, *subparsers(command).values()]
    return "\n\n".join(f"```text\n{shown.format_help().strip()}\n```" for shown in parsers)


def subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of a parser's subcommands, by name."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def section_keys(name: str) -> str:
    """A list of the keys of a section: type, default and meaning of each."""
    if name == "recipe":
        fields = Recipe.model_fields.items()
        lines = [line(key, field) for key, field in fields if not section_of(field)]
    else:
        section = section_of(Recipe.model_fields[name])
        if section is None:
            raise KeyError(f"{name} is no section of the recipe")
        lines = list(lines_of(section, name))
    return "\n".join(lines)


def lines_of(section: type[Section], prefix: str) -> Iterator[str]:
    """The keys of a section, then those of the sections in it."""
    for key, field in section.model_fields.items():
        inner = section_of(field)
        if inner is None:
            yield line(f"{prefix}.{key}", field)
            continue
        is_list = get_origin(plain(field.annotation)) is tuple
        if field.description:
            yield line(f"{prefix}.{key}", field)
        yield from lines_of(inner, f"{prefix}.{key}[]" if is_list else f"{prefix}.{key}")


def line(key: str, field: FieldInfo) -> str:
    """One key as an item of a list."""
    kind = f"{type_name(field.annotation)}{bounds(field)}"
    default = "required" if field.is_required() else f"default {shown_default(field.default)}"
    meaning = " ".join((field.description or "").replace("``", "`").split())
    if any(isinstance(mark, NoEffect) for mark in field.metadata):
        meaning += " Changing it makes no product again."
    item = f"- `{key}` ({kind}; {default}): {meaning}"
    return "\n".join(textwrap.wrap(item, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False))


def plain(annotation: Any) -> Any:
    """A type without its None."""
    if get_origin(annotation) in (Union, UnionType):
        [kept] = [part for part in get_args(annotation) if part is not type(None)]
        return kept
    return annotation


def section_of(field: FieldInfo) -> type[Section] | None:
    """The section that a key holds, or holds a list of; None for a plain value."""
    kind = plain(field.annotation)
    if get_origin(kind) is tuple:
        kind = get_args(kind)[0]
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def type_name(annotation: Any) -> str:
    """A type as a reader of the recipe calls it."""
    kind = plain(annotation)
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        *first, last = [f"`{choice}`" for choice in parts]
        return f"{', '.join(first)} or {last}" if first else last
    if origin is tuple and parts[-1] is Ellipsis:
        if get_origin(parts[0]) is Literal:
            return f"list of {type_name(parts[0])}"
        return "list of sections" if is_section(parts[0]) else f"list of {type_name(parts[0])}s"
    if origin is tuple:
        return f"{len(parts)} {type_name(parts[0])}s"
    if origin is dict:
        return f"{type_name(parts[0])} to {type_name(parts[1])}"
    return "section" if is_section(kind) else NAMES[kind]


def is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)


def bounds(field: FieldInfo) -> str:
    """The bounds of a number in words."""
    marks = {type(mark): mark for mark in field.metadata}
    told = []
    if annotated_types.Ge in marks and annotated_types.Le in marks:
        return f" from {marks[annotated_types.Ge].ge:g} to {marks[annotated_types.Le].le:g}"
    if annotated_types.Ge in marks:
        told.append(f"at least {marks[annotated_types.Ge].ge:g}")
    if annotated_types.Gt in marks:
        told.append(f"above {marks[annotated_types.Gt].gt:g}")
    if annotated_types.Le in marks:
        told.append(f"at most {marks[annotated_types.Le].le:g}")
    if annotated_types.Lt in marks:
        told.append(f"below {marks[annotated_types.Lt].lt:g}")
    return " " + " and ".join(told) if told else ""


def shown_default(value: Any) -> str:
    """A default as it would be written in a recipe."""
    if isinstance(value, Section):
        return "see below"
    if value is None or value in ("", (), {}):
        return "empty"
    if isinstance(value, tuple):
        value = [shown_item(item) for item in value]
    elif isinstance(value, Path):
        value = str(value)
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    written = yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("...\n").strip()
    return f"`{written}`"


def shown_item(item: Any) -> Any:
    """An item of a tuple as YAML can write it."""
    if isinstance(item, Section):
        return item.model_dump(mode="json", exclude_defaults=True)
    return str(item) if isinstance(item, Path) else item


def models(name: str) -> str:
    """A table of the model store: where each model comes from, or the sha256 of its files."""
    return source_table() if name == "sources" else hash_table()


def source_table() -> str:
    rows = []
    for model in store.list_models():
        parts = [part for members in model.mirror.values() for part in members]
        packages = list(dict.fromkeys(part.partition("/")[0] for part in parts))
        mirror = f"`{packages[0]}`"
        if len(packages) > 1:
            mirror += f" … `{packages[-1].partition(':')[2]}` ({len(packages)} packages)"
        megabytes = f"{model.size_bytes / 1e6:,.1f}"
        rows.append((f"`{model.name}`", model.role, model.licence, megabytes, model.page, mirror))
    return table(("name", "what", "licence", "MB", "official page", "mirror"), rows)


def hash_table() -> str:
    """The sha256 of each file; models of many files of one kind have them in the index alone."""
    rows = []
    for model in store.list_models():
        if len(model.files) > MOST_FILES:
            rows.append((f"{model.name}: {len(model.files)} files", "each pinned in `core/models/index.yaml`"))
            continue
        rows += [(f"{model.name}: {name}", f"`{file.sha256}`") for name, file in model.files.items()]
    return table(("file", "sha256"), rows)


def known_test_sets(_: str) -> str:
    """A table of the catalogue: licence, use, page and hub data set of each known test set."""
    rows = []
    for name, known in catalogue.known_sets().items():
        use = "**scored only**" if known.use == "evaluation" else "used"
        hub = "—"
        if known.hub:
            parts = [part for part in (known.hub.dataset, known.hub.config, known.hub.split) if part]
            hub = ", ".join(f"`{part}`" for part in parts)
        rows.append((f"`{name}`", known.what, known.licence, use, known.page, hub))
    return table(("name", "what", "licence", "may be", "page", "hub data set, config, split"), rows)


GPU_PATHS = {
    "fused": "all kernels, bf16",
    "fused_fp8": "all kernels, fp8 feed-forward",
    "graphs": "graphs and device decoding",
    "triton": "the same with the attention kernel",
    "fp8": "graphs, fp8 feed-forward",
    "looping": "device decoding",
    "plain": "plain PyTorch",
    "transformers": "transformers, `ParakeetForTDT`",
}


def gpu_figures(name: str) -> str:
    """A table of results/engine_gpu.json or results/training_gpu.json; a sentence where nothing was measured."""
    if name == "training":
        source = ROOT / "results/training_gpu.json"
        return (
            training_table(json.loads(source.read_text())) if source.is_file() else "No training step ran on a GPU yet."
        )
    return speed_table(json.loads((ROOT / "results/engine_gpu.json").read_text()))


def speed_table(result: dict[str, Any]) -> str:
    """Median latency of one clip, and times real time by batch; paths that only an earlier run has are marked."""
    batches = max((list(measured["inner"]) for measured in result["paths"].values()), key=len)
    rows = []
    for path, label in GPU_PATHS.items():
        measured, mark = result["paths"].get(path), ""
        if measured is None:
            measured, mark = result.get("earlier_run", {}).get("paths", {}).get(path), " ¹"
        if measured:
            rates = [measured["inner"].get(batch) for batch in batches]
            cells = [f"{rate:,.0f}" if rate else "" for rate in rates]
            rows.append((label + mark, f"{measured['latency_ms']['median']:.4g}", *cells))
    head = ("path", "one clip, ms", *(f"batch {batches[0]}", *batches[1:]))
    note = "\n\n¹ of an earlier run, on a card of the same kind" if any("¹" in row[0] for row in rows) else ""
    return f"{result['device']}, torch {result['torch']}, {result['date']}:\n\n{table(head, rows)}{note}"


def live_figures(_: str) -> str:
    """A table of results/live.json; a sentence where nothing was measured."""
    source = ROOT / "results/live.json"
    result = json.loads(source.read_text()) if source.is_file() else {}
    if "at" not in result:
        return "Nothing was measured yet."
    last, wer = result["at"], result["wer"]
    percentiles = {
        "end of a stream → all its words, s": last["finalisation_s"],
        "end of a stream's first word → first words, s": last["first_words_s"],
        "end of a word → it is final, s": last["word_final_s"],
    }
    rows = [
        (label, *(f"{spread[name]:.2f}" for name in ("p50", "p95", "p99"))) for label, spread in percentiles.items()
    ]
    cores = last["cores_busy"]
    difference = wer["difference"]
    lines = [
        f"{result['machine']['cores']} cores {result['machine']['cpu']}, {result['model']}, {result['date']}, "
        f"`{result['command']}`:",
        "",
        table(("delay", "p50", "p95", "p99"), rows),
        "",
        f"- Streams at the same time: {last['streams']}, {result['streams']:g} per core. Streams that ended: "
        f"{last['ended']}. Errors: {sum(last['errors'].values())}.",
        f"- Partial words that the complete text has at the same place: {percent(last['tentative_right'])} of "
        f"{last['tentative_words']:,}. Streams with final words that were taken back: {result['taken_back']}.",
        f"- WER streamed minus offline: {points(difference['value'])} [{points(difference['low'])}, "
        f"{points(difference['high'])}] points; {wer['recordings']} recordings, {wer['words']:,} words.",
        f"- Cores busy: front process {cores['front']:.2f}, workers {cores['workers']:.2f}, client "
        f"{last['generator_cpu_share']:.2f}. Memory at its peak: {result['memory_mib']} MiB.",
    ]
    return "\n".join(line if line.startswith("|") or "\n" in line else wrapped(line) for line in lines)


def wrapped(line: str) -> str:
    """A line or an item of a list as lines of at most `WIDTH`."""
    indent = "  " if line.startswith("- ") else ""
    return "\n".join(
        textwrap.wrap(line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    )


def percent(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.0f} %"


def points(rate: float | None) -> str:
    """A difference of word error rates in percentage points."""
    return "?" if rate is None else f"{100 * rate:+.1f}"


def training_table(result: dict[str, Any]) -> str:
    """Hours of audio an hour and peak memory by batch, ours and transformers'."""
    rows = []
    for name, told in result["steps"].items():
        for batch, measured in told["batches"].items():
            if measured is None:
                rows.append((name, batch, "memory does not suffice", ""))
            else:
                rows.append((name, batch, f"{measured['audio_hours_per_hour']:,.0f}", f"{measured['peak_gib']:.1f}"))
    rows += [(name, "", f"did not run: {reason}"[:60], "") for name, reason in result["absent"].items()]
    head = ("step", "clips", "audio-hours an hour", "peak memory, GiB")
    return f"{result['device']}, {result['date']}:\n\n{table(head, rows)}"


CAPACITY = {
    "gpus": "--consultations-per-week 2400000 --minutes 10 --device h100-0.6b --price-per-hour 4",
    "cores": "--consultations-per-week 2400 --minutes 10 --device cpu-tiny --node 8 --price-per-hour 0.40",
}


def capacity_plan(name: str) -> str:
    """A dialogue with `shoptalk capacity`."""
    options = CAPACITY[name]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        if cli_main(["capacity", *shlex.split(options)]):
            raise RuntimeError(f"shoptalk capacity {options}: failed")
    return f"```console\n$ shoptalk capacity {options}\n{printed.getvalue().strip()}\n```"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


if __name__ == "__main__":
    sys.exit(main())
