"""State of the whole process that is changed for a while is as before afterwards, however the while ends."""

import logging
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import pytest
import torch

from shoptalk.core import runtime
from shoptalk.core.quiet import quiet


def state() -> tuple[object, ...]:
    """What of the process the blocks below change."""
    generator = torch.random.get_rng_state().tolist()
    return logging.root.manager.disable, list(warnings.filters), torch.get_num_threads(), generator


CHANGES: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "quiet": quiet,
    "quiet from warnings on": lambda: quiet(logging.WARNING),
    "threads": lambda: runtime.using_threads(torch.get_num_threads() + 1),
    "seeded": lambda: runtime.seeded(11),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("failure", [None, ImportError, KeyboardInterrupt, SystemExit])
def test_a_block_changes_the_process_and_puts_it_back(
    change: Callable[[], AbstractContextManager[None]], failure: type[BaseException] | None
) -> None:
    before = state()
    with pytest.raises(failure) if failure else nullcontext(), change():
        assert state() != before
        if failure:
            raise failure
    assert state() == before


def test_a_block_within_another_does_not_lower_its_level() -> None:
    with quiet(logging.ERROR):
        with quiet():
            assert logging.root.manager.disable == logging.ERROR
        assert logging.root.manager.disable == logging.ERROR


def test_seeded_draws_hang_on_the_seed_alone() -> None:
    with runtime.seeded(3):
        first = torch.rand(4)
    torch.rand(1)
    with runtime.seeded(3):
        assert torch.equal(torch.rand(4), first)
