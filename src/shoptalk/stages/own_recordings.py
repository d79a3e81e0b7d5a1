"""50: a user's own recordings, read by the readers of `shoptalk import` into 16 kHz FLAC below the run folder."""

from pathlib import Path

from shoptalk.core.errors import ImportFormatError
from shoptalk.core.examples import listed, read_manifest
from shoptalk.core.progress import say
from shoptalk.core.recipe import RecordingsSection
from shoptalk.corpus.recordings import OwnSet
from shoptalk.stages import importing
from shoptalk.stages.run import StageRun
from shoptalk.testsets import imported

FOLDER = "50-recordings"


def brought(run: StageRun) -> list[OwnSet]:
    """The sets of `dataset.recordings`, in order.

    `ImportFormatError`: a recording names no speaker, or two sets have one name. `LeakError`: a set may be scored,
    never trained on, by its licence.
    """
    sets: list[OwnSet] = []
    for section in run.recipe.dataset.recordings:
        if section.name in {own.name for own in sets}:
            raise ImportFormatError(f"dataset.recordings has two sets of the name {section.name!r}; rename one")
        sets.append(_brought(run, section))
    return sets


def _brought(run: StageRun, section: RecordingsSection) -> OwnSet:
    source = run.resolve(section.source)
    if source.is_file():
        imported.require_trainable(source)  # of a set that `shoptalk import` wrote
    asked = importing.Asked(
        format=section.format,
        source=str(source),
        folder=run.folder / FOLDER,
        name=section.name,
        licence=section.licence,
        patients=section.patients,
        replace=True,
    )
    path, about = importing.bring(asked)
    imported.require_trainable(path)
    if about and about["skipped"]:
        say(f"note: {len(about['skipped'])} recordings of {section.name} cannot be used: {imported.about_path(path)}")
    lines = read_manifest(path)
    if section.speaker:
        lines = [line.model_copy(update={"speaker": line.speaker or section.speaker}) for line in lines]
    _require_speakers([line.id for line in lines if not line.speaker], section.name, path)
    return OwnSet(section.name, lines, section.dev, section.test)


def _require_speakers(without: list[str], name: str, path: Path) -> None:
    """Recordings of nobody cannot be kept apart by speaker: one of them may be of whoever else is in a test."""
    if without:
        raise ImportFormatError(
            f"{name}: {len(without)} recordings name no speaker; add the column `speaker`, or say in "
            f"dataset.recordings, by `speaker`, whose they all are:\n{listed(without)}"
        )
