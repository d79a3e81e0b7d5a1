"""Some malformed and untimely events, sent to the real route; `live_fuzz.py` tells what more of them came to."""

from tests.service.realtime import live_fuzz


def test_no_session_is_stuck_whatever_comes() -> None:
    outcomes = live_fuzz.run_all(300)
    assert set(outcomes) <= {"answered", "left"} and outcomes["answered"] > 10
