"""The session as a state machine: laws that hold for any events in any order, and turns that hold for any cuts."""

import itertools
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.protocols import LIVE_FRAME
from shoptalk.core.records import Samples, Word
from shoptalk.service.problems import Problem, not_ready
from shoptalk.service.realtime import client_events
from shoptalk.service.realtime.client_events import Append, Clear, ClientEvent, Commit, Update
from shoptalk.service.realtime.configuration import Configuration
from shoptalk.service.realtime.session import KEPT_S, Detect, Drop, Effect, Feed, Finish, Open, Send, Session

EXAMPLES = 150
TRANSCRIPTION = "conversation.item.input_audio_transcription."
RATE = {"format": {"type": "audio/pcm", "rate": 16_000}}


def ids() -> Any:
    numbers = itertools.count()
    return lambda prefix: f"{prefix}_{next(numbers)}"


def loud(samples_S: Samples) -> list[float]:
    """The probability of speech: 1 in frames that are not silent."""
    return [float(np.abs(frame_S).max() > 0.01) for frame_S in samples_S.reshape(-1, LIVE_FRAME)]


@dataclass
class Driver:
    """Carries out effects as the service does, without a model."""

    session: Session
    sent: list[dict[str, Any]] = field(default_factory=list)
    fed: dict[str, list[Samples]] = field(default_factory=dict)
    finished: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    is_model_there: bool = True

    def do(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(event):
                    self.sent.append(event)
                case Detect(samples_S):
                    assert samples_S.size and samples_S.size % LIVE_FRAME == 0
                    self.do(self.session.detected(loud(samples_S)))
                case Open(item_id):
                    assert item_id not in self.fed
                    self.fed[item_id] = []
                case Feed(item_id, samples_S):
                    assert item_id in self.fed and item_id not in self.finished + self.dropped
                    self.fed[item_id].append(samples_S)
                case Finish(item_id):
                    assert item_id in self.fed and item_id not in self.finished + self.dropped
                    self.finished.append(item_id)
                case Drop(item_id):
                    assert item_id in self.fed and item_id not in self.finished + self.dropped
                    self.dropped.append(item_id)

    def receive(self, event: ClientEvent) -> None:
        self.do(self.session.receive(event))

    def audio(self, item_id: str) -> Samples:
        return np.concatenate(self.fed[item_id])

    def named(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.sent if event["type"].endswith(name)]


def session(**input_: Any) -> Session:
    return Session(Configuration().updated({"audio": {"input": {**RATE, **input_}}}), new_id=ids())


def pcm(*runs: tuple[float, int]) -> bytes:
    """Samples at 16 kHz: (loudness, count) of each run, with a ramp so that every place is another."""
    pieces = [level * np.linspace(0.5, 1.0, count) for level, count in runs]
    return (np.concatenate(pieces) * 32_000).astype("<i2").tobytes()


# ---- any events in any order

WORDS = st.lists(st.sampled_from(["a", "Zoloft", "30 mg"]), max_size=3)
AUDIO = st.binary(max_size=9_000) | st.integers(0, 60_000).map(bytes) | st.just(b"\x7f" * 20_000)
VAD = {"type": "server_vad"}
INPUTS = st.fixed_dictionaries(
    {},
    optional={
        "turn_detection": st.sampled_from(
            [
                None,
                {"type": "server_vad"},
                {"type": "semantic_vad"},
                {"type": "server_vad", "silence_duration_ms": 0},
                3,
            ]
        ),
        "format": st.sampled_from(
            [{"type": "audio/pcm"}, {"type": "audio/pcmu"}, {"type": "audio/pcm", "rate": 16_000}, {"type": "x"}, None]
        ),
        "transcription": st.sampled_from([{}, {"model": "there"}, {"model": "missing"}, {"keywords": ["a"]}, None, []]),
    },
)
SESSIONS = st.builds(lambda input_: {"audio": {"input": input_}}, INPUTS) | st.sampled_from(
    [None, 3, {"type": "realtime"}]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "session", "audio"]), inner),
    max_leaves=5,
)
EVENTS = st.one_of(
    st.builds(Append, AUDIO),
    st.builds(Append, AUDIO),
    st.builds(Commit, st.none() | st.text(max_size=3)),
    st.just(Clear()),
    st.builds(Update, SESSIONS, st.none(), st.booleans()),
    JSON.map(lambda content: client_events.read(json.dumps(content))),
)
NEWS = st.tuples(st.sampled_from(["words", "completed", "failed"]), st.integers(0, 5), WORDS)


