"""`shoptalk transcribe`: what was said in recordings, as text or as JSON lines with words, times and confidences."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from shoptalk.core import audio, config
from shoptalk.core.errors import AudioError, RecipeError
from shoptalk.core.protocols import Options, Phrase
from shoptalk.core.records import Recognition
from shoptalk.stages.recognizers import open_engine


def transcribe(parsed: argparse.Namespace) -> int:
    """Print what each recording says, one after the other; 2 if some could not be read, which are told on the way."""
    recipe = config.changed(tuple(parsed.set))
    engine = open_engine(Path(parsed.model), recipe.engine, batch=recipe.evaluate.batch)
    options = Options(_phrases(Path(parsed.phrases)) if parsed.phrases else (), parsed.alternatives)
    failed = False
    for name in parsed.audio:
        try:
            [recognition] = engine.recognize([audio.decode(Path(name))], [options])
        except AudioError as error:
            print(f"shoptalk: {type(error).__name__}: {error}", file=sys.stderr)
            failed = True
            continue
        if parsed.json:
            print(json.dumps({"audio": name, **_fields(recognition)}, ensure_ascii=False), flush=True)
        else:
            print(recognition.text if len(parsed.audio) == 1 else f"{name}: {recognition.text}", flush=True)
    return 2 if failed else 0


def _fields(recognition: Recognition) -> dict[str, Any]:
    """What a JSON line tells; gaps also under the name that they had before."""
    told = recognition.model_dump(exclude_defaults=True)
    return told | {"unheard": told["gaps"]} if "gaps" in told else told


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
