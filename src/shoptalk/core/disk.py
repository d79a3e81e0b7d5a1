"""A full disk, told as what it is."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shoptalk.core.errors import DiskFullError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def naming_full_disk(path: Path) -> Iterator[None]:
    """Raise `DiskFullError` where `path` cannot be written because its disk or the user's quota is full."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise disk_full(path) from None
        raise


def disk_full(path: Path) -> DiskFullError:
    return DiskFullError(
        f"{path}: no space is left on its disk; free some and give the same command again, or name a folder on "
        "another disk: in SHOPTALK_CACHE or HF_HOME for what is fetched, else in the command"
    )
