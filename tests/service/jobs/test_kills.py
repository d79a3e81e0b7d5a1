"""Jobs survive SIGKILL of every process; `make jobs-kills` kills fifty times."""

from pathlib import Path

import numpy as np
import pytest
from tests.service.jobs import kills
from tests.service.jobs.databases import database, postgres

__all__ = ["database", "postgres"]
pytestmark = pytest.mark.faults


def test_no_file_is_lost_and_none_is_done_twice(tmp_path: Path, database: str) -> None:
    servers = 2 if database else 1  # which share a database
    outcome = kills.run(tmp_path, np.random.default_rng(5), kills=4, database=database, servers=servers, clips=12)
    print(outcome)
    assert outcome.kills.total() == 4 and outcome.files >= 12
    assert (outcome.lost, outcome.wrong, outcome.doubled, outcome.recordings_left) == (0, 0, 0, 0)
