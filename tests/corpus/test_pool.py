import os
from operator import neg

import pytest

from shoptalk.corpus.pool import ordered


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers: int) -> None:
    got = list(ordered(neg, iter(range(40)), workers=workers, start=os.getpid, arguments=()))
    assert got == [-number for number in range(40)]


def test_an_error_in_a_process_reaches_the_caller() -> None:
    with pytest.raises(TypeError):
        list(ordered(neg, ["x"], workers=2, start=os.getpid, arguments=()))
