"""`shoptalk serve`, `transcribe` and `export`: what is done with a bundle or a `.nemo`."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoptalk.cli.parsing import Commands, add_set, named_path
from shoptalk.core.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoptalk.core.recipe import Recipe
    from shoptalk.stages.transcribing import Recording
    from shoptalk.stages.transcripts import Form

MODEL = "folder made by `shoptalk package`, or a .nemo file"
FORMS = ("onnx-asr", "sherpa-onnx")


def add(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the parsers of the group."""
    serving = commands.add_parser("serve", help="90  answer the OpenAI transcription API with a bundle")
    serving.add_argument("bundle", nargs="?", help=f"{MODEL}; the default model")
    serving.add_argument(
        "--model",
        action="append",
        default=[],
        type=named_path,
        metavar="NAME=PATH",
        help="a further model, by the name that clients send",
    )
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
        help="recordings of any format, or folders; -: standard input, a recording or raw PCM (s16le, 16 kHz, mono)",
    )
    parser.add_argument("--model", required=True, help=MODEL)
    parser.add_argument("--format", choices=("text", "json", "srt", "vtt"), help="text without")
    parser.add_argument("--json", action="store_true", help="as --format json: a line with words, times, confidences")
    parser.add_argument("--to", metavar="FOLDER", help="a file for each; what is there and still right stays")
    parser.add_argument("--stream", action="store_true", help="print words as they become final, while audio comes")
    parser.add_argument("--phrases", metavar="FILE", help="what counts for more: a phrase a line, a tab, a weight")
    parser.add_argument(
        "--alternatives", type=int, default=0, choices=range(17), metavar="N", help="other readings, with json"
    )
    parser.add_argument("--review", action="store_true", help="words to look at, with json")
    parser.add_argument("--channels", choices=("mix", "each"), default="mix", help="each: told apart; mix without")
    parser.add_argument("--channel-names", metavar="NAMES", help="Doctor,Patient; A,B without")
    add_set(parser, "engine.precision=int8")
    parser.set_defaults(call=transcribe)


def serve(parsed: argparse.Namespace) -> None:
    """Serve bundles, or `.nemo` files, until told to stop."""
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
        serving.serve(Path(parsed.bundle) if parsed.bundle else None, recipe, parsed.model)


def transcribe(parsed: argparse.Namespace) -> int:
    """Print or write what each recording says; 2 if some could not be read, which are told on the way."""
    from shoptalk.core import config
    from shoptalk.core.errors import AudioError
    from shoptalk.core.quiet import quiet
    from shoptalk.stages import transcribing

    recipe = config.changed(tuple(parsed.set))
    form: Form = "json" if parsed.json else "text"
    if parsed.format:
        form = parsed.format
    _check_transcribe(parsed, form)
    recordings: list[Recording] = []
    failed = False
    for given in parsed.audio:
        try:
            recordings += transcribing.recordings(given)
        except AudioError as error:
            _tell(error)
            failed = True
    if not recordings:
        return 2
    is_named = len(parsed.audio) > 1 or [recording.name for recording in recordings] != parsed.audio
    if is_named and form in ("srt", "vtt") and not parsed.to:
        raise RecipeError(f"--format {form} of several recordings are several files; add --to FOLDER")
    with quiet():
        if parsed.stream:
            return 2 if _stream_all(parsed, recipe, recordings, is_named) or failed else 0
        return 2 if _whole(parsed, recipe, recordings, is_named, form) or failed else 0


def _check_transcribe(parsed: argparse.Namespace, form: str) -> None:
    """`RecipeError` for options that do not go together."""
    if parsed.json and form != "json":
        raise RecipeError(f"--json and --format {form} contradict each other; leave one out")
    if parsed.stream and (form in ("srt", "vtt") or parsed.to or parsed.review or parsed.channels == "each"):
        raise RecipeError("--stream prints text or JSON lines alone; leave out --to, --review, --channels, subtitles")
    if parsed.review and form != "json":
        raise RecipeError("--review is told in JSON; add --format json")
    if parsed.channel_names and parsed.channels != "each":
        raise RecipeError("--channel-names needs --channels each")


def _tell(error: Exception) -> None:
    from shoptalk.core.progress import tell

    tell(f"shoptalk: {type(error).__name__}: {error}")


def _whole(
    parsed: argparse.Namespace, recipe: "Recipe", recordings: "list[Recording]", is_named: bool, form: "Form"
) -> bool:
    """Print or write what each recording says, when all of it was recognised; whether some could not be read."""
    from shoptalk.core import bundle, review
    from shoptalk.core.progress import counted, say, show
    from shoptalk.core.protocols import Options
    from shoptalk.core.resources import locate
    from shoptalk.stages import transcribing, transcripts
    from shoptalk.stages.recognizers import open_engine

    path, model = Path(parsed.phrases or ""), locate(Path(parsed.model))
    phrases = transcribing.read_phrases(path) if parsed.phrases else {}
    engine = open_engine(model, recipe.engine, batch=recipe.evaluate.batch)
    readings = max(parsed.alternatives, review.READINGS) if parsed.review else parsed.alternatives
    wish = transcripts.Wish(
        form=form,
        each_channel=parsed.channels == "each",
        channel_names=tuple((parsed.channel_names or "").split(",")) if parsed.channel_names else (),
        review=parsed.review,
        options=Options(transcribing.writable(path, phrases, engine.tokenizer), readings),
    )
    watch = review.Watch.of(bundle.read_terms(model) if parsed.review else ())
    folder = None
    left = recordings
    if parsed.to:
        made_by = transcripts.made_by(model, recipe.engine, wish)
        folder = transcripts.Folder(Path(parsed.to), recordings, form, made_by=made_by)
        left = [recording for recording in dict.fromkeys(recordings) if not folder.is_made(recording)]
        if len(left) < len(recordings):
            say(f"{len(recordings) - len(left):,} transcripts are there already")

    failed = False
    tally = transcripts.Tally()
    with counted("transcribe", total=len(left), note=tally.note, silent=not folder) as advance:
        for done in transcripts.recognise(left, engine, wish):
            if done.error:
                _tell(done.error)
                failed = True
            elif folder:
                folder.write(done.recording, transcripts.rendered(done, wish, watch))
            else:
                text = transcripts.rendered(done, wish, watch)
                show(_named(done.recording.name, text) if is_named and form == "text" else text.removesuffix("\n"))
            tally.add(done.duration_s)
            advance(1)
    return failed


def _named(name: str, text: str) -> str:
    """A text behind the recording's name; one of several lines below it."""
    lines = text.rstrip("\n")
    return f"{name}:\n{lines}" if "\n" in lines else f"{name}: {lines}"


def _stream_all(parsed: argparse.Namespace, recipe: "Recipe", recordings: "list[Recording]", is_named: bool) -> bool:
    """Print each recording while it is recognised; whether some could not be read."""
    from shoptalk.core.errors import AudioError

    print_recording = _streaming(parsed, recipe, is_named)
    failed = False
    for recording in recordings:
        try:
            print_recording(recording.name)
        except AudioError as error:
            _tell(error)
            failed = True
    return failed


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
        if parsed.json or parsed.format == "json":
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
