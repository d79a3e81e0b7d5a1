"""The pool of workers that a recipe asks for: processes of this machine, or actors of a Ray cluster."""

from pathlib import Path

from shoptalk.core.protocols import Workers
from shoptalk.stages.processes import Processes
from shoptalk.stages.run import StageRun


def workers_of(run: StageRun, *, count: int = 0, reads: tuple[Path, ...] = ()) -> Workers:
    """So many workers, 0 being one for each core. `reads` is what they read outside the run folder."""
    corpus = run.recipe.corpus
    if corpus.backend == "processes":
        return Processes(count)
    from shoptalk.integrations.ray_workers import RayWorkers

    return RayWorkers(run.folder, reads, corpus.ray_address, count)
