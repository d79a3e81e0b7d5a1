"""The scheduler by its laws, on drawn traffic with a clock of its own; and in the cases that it is made for."""

from collections import Counter, defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shoptalk.service.model.scheduler import LIKE, URGENT_EVERY, Claim, Limits, Scheduler, Taken

LIMITS = Limits(windows=4, audio_s=60.0)
FAR_S = 1e9


def waiting(scheduler: Scheduler, recording: int, lengths_s: list[float], claim: Claim | None = None) -> None:
    """Add a recording with its windows."""
    scheduler.add(recording, claim or Claim("caller", 0.0, FAR_S))
    scheduler.more(recording, enumerate(lengths_s), 0.0)


def all_taken(scheduler: Scheduler, limits: Limits = LIMITS) -> list[list[Taken]]:
    """Batches until nothing waits."""
    batches = []
    while batch := scheduler.take(0.0, limits):
        batches.append(batch)
    return batches


class Traffic(RuleBasedStateMachine):
    """Any order of events: nothing is lost, nothing comes twice, batches keep to their limits."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler()
        self.now_s = 0.0
        self.claims: dict[int, Claim] = {}
        self.expected: dict[int, list[int]] = {}
        self.asked: Counter[int] = Counter()
        self.lengths_s: dict[tuple[int, int], float] = {}

    @rule(
        caller=st.sampled_from("abc"),
        within_s=st.floats(0.1, 50),
        background=st.booleans(),
        alone=st.booleans(),
        lengths_s=st.lists(st.floats(0.1, 30), max_size=6),
    )
    def a_recording_comes(
        self, caller: str, within_s: float, background: bool, alone: bool, lengths_s: list[float]
    ) -> None:
        recording = len(self.asked)
        self.claims[recording] = Claim(caller, self.now_s, self.now_s + within_s, background, alone)
        self.expected[recording] = []
        self.asked[recording] = 0
        self.scheduler.add(recording, self.claims[recording])
        self.it_asks_for_more(recording, lengths_s)

    @precondition(lambda self: self.expected)
    @rule(data=st.data(), lengths_s=st.lists(st.floats(0.1, 30), max_size=3))
    def one_asks_for_more(self, data: st.DataObject, lengths_s: list[float]) -> None:
        self.it_asks_for_more(data.draw(st.sampled_from(sorted(self.expected))), lengths_s)

    def it_asks_for_more(self, recording: int, lengths_s: list[float]) -> None:
        numbered = list(enumerate(lengths_s, start=self.asked[recording]))
        self.asked[recording] += len(lengths_s)
        self.expected[recording] += [number for number, _ in numbered]
        self.lengths_s |= {(recording, number): audio_s for number, audio_s in numbered}
        self.scheduler.more(recording, numbered, self.now_s)

    @precondition(lambda self: self.expected)
    @rule(data=st.data())
    def one_is_withdrawn(self, data: st.DataObject) -> None:
        recording = data.draw(st.sampled_from(sorted(self.expected)))
        self.scheduler.remove(recording)
        del self.expected[recording]

    @rule(passed_s=st.floats(0, 30))
    def time_passes(self, passed_s: float) -> None:
        self.now_s += passed_s
        expired = {recording for recording in self.expected if self.claims[recording].deadline_s <= self.now_s}
        assert set(self.scheduler.expire(self.now_s)) == expired
        for recording in expired:
            del self.expected[recording]

    @rule(windows=st.integers(1, 6), audio_s=st.floats(1, 100))
    def a_batch_is_taken(self, windows: int, audio_s: float) -> None:
        were_waiting = {recording: list(numbers) for recording, numbers in self.expected.items() if numbers}
        batch = self.scheduler.take(self.now_s, Limits(windows, audio_s))
        assert bool(batch) == bool(were_waiting) and len(batch) <= windows
        for taken in batch:
            assert self.expected[taken.recording].pop(0) == taken.number, "in order, once each"
            assert taken.audio_s == self.lengths_s[taken.recording, taken.number] and taken.waited_s >= 0
        if batch:
            self.check_batch(batch, audio_s, were_waiting)

    def check_batch(self, batch: list[Taken], audio_s: float, were_waiting: dict[int, list[int]]) -> None:
        lengths_s = [taken.audio_s for taken in batch]
        recordings = {taken.recording for taken in batch}
        assert len(batch) == 1 or max(lengths_s) * len(batch) <= audio_s
        for place, taken in enumerate(batch[1:], start=1):
            is_clip = self.asked[taken.recording] == 1
            assert is_clip or max(lengths_s[:place]) >= LIKE * taken.audio_s, "long recordings hold nobody up"
        assert len(recordings) == 1 or not any(self.claims[recording].alone for recording in recordings)
        foreground_waits = any(not self.claims[recording].background for recording in were_waiting)
        assert {self.claims[recording].background for recording in recordings} == {not foreground_waits}

    @invariant()
    def it_knows_how_many_wait(self) -> None:
        assert self.scheduler.waiting == sum(map(len, self.expected.values()))


Traffic.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestTraffic = Traffic.TestCase


@given(
    st.lists(st.lists(st.floats(1, 30), min_size=1, max_size=4), min_size=2, max_size=4), st.integers(1, 8), st.data()
)
@settings(max_examples=60, deadline=None)
def test_callers_that_always_wait_get_the_same(kinds: list[list[float]], windows: int, data: st.DataObject) -> None:
    """The bound is of fair queueing: what one is ahead of another never exceeds a window of each, and the batch's."""
    scheduler = Scheduler()
    lengths: dict[str, list[float]] = {str(number): lengths_s for number, lengths_s in enumerate(kinds)}
    callers: dict[int, str] = {}
    for caller, lengths_s in lengths.items():
        for _ in range(data.draw(st.integers(1, 5))):  # one has many recordings under way, another one
            callers[len(callers)] = caller
            waiting(scheduler, len(callers) - 1, lengths_s * 150, Claim(caller, 0.0, FAR_S))
    got_s: defaultdict[str, float] = defaultdict(float)
    limits = Limits(windows, 120.0)
    for _ in range(12):
        for taken in scheduler.take(0.0, limits):
            got_s[callers[taken.recording]] += taken.audio_s
    most_s = max(max(lengths_s) for lengths_s in kinds)
    assert max(got_s.values()) - min(got_s[caller] for caller in lengths) <= 2 * most_s + limits.audio_s


