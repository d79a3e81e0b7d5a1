"""Audio in memory that two processes share, without a name: the kernel frees it with the last process that holds it.

Samples stay float32. 16-bit integers would take half of the 64 kB a second, but they are not the samples that the
engine gets from `shoptalk transcribe`, so words could differ. Blocks with names, as `multiprocessing.shared_memory`
makes them, outlive a process that is killed. They are also limited by /dev/shm, which holds 64 MB in a container.

Shapes: T samples.
"""

import mmap
import os
from multiprocessing.shared_memory import SharedMemory

import numpy as np

from shoptalk.core.records import Samples

MOST_AT_ONCE = 2**30
"""Bytes of one write; Linux takes at most 2 GiB."""


class SharedSamples:
    """Samples in shared memory, by their file descriptor, which is closed when the object goes."""

    def __init__(self, samples_T: Samples) -> None:
        """A copy of the samples; `OSError` where memory does not suffice."""
        self.size = samples_T.size
        self.descriptor = _nameless(max(1, samples_T.nbytes))
        left = memoryview(np.ascontiguousarray(samples_T, np.float32).view(np.uint8).data)
        while left:
            left = left[os.write(self.descriptor, left[:MOST_AT_ONCE]) :]

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)


def mapped(descriptor: int, size: int) -> Samples:
    """The samples (T) of a descriptor, which is closed; the memory goes with the array, and writing is private."""
    try:
        if size == 0:
            return np.zeros(0, np.float32)
        bytes_here = mmap.mmap(
            descriptor, size * np.float32().nbytes, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE
        )
    finally:
        os.close(descriptor)
    return np.frombuffer(bytes_here, np.float32)


def _nameless(size: int) -> int:
    """A descriptor of memory that no name leads to."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("shoptalk-audio", os.MFD_CLOEXEC)
    block = SharedMemory(create=True, size=size)  # where there is no memfd: its name is removed at once
    block.unlink()
    descriptor = os.dup(block._fd)  # type: ignore[attr-defined]
    block.close()
    return descriptor