def check_model(changed: Configuration) -> None:
    if changed.model == "missing":
        raise Problem(404, "it is not there", code="model_not_found")


@given(steps=st.lists(EVENTS | NEWS, max_size=30), is_stopped=st.booleans())
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_events_in_any_order(steps: list[Any], is_stopped: bool) -> None:
    """No error, bounded memory, ids once, and one end for each committed item, with the words that were told."""
    driver = Driver(Session(Configuration(), new_id=ids(), check=check_model))
    driver.do(driver.session.start())
    for step in steps:
        if isinstance(step, tuple):
            tell(driver, *step)
        else:
            driver.receive(step)
            if isinstance(step, Append):
                kept = sum(samples_S.size for samples_S in driver.session._kept_S)
                assert kept <= (KEPT_S + 2) * SAMPLE_RATE_HZ + len(step.content) * 2
    if is_stopped:
        driver.do(driver.session.finish(not_ready("it stops")))
    for item_id in driver.finished:
        driver.do(driver.session.completed(item_id))
    assert not driver.session.unfinished
    check(driver)


def tell(driver: Driver, kind: str, place: int, words: list[str]) -> None:
    """What a model might tell of one of the items so far."""
    items = list(driver.fed)
    if not items:
        return
    item_id = items[place % len(items)]
    if kind == "words":
        told = [Word(word=word, start_s=0.0, end_s=0.1, confidence=0.5) for word in words]
        driver.do(driver.session.words(item_id, told))
    elif kind == "failed":
        driver.do(driver.session.failed(item_id, not_ready("it died")))
    elif item_id in driver.finished:
        driver.do(driver.session.completed(item_id))


def check(driver: Driver) -> None:
    sent = driver.sent
    assert sent[0]["type"] == "session.created"
    assert len({event["event_id"] for event in sent}) == len(sent)
    committed = [event["item_id"] for event in driver.named(".committed")]
    assert committed == driver.finished and len(set(committed)) == len(committed)
    previous = [event["previous_item_id"] for event in driver.named(".committed")]
    assert previous == [None, *committed][: len(committed)]
    ends = [event for event in sent if event["type"] in (TRANSCRIPTION + "completed", TRANSCRIPTION + "failed")]
    assert sorted(event["item_id"] for event in ends) == sorted(committed)
    assert sorted(event["item"]["id"] for event in driver.named("item.done")) == sorted(committed)
    for end in ends:
        deltas = [event["delta"] for event in driver.named(".delta") if event["item_id"] == end["item_id"]]
        if end["type"].endswith("completed"):
            assert end["transcript"] == "".join(deltas)
        kinds = [event["type"] for event in sent if event.get("item_id") == end["item_id"]]
        assert kinds.index("input_audio_buffer.committed") < kinds.index(end["type"])


# ---- however audio is cut


@given(
    runs=st.lists(st.tuples(st.sampled_from([0.0, 0.5]), st.integers(1, 30_000)), min_size=1, max_size=8),
    cuts=st.lists(st.integers(0, 200_000), max_size=8),
    silence_ms=st.sampled_from([100, 500]),
)
@settings(max_examples=60, deadline=None)
def test_turns_do_not_depend_on_the_cuts(runs: list[tuple[float, int]], cuts: list[int], silence_ms: int) -> None:
    audio = pcm(*runs)
    detection = {"type": "server_vad", "silence_duration_ms": silence_ms}
    results = []
    for places in ([], sorted(cuts)):
        driver = Driver(session(turn_detection=detection))
        edges = [0, *(place for place in places if place < len(audio)), len(audio)]
        for start, end in itertools.pairwise(edges):
            driver.receive(Append(audio[start:end]))
        driver.receive(Commit())
        told = [(event["type"], event.get("audio_start_ms"), event.get("audio_end_ms")) for event in driver.sent]
        results.append((told, [driver.audio(item_id).tobytes() for item_id in driver.finished]))
    assert results[0] == results[1]