@given(st.integers(1, 3), st.integers(200, 300), st.integers(1, 4), st.floats(1.0, 20.0))
@settings(max_examples=15, deadline=None)
def test_no_recording_starves_behind_ever_new_ones(files: int, within_s: int, windows: int, clip_s: float) -> None:
    """Clips of the same caller come faster than they are taken; the windows of long recordings are taken in time."""
    scheduler = Scheduler()
    for number in range(files):
        waiting(scheduler, number, [24.0] * 10, Claim("caller", 0.0, float(within_s)))
    taken_of: Counter[int] = Counter()
    for batch in range(within_s):
        for clip in range(windows + 1):
            recording = files + batch * (windows + 1) + clip
            waiting(scheduler, recording, [clip_s], Claim("caller", float(batch), batch + 60.0))
        taken_of.update(taken.recording for taken in scheduler.take(float(batch), Limits(windows, 200.0)))
        scheduler.expire(float(batch))
    assert all(taken_of[number] >= 9 for number in range(files)), "the last one is due when time is up"


def test_a_clip_does_not_wait_behind_long_recordings() -> None:
    scheduler = Scheduler()
    for number in range(3):
        waiting(scheduler, number, [27.0] * 25)
    for _ in range(5):
        scheduler.take(0.0, Limits(8, 240.0))
    waiting(scheduler, 9, [7.0])
    batch = scheduler.take(0.0, Limits(8, 240.0))
    if all(taken.recording != 9 for taken in batch):  # it was the turn of an urgent one
        batch = scheduler.take(0.0, Limits(8, 240.0))
    assert {taken.recording for taken in batch} == {9}, "a longer window beside it would only be waited for"


def test_a_callers_many_recordings_do_not_hold_up_another_caller() -> None:
    scheduler = Scheduler()
    for number in range(60):
        waiting(scheduler, number, [10.0], Claim("many", 0.0, FAR_S))
    scheduler.take(0.0, LIMITS)
    waiting(scheduler, 100, [10.0] * 3, Claim("few", 0.0, FAR_S))
    batches = all_taken(scheduler)
    places = [number for number, batch in enumerate(batches) if any(taken.recording == 100 for taken in batch)]
    assert max(places) <= 2


def test_background_waits_for_all_others_and_then_runs() -> None:
    scheduler = Scheduler()
    waiting(scheduler, 1, [5.0] * 3, Claim("caller", 0.0, FAR_S, background=True))
    waiting(scheduler, 2, [20.0] * 5)
    order = [taken.recording for batch in all_taken(scheduler) for taken in batch]
    assert order == [2] * 5 + [1] * 3


def test_what_comes_back_after_a_pause_has_saved_nothing_up() -> None:
    scheduler = Scheduler()
    waiting(scheduler, 0, [10.0], Claim("rare", 0.0, FAR_S))
    all_taken(scheduler)
    scheduler.remove(0)
    waiting(scheduler, 1, [10.0] * 200, Claim("steady", 0.0, FAR_S))
    for _ in range(20):
        scheduler.take(0.0, LIMITS)
    waiting(scheduler, 2, [10.0] * 100, Claim("rare", 0.0, FAR_S))
    order = [taken.recording for _ in range(10) for taken in scheduler.take(0.0, LIMITS)]
    assert abs(order.count(1) - order.count(2)) <= 4


def test_urgent_recordings_lead_every_fourth_batch() -> None:
    scheduler = Scheduler()
    waiting(scheduler, 0, [10.0] * 100, Claim("caller", 0.0, 5.0))
    for number in range(1, 9):
        waiting(scheduler, number, [10.0] * 100, Claim("caller", 0.0, 50.0))
    order = [taken.recording for _ in range(16) for taken in scheduler.take(0.0, LIMITS)]
    assert order.count(0) >= 16 // URGENT_EVERY


def test_long_and_short_clips_share_a_batch_as_far_as_its_length_allows() -> None:
    """Few windows at a time cost a model more than padding that its encoder does not compute."""
    scheduler = Scheduler()
    for recording, audio_s in enumerate([20.0, 2.0, 5.0, 20.0]):
        waiting(scheduler, recording, [audio_s], Claim("", 0.0, FAR_S))
    assert len(scheduler.take(0.0, Limits(16, 60.0))) == 3
    assert len(scheduler.take(0.0, Limits(16, 60.0))) == 1
