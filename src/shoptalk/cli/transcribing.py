"""`shoptalk transcribe`: what was said in recordings, as text or as JSON lines with words, times and confidences."""

import argparse
import json
import sys
from pathlib import Path

from shoptalk.core import audio, config
from shoptalk.core.errors import AudioError, RecipeError
from shoptalk.engine.phrases import Phrase
from shoptalk.engine.recognizer import Wish
from shoptalk.stages.recognizers import open_engine


def transcribe(parsed: argparse.Namespace) -> int:
    """Print what each recording says, one after the other; 2 if some could not be read, which are told on the way."""
    recipe = config.changed(tuple(parsed.set))
    engine = open_engine(Path(parsed.model), recipe.engine, batch=recipe.evaluate.batch)
    wish = Wish(_phrases(Path(parsed.phrases)) if parsed.phrases else (), parsed.alternatives)
    failed = False
    for name in parsed.audio:
        try:
            [heard] = engine.recognize([audio.decode(Path(name))], [wish])
        except AudioError as error:
            print(f"shoptalk: {type(error).__name__}: {error}", file=sys.stderr)
            failed = True
            continue
        if parsed.json:
            line = {"audio": name, **heard.model_dump(exclude_defaults=True)}
            print(json.dumps(line, ensure_ascii=False), flush=True)
        else:
            print(heard.text if len(parsed.audio) == 1 else f"{name}: {heard.text}", flush=True)
    return 2 if failed else 0


def _phrases(path: Path) -> tuple[Phrase, ...]:
    """One phrase a line, after a tab its weight; `RecipeError` for a line that is none."""
    if not path.is_file():
        raise RecipeError(f"--phrases {path}: no such file; write one phrase a line, after a tab its weight")
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        text, _, weight = line.partition("\t")
        try:
            found += [Phrase(text.strip(), float(weight or 1))] if text.strip() else []
        except ValueError as error:
            raise RecipeError(f"--phrases {path}: line {number}: {error}") from None
    return tuple(found)
