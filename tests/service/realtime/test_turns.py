"""Where turns begin and end, frame by frame."""

from hypothesis import given
from hypothesis import strategies as st

from shoptalk.service.realtime.turns import Change, Rules, Turns

FRAME_S = 0.032
USUAL = Rules()


def changes(*runs: tuple[float, int], rules: Rules = USUAL) -> list[tuple[Change, int]]:
    """The changes, and the frame of each, in runs of frames with one probability."""
    turns = Turns(rules, FRAME_S)
    probabilities = [probability for probability, count in runs for _ in range(count)]
    steps = [(turns.step(probability), place) for place, probability in enumerate(probabilities)]
    return [(change, place) for change, place in steps if change]


def test_clicks_begin_no_turn_and_short_pauses_end_none() -> None:
    assert changes((0.0, 10), (0.9, 2), (0.0, 10)) == []
    assert changes((0.9, 3), (0.4, 50)) == [(Change.START, 2)], "it goes on down to the threshold less 0.15"
    assert changes((0.9, 10), (0.0, 15), (0.9, 5)) == [(Change.START, 2)]
    assert changes((0.9, 10), (0.0, 16)) == [(Change.START, 2), (Change.STOP, 25)]


def test_the_rules_count() -> None:
    short = Rules(silence_s=0.1)
    assert changes((0.9, 5), (0.0, 3), rules=short)[-1] == (Change.STOP, 7)
    assert changes((0.6, 50), rules=Rules(threshold=0.7)) == []


@given(st.lists(st.floats(0, 1), max_size=200))
def test_starts_and_stops_take_turns(probabilities: list[float]) -> None:
    kinds = [change for change, _ in changes(*((probability, 1) for probability in probabilities))]
    assert kinds == [Change.START, Change.STOP] * (len(kinds) // 2) + [Change.START] * (len(kinds) % 2)
