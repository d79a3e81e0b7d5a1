"""`shoptalk serve`, `transcribe` and `export`: what is done with a bundle or a `.nemo`."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoptalk.cli.parsing import Commands, add_set

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoptalk.core.recipe import Recipe
    from shoptalk.core.records import Recognition

MODEL = "folder made by `shoptalk package`, or a .nemo file"
FORMS = ("onnx-asr", "sherpa-onnx")


def add(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the parsers of the group."""
    serving = commands.add_parser("serve", help="90  answer the OpenAI transcription API with a bundle")
    serving.add_argument("bundle", help=MODEL)
    serving.add_argument("--recipe", help="recipe whose `serve` and `engine` sections are used; the defaults without")
    serving.add_argument("--settings", metavar="FILE", help="YAML file of the service's settings, such as `port: 9000`")
    add_set(serving, "serve.port=9000")
    serving.set_defaults(call=serve)
    _add_transcribe(commands.add_parser("transcribe", help="print what recordings say, by a bundle or a .nemo"))
    exporting = commands.add_parser("export", help="write a model as ONNX graphs for other runtimes")
    exporting.add_argument("model", metavar="MODEL", help=MODEL)
    exporting.add_argument("--to", required=True, metavar="FOLDER", help="a new folder")
    exporting.add_argument("--form", choices=FORMS, default=FORMS[0], help="who reads it; %(default)s without")
    exporting.add_argument("--recording", metavar="AUDIO", help="to check the graphs with; one that ships without")
    exporting.set_defaults(call=export)


def _add_transcribe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "audio",
        nargs="+",
        metavar="AUDIO",
        help="recordings of any length and format, or folders; -: raw PCM, s16le, 16 kHz, mono",
    )
    parser.add_argument("--model", required=True, help=MODEL)
    parser.add_argument("--stream", action="store_true", help="print words as they become final, while audio comes")
    parser.add_argument("--json", action="store_true", help="a JSON line for each, with words, times, confidences")
    parser.add_argument("--phrases", metavar="FILE", help="what counts for more: a phrase a line, a tab, a weight")
    parser.add_argument(
        "--alternatives", type=int, default=0, choices=range(17), metavar="N", help="other readings, with --json"
    )
    add_set(parser, "engine.precision=int8")
    parser.set_defaults(call=transcribe)


def serve(parsed: argparse.Namespace) -> None:
    """Serve a bundle, or a `.nemo`, until told to stop."""
    from shoptalk.core import config
    from shoptalk.core.quiet import quiet
    from shoptalk.service import settings
    from shoptalk.stages import serving

    changes = tuple(parsed.set)
    own = settings.read(Path(parsed.settings)) if parsed.settings else {}
    if parsed.recipe:
        recipe = config.load(Path(parsed.recipe), changes, settings=own)
    else:
        recipe = config.changed(changes, settings=own)
    with quiet():
        serving.serve(Path(parsed.bundle), recipe)


def transcribe(parsed: argparse.Namespace) -> int:
    """Print what each recording says, one after the other; 2 if some could not be read, which are told on the way."""
    from shoptalk.core import config
    from shoptalk.core.errors import AudioError
    from shoptalk.core.quiet import quiet
    from shoptalk.stages import transcribing

    recipe = config.changed(tuple(parsed.set))
    names: list[str] = []
    failed = False
    for given in parsed.audio:
        try:
            names += transcribing.recordings(given)
        except AudioError as error:
            _tell(error)
            failed = True
    if not names:
        return 2
    is_named = len(parsed.audio) > 1 or names != parsed.audio
    with quiet():
        print_recording = _streaming(parsed, recipe, is_named) if parsed.stream else _whole(parsed, recipe, is_named)
        for name in names:
            try:
                print_recording(name)
            except AudioError as error:
                _tell(error)
                failed = True
    return 2 if failed else 0


def _tell(error: Exception) -> None:
    print(f"shoptalk: {type(error).__name__}: {error}", file=sys.stderr)


def _whole(parsed: argparse.Namespace, recipe: "Recipe", is_named: bool) -> "Callable[[str], None]":
    """What prints one recording when all of it was recognised."""
    from shoptalk.core.protocols import Options
    from shoptalk.stages import transcribing
    from shoptalk.stages.recognizers import open_engine

    path = Path(parsed.phrases or "")
    phrases = transcribing.read_phrases(path) if parsed.phrases else {}
    engine = open_engine(Path(parsed.model), recipe.engine, batch=recipe.evaluate.batch)
    options = Options(transcribing.writable(path, phrases, engine.tokenizer), parsed.alternatives)

    def print_recording(name: str) -> None:
        [recognition] = engine.recognize([transcribing.read_samples(name)], [options])
        if parsed.json:
            _print_json({"audio": name, **_fields(recognition)})
        else:
            print(f"{name}: {recognition.text}" if is_named else recognition.text, flush=True)

    return print_recording


def _streaming(parsed: argparse.Namespace, recipe: "Recipe", is_named: bool) -> "Callable[[str], None]":
    """What prints one recording word by word; with --json a line for each change, tentative words too."""
    from shoptalk.core.protocols import Options
    from shoptalk.stages import transcribing
    from shoptalk.stages.recognizers import open_streamer

    phrases = transcribing.read_phrases(Path(parsed.phrases)) if parsed.phrases else {}
    options = Options(tuple(phrases.values()), parsed.alternatives)
    streamer = open_streamer(Path(parsed.model), recipe.engine)

    def print_recording(name: str) -> None:
        partials = transcribing.stream(streamer, transcribing.read_blocks(name), options)
        if parsed.json:
            for partial in partials:
                final, tentative = (
                    [word.model_dump() for word in words] for words in (partial.final, partial.tentative)
                )
                _print_json({"audio": name, "final": final, "tentative": tentative})
            return
        separator = f"{name}: " if is_named else ""
        for partial in partials:
            for word in partial.final:
                print(separator + word.word, end="", flush=True)
                separator = " "
        print(flush=True)

    return print_recording


def _fields(recognition: "Recognition") -> dict[str, Any]:
    """What a JSON line tells; gaps also under the name that they had before."""
    told = recognition.model_dump(exclude_defaults=True)
    return told | {"unheard": told["gaps"]} if "gaps" in told else told


def _print_json(line: dict[str, Any]) -> None:
    print(json.dumps(line, ensure_ascii=False), flush=True)


def export(parsed: argparse.Namespace) -> None:
    """Write the graphs, say what was written, and check them against the engine."""
    from shoptalk.core.progress import say
    from shoptalk.core.quiet import quiet
    from shoptalk.stages import exporting

    folder = Path(parsed.to)
    with quiet():
        nemo = exporting.export(Path(parsed.model), folder, parsed.form)
        for path in sorted(folder.iterdir()):
            print(f"{path}: {path.stat().st_size / 1e6:,.1f} MB")
        say("checking the graphs against the engine")
        parity = exporting.check(nemo, folder, recording=Path(parsed.recording) if parsed.recording else None)
    if parity is None:
        print(
            "not checked: ONNX Runtime is missing; install the extra: pip install 'shoptalk[corpus]'", file=sys.stderr
        )
        return
    print(
        f"checked with {parity.recording}: {parity.tokens} tokens as by the engine, "
        f"encoder frames within {parity.difference:.1e}"
    )
