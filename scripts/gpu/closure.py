"""Print the distributions that the check on a GPU machine imports, one a line, by their normalised names.

    python -m scripts.gpu.closure

It imports what the steps import, NeMo's modules among them by opening the base, and looks which packages were loaded.
"""

import importlib
import importlib.metadata
import re
import sys

MODULES = (
    "benchmarks.engine.gpu", "shoptalk.engine.recognizer", "shoptalk.service.app", "shoptalk.service.server",
    "shoptalk.tuning.trainer", "av", "httpx", "hypothesis", "jiwer", "multipart", "pytest", "soundfile", "soxr",
    "transformers", "uvicorn", "whisper_normalizer.english",
)  # fmt: skip
BASE = "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"


def normalised(name: str) -> str:
    """A distribution's name as PyPA's specification compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def imported() -> set[str]:
    """The distributions of all packages that are loaded in this process, but for this project's own."""
    distributions = importlib.metadata.packages_distributions()
    names = set()
    for top in {module.partition(".")[0] for module in sys.modules}:
        names.update(normalised(name) for name in distributions.get(top, ()))
    return names - {"shoptalk"}


def main() -> None:
    for module in MODULES:
        importlib.import_module(module)
    from shoptalk.integrations import nemo

    nemo.restore(BASE)
    print("\n".join(sorted(imported())))


if __name__ == "__main__":
    main()