@given(runs=st.lists(st.tuples(st.sampled_from([0.0, 0.5]), st.integers(1, 30_000)), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_no_sample_is_in_two_items(runs: list[tuple[float, int]]) -> None:
    """Items follow each other in the audio; what is loud for long enough is in one of them."""
    audio = pcm(*runs)
    samples_S = np.frombuffer(audio, "<i2") / np.float32(2**15)
    driver = Driver(session(turn_detection={"type": "server_vad", "silence_duration_ms": 100}))
    driver.receive(Append(audio))
    driver.do(driver.session.finish())
    place = 0
    for item_id in driver.finished:
        item_S = driver.audio(item_id)
        start = next(
            start
            for start in range(place, samples_S.size - item_S.size + 1)
            if np.array_equal(samples_S[start : start + item_S.size], item_S)
        )
        place = start + item_S.size
    assert place <= samples_S.size


@given(sizes=st.lists(st.integers(0, 9_000), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_what_clients_commit_is_what_they_sent(sizes: list[int]) -> None:
    driver = Driver(session(turn_detection=None))
    sent = b""
    for size in sizes:
        piece = bytes(np.random.default_rng(size).integers(0, 256, size, np.uint8))
        sent += piece
        driver.receive(Append(piece))
    driver.receive(Commit())
    whole = len(sent) // 2
    if whole >= 1600:
        [item_id] = driver.finished
        np.testing.assert_array_equal(driver.audio(item_id), np.frombuffer(sent[: 2 * whole], "<i2") / 2**15)
    else:
        [error] = driver.named("error")
        assert error["error"]["code"] == "input_audio_buffer_commit_empty"


# ---- single cases


def test_a_turn_begins_before_its_speech_and_ends_after_the_silence() -> None:
    driver = Driver(
        session(turn_detection={"type": "server_vad", "prefix_padding_ms": 300, "silence_duration_ms": 500})
    )
    driver.receive(Append(pcm((0.0, 16_000), (0.5, 16_000), (0.0, 16_000))))
    [started], [stopped] = driver.named("speech_started"), driver.named("speech_stopped")
    assert abs(started["audio_start_ms"] - 700) < 33 and abs(stopped["audio_end_ms"] - 2500) < 33
    [item_id] = driver.finished
    length_ms = driver.audio(item_id).size / 16
    assert length_ms == stopped["audio_end_ms"] - started["audio_start_ms"]


def test_a_commit_during_speech_ends_the_item_and_the_speech_goes_on_in_the_next() -> None:
    driver = Driver(session(turn_detection={"type": "server_vad"}))
    driver.receive(Append(pcm((0.5, 16_000))))
    driver.receive(Commit())
    driver.receive(Append(pcm((0.5, 16_000), (0.0, 16_000))))
    assert len(driver.finished) == 2 and len(driver.named("speech_started")) == 2
    assert len(driver.named("speech_stopped")) == 1


def test_a_commit_without_speech_finds_what_was_kept() -> None:
    driver = Driver(session(turn_detection={"type": "server_vad"}))
    driver.receive(Append(pcm((0.0, 16_000 * 30))))
    driver.receive(Commit())
    [item_id] = driver.finished
    assert driver.audio(item_id).size <= (KEPT_S + 1) * SAMPLE_RATE_HZ


def test_an_item_keeps_the_configuration_that_it_began_with() -> None:
    driver = Driver(session(turn_detection=None))
    driver.receive(Append(bytes(9_600)))
    driver.receive(Update({"include": ["item.input_audio_transcription.logprobs"]}))
    driver.receive(Commit())
    driver.receive(Append(bytes(9_600)))
    driver.receive(Commit())
    for item_id in driver.finished:
        driver.do(driver.session.words(item_id, [Word(word="a", start_s=0, end_s=1, confidence=0.5)]))
        driver.do(driver.session.completed(item_id))
    assert ["logprobs" in event for event in driver.named("completed")] == [False, True]


def test_switching_turn_detection_loses_no_audio() -> None:
    driver = Driver(session(turn_detection={"type": "server_vad"}))
    driver.receive(Append(pcm((0.5, 5_000))))
    driver.receive(Update({"audio": {"input": {"turn_detection": None}}}))
    driver.receive(Append(pcm((0.5, 5_000))))
    driver.receive(Commit())
    [item_id] = driver.finished
    assert driver.audio(item_id).size == 10_000
