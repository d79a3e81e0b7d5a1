"""The build: a wheel carries the project's data as `shoptalk/resources/`; all else stands in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

RESOURCES = ("assets", "lexicons", "models/shoptalk-base-en-tiny", "recipes")
"""What defaults, recipes and documents name by its path in a clone; `shoptalk.core.resources` finds it."""
FIGURES = ("service.json", "live.json", "engine_gpu.json", "engine-cpu.json", "corpus_speed.json", "corpus.json")
"""Of results/: the measured figures that `shoptalk capacity` plans by."""


class BuildWithResources(build_py):
    """Copies the data into what is built; an editable install reads them where they are."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / "shoptalk" / "resources"
        shutil.rmtree(target, ignore_errors=True)
        for name in RESOURCES:
            shutil.copytree(name, target / name)
        (target / "results").mkdir()
        for name in FIGURES:
            if (figures := Path("results", name)).is_file():
                shutil.copyfile(figures, target / figures)


setup(cmdclass={"build_py": BuildWithResources})
