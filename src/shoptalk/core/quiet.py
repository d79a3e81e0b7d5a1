"""Third parties kept quiet for a while: their log lines and warnings, and both as they were afterwards."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet(level: int = logging.INFO) -> Iterator[None]:
    """Drop log lines up to `level`, and Python's warnings, within the block; however it ends, all is as before.

    PYTHONWARNINGS and ``python -W`` bring the warnings back. Filters hold for all threads of the process.
    """
    before = logging.root.manager.disable
    logging.disable(max(before, level))
    try:
        with warnings.catch_warnings():
            if not sys.warnoptions:
                warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
