"""`shoptalk leaderboard`: the Open ASR Leaderboard's sets brought, recognised and scored, one after the other."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from shoptalk.core import device, files
from shoptalk.core.bundle import CHECKSUMS, require_bundle
from shoptalk.core.errors import ImportFormatError, ScoringError
from shoptalk.core.protocols import Recognizer
from shoptalk.core.quiet import quiet
from shoptalk.core.recipe import Recipe, effective
from shoptalk.integrations import nemo
from shoptalk.scoring.leaderboard import SETS, SetFigures, average, set_figures
from shoptalk.stages import importing
from shoptalk.stages.publishing import commit
from shoptalk.stages.recognition import measured_time, recognize
from shoptalk.stages.recognizers import open_engine
from shoptalk.testsets import clips, imported

RESULTS = "leaderboard.json"
VERSION = 1
"""Part of the signature of what is recognised; raise it when the same recordings would now give other words."""


class Asked(NamedTuple):
    """What a user asks for."""

    model: str
    """A bundle, a `.nemo`, or a hub name that holds one."""
    folder: Path
    local: Path | None = None
    """Has a folder for each set, in any form that `shoptalk import hf` reads; None: the hub has them."""
    only: tuple[str, ...] = ()
    """Names of `SETS`; empty: all."""
    limit: int | None = None
    """The first so many utterances of each set."""


class Score(NamedTuple):
    """One set, scored."""

    name: str
    figures: SetFigures
    skipped: int
    """Utterances that the import skipped; its NAME.about.json says why."""
    audio_s: float
    seconds: float
    """That recognition took; reading the model and the audio is left out."""

    @property
    def speed(self) -> float | None:
        """Audio seconds recognised per second (RTFx)."""
        return self.audio_s / self.seconds if self.seconds else None


def scores(asked: Asked, recipe: Recipe, *, command: str) -> Iterator[Score]:
    """Yield each set's score as it is there, and write all so far to `RESULTS`; what is there already is kept."""
    names = _names(asked)
    model = nemo.locate(asked.model)
    if model.is_dir():
        require_bundle(model)
    done: list[Score] = []
    for name in names:
        with quiet():
            done.append(_score(asked, recipe, name, model))
        content = summary(asked, recipe, done, command=command)
        files.write_text(asked.folder / RESULTS, json.dumps(content, indent=1) + "\n")
        yield done[-1]


def summary(asked: Asked, recipe: Recipe, done: Sequence[Score], *, command: str) -> dict[str, Any]:
    """The figures as `RESULTS` has them; rates are fractions."""
    mean = average({score.name: score.figures.wer for score in done})
    seconds = sum(score.seconds for score in done)
    sets = {}
    for score in done:
        sets[score.name] = {
            "wer": round(score.figures.wer, 5),
            **score.figures._asdict(),
            "skipped": score.skipped,
            "audio_s": round(score.audio_s, 1),
            "seconds": round(score.seconds, 1),
            "rtfx": round(score.speed, 2) if score.speed else None,
        }
    return {
        "model": asked.model,
        "average_wer": None if mean is None else round(mean, 5),
        "rtfx": round(sum(score.audio_s for score in done) / seconds, 2) if seconds else None,
        "sets": sets,
        "limit": asked.limit,
        "engine": effective(recipe.engine),
        "command": command,
        "commit": commit(),
        "machine": device.machine(),
    }


def _names(asked: Asked) -> list[str]:
    """The sets in the leaderboard's order; what is not there is told before anything is done."""
    if unknown := sorted(set(asked.only) - set(SETS)):
        raise ScoringError(f"--only {', '.join(unknown)}: no set of the leaderboard; there are {', '.join(SETS)}")
    names = [name for name in SETS if name in asked.only or not asked.only]
    if asked.local:
        absent = [name for name in names if not (asked.local / name).is_dir()]
        if absent:
            raise ImportFormatError(
                f"{asked.local}: has no folder {', '.join(absent)}; add them, or name those that are there with --only"
            )
    return names


def _score(asked: Asked, recipe: Recipe, name: str, model: Path) -> Score:
    manifest, _ = importing.bring(_import(asked, name))
    about = json.loads(imported.about_path(manifest).read_text(encoding="utf-8"))
    section = recipe.engine

    def start() -> Recognizer:
        return open_engine(model, section, batch=recipe.evaluate.batch)

    path = asked.folder / f"{name}.jsonl"
    weights = model / CHECKSUMS if model.is_dir() else model
    signature = [VERSION, effective(section), files.file_digest(weights)]
    hypotheses = recognize(path, clips.read(manifest, name, lambda voice: ""), start, signature=signature)
    figures = set_figures(hypotheses)
    if figures is None:
        raise ScoringError(f"{name}: no reference has a word; is the text column the right one?")
    seconds, audio_s = measured_time(path)
    return Score(name, figures, len(about["skipped"]), audio_s, seconds)


def _import(asked: Asked, name: str) -> importing.Asked:
    below = "sets" if asked.limit is None else f"sets-first-{asked.limit}"
    folder = asked.folder / below
    if asked.local:
        return importing.Asked("hf", str(asked.local / name), folder, name=name, limit=asked.limit)
    return importing.Asked("open-asr", name, folder, limit=asked.limit)
