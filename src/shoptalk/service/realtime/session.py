"""A realtime transcription session as a pure state machine: what clients, detector and model tell in, effects out.

Whoever drives it carries out the effects in their order, and tells it what comes of them. It knows no clock, no network
and no model, so that any order of events can be tried.

An **item** is a stretch of audio that is transcribed for itself. It is open while audio is added, committed when its
end is known, and ends with exactly one `completed` or `failed`. Words come from the first audio on, before the commit.
Only the last item can be open.

S = samples, N = frames of the detector.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.protocols import LIVE_FRAME
from shoptalk.core.records import Samples, Word
from shoptalk.service.http import answers
from shoptalk.service.problems import Problem, content
from shoptalk.service.realtime.client_events import Append, Clear, ClientEvent, Commit, Update, Wrong
from shoptalk.service.realtime.configuration import Configuration
from shoptalk.service.realtime.formats import Decoder
from shoptalk.service.realtime.turns import Change, Turns

LEAST_S = 0.1
"""Of audio in an item that a client commits."""
KEPT_S = 10.0
"""Of audio without speech that a commit finds where the server tells turns."""
Event = dict[str, Any]
_NOTHING_S: Samples = np.zeros(0, np.float32)


@dataclass(frozen=True)
class Send:
    """An event for the client."""

    event: Event


@dataclass(frozen=True)
class Detect:
    """Whole frames, whose probabilities `Session.detected` is to get before anything else of the client's."""

    samples_S: Samples


@dataclass(frozen=True)
class Open:
    """An item begins, with what it is to be transcribed by."""

    item_id: str
    configuration: Configuration


@dataclass(frozen=True)
class Feed:
    """An item goes on."""

    item_id: str
    samples_S: Samples


@dataclass(frozen=True)
class Finish:
    """An item has all its audio: `Session.completed` or `failed` is to be called in the end."""

    item_id: str


@dataclass(frozen=True)
class Drop:
    """Nobody waits for an item any more."""

    item_id: str


Effect = Send | Detect | Open | Feed | Finish | Drop


@dataclass
class _Item:
    """One that was opened and has not ended."""

    configuration: Configuration
    start: int
    """Samples of the session before it."""
    samples: int = 0
    words: list[Word] = field(default_factory=list)
    tentative: str = ""
    """What may still change, as it was told last."""
    is_committed: bool = False
    previous: str | None = None
    """The item that was committed before it."""
    problem: Problem | None = None
    """Why it failed, before it was committed."""


class Session:
    """One connection's session."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        new_id: Callable[[str], str],
        check: Callable[[Configuration], None] = lambda configuration: None,
    ) -> None:
        """`new_id` makes an id with a prefix.

        `check` raises `Problem` for a configuration that cannot be served, such as a model that is not there.
        """
        self.configuration = configuration
        self._new_id = new_id
        self._check = check
        self._id = new_id("sess")
        self._speaks_old = False
        self._decoder = Decoder(configuration.format)
        self._turns = self._new_turns()
        self._items: dict[str, _Item] = {}
        self._current: str | None = None
        """The open item."""
        self._last_committed: str | None = None
        self._told = 0
        """Samples that were taken in before `_undetected_S`."""
        self._undetected_S: list[Samples] = []
        """Waiting for the detector."""
        self._undetected = 0
        self._kept_S: list[Samples] = []
        """Frames without speech since the last item."""
        self._kept = 0

    @property
    def unfinished(self) -> tuple[str, ...]:
        """The items that were committed and have not ended."""
        return tuple(name for name, item in self._items.items() if item.is_committed)

    # ---- from the client

    def start(self, expires_at: int | None = None) -> list[Effect]:
        """The session is there; `expires_at` is when it ends, in Unix time."""
        return [self._send("session.created", session=self._shown(expires_at))]

    def receive(self, event: ClientEvent) -> list[Effect]:
        """What an event of the client comes to; whatever is wrong is answered by an error, and the session goes on."""
        match event:
            case Append(audio):
                return self._hear(self._decoder.feed(audio))
            case Commit(event_id):
                return self._commit(event_id)
            case Clear():
                return self._clear()
            case Update(session, event_id, is_old):
                return self._update(session, event_id, is_old=is_old)
            case Wrong(problem, event_id):
                return [self.error(problem, event_id)]

    def finish(self, problem: Problem | None = None) -> list[Effect]:
        """No more comes: the open item gets its end, if it is long enough; `problem` is told, and why the session ends.

        The session is over when nothing is `unfinished`.
        """
        effects: list[Effect] = [self.error(problem, None)] if problem else []
        self._keep(self._rest())
        if self._current is None:
            return effects
        effects += self._flush_kept()
        is_long_enough = self._items[self._current].samples >= LEAST_S * SAMPLE_RATE_HZ
        return effects + (self._close() if is_long_enough else self._drop())

    # ---- from the detector and the model

    def detected(self, speech_N: Iterable[float]) -> list[Effect]:
        """The probability of speech in each of the frames that wait."""
        effects: list[Effect] = []
        waiting_S = _joined(self._undetected_S)
        place = 0
        for probability in speech_N:
            if place + LIVE_FRAME > waiting_S.size:
                break
            self._keep(waiting_S[place : place + LIVE_FRAME])
            place += LIVE_FRAME
            self._told += LIVE_FRAME
            change = self._turns.step(float(probability)) if self._turns else None
            if change is Change.START:
                effects += self._start_turn()
            elif change is Change.STOP and self._current is not None:
                effects += self._stop_turn()
        self._undetected_S, self._undetected = [waiting_S[place:]], waiting_S.size - place
        if self._current is not None:
            effects += self._flush_kept()
        else:
            self._trim_kept()
        return effects

    def words(self, item_id: str, words: Sequence[Word]) -> list[Effect]:
        """Further words of an item, which never change; none for an item that is over."""
        item = self._items.get(item_id)
        if item is None or not words:
            return []
        text = " ".join(word.word for word in words)
        told: Event = {"delta": text if not item.words else f" {text}"}
        if item.configuration.logprobs:
            told["logprobs"] = answers.logprob_entries(words, is_first=not item.words)
        item.words += words
        return [self._of_item("delta", item_id, told)]

    def tentative(self, item_id: str, words: Sequence[Word]) -> list[Effect]:
        """Words of an item that may still change, for clients that ask for them: each time all of them, if only none.

        OpenAI's protocol has no such event.
        """
        item = self._items.get(item_id)
        text = " ".join(word.word for word in words)
        if item is None or not item.configuration.tentative or text == item.tentative:
            return []
        item.tentative = text
        return [self._of_item("tentative", item_id, {"text": text})]

    def completed(self, item_id: str) -> list[Effect]:
        """All words of an item were told."""
        item = self._items.pop(item_id, None)
        if item is None:
            return []
        transcript = " ".join(word.word for word in item.words)
        told: Event = {
            "transcript": transcript,
            "usage": {"type": "duration", "seconds": math.ceil(item.samples / SAMPLE_RATE_HZ)},
            "start": round(item.start / SAMPLE_RATE_HZ, 3),
            "words": [_shown_word(word, item.start / SAMPLE_RATE_HZ) for word in item.words],
        }
        if item.configuration.logprobs:
            told["logprobs"] = answers.logprob_entries(item.words, is_first=True)
        done = self._send(
            "conversation.item.done", previous_item_id=item.previous, item=_shown_item(item_id, "completed", transcript)
        )
        return [self._of_item("completed", item_id, told), done]

    def failed(self, item_id: str, problem: Problem) -> list[Effect]:
        """An item cannot be transcribed; the client is told once it is committed."""
        item = self._items.get(item_id)
        if item is None:
            return []
        item.problem = item.problem or problem
        return self._fail(item_id) if item.is_committed else []

    # ---- audio

    def _hear(self, samples_S: Samples) -> list[Effect]:
        """Audio goes on: to the detector, or straight to the item."""
        if self._turns is None:
            self._keep(samples_S)
            self._told += samples_S.size
            effects: list[Effect] = []
            if self._current is None and self._kept:
                effects.append(self._open(self._told - self._kept))
            return effects + self._flush_kept()
        self._undetected_S.append(samples_S)
        self._undetected += samples_S.size
        whole = self._undetected // LIVE_FRAME * LIVE_FRAME
        return [Detect(_joined(self._undetected_S)[:whole])] if whole else []

    def _start_turn(self) -> list[Effect]:
        """Somebody began to speak: the item begins before that, as far as is asked for."""
        turns = self._turns
        effects: list[Effect] = []
        if turns is None:
            return effects
        wanted = round(turns.rules.prefix_s * SAMPLE_RATE_HZ) + turns.frames_to_start * LIVE_FRAME
        if self._current is None:
            self._trim_kept(wanted)
            effects.append(self._open(self._told - self._kept))
        start_ms = _ms(max(self._told - wanted, self._items[self._current or ""].start))
        started = self._send("input_audio_buffer.speech_started", item_id=self._current, audio_start_ms=start_ms)
        return [started, *effects]

    def _stop_turn(self) -> list[Effect]:
        stopped = self._send("input_audio_buffer.speech_stopped", item_id=self._current, audio_end_ms=_ms(self._told))
        return [stopped, *self._flush_kept(), *self._close()]

    def _rest(self) -> Samples:
        """What decoder and detector still held back."""
        rest_S = _joined([*self._undetected_S, self._decoder.flush()])
        self._undetected_S, self._undetected = [], 0
        self._told += rest_S.size
        return rest_S

    def _keep(self, samples_S: Samples) -> None:
        if samples_S.size:
            self._kept_S.append(samples_S)
            self._kept += samples_S.size

    def _trim_kept(self, most: int | None = None) -> None:
        """Forget what lies further back than any item will begin."""
        least_s = self._turns.rules.prefix_s + 1.0 if self._turns else 0.0
        most = round(max(KEPT_S, least_s) * SAMPLE_RATE_HZ) if most is None else most
        if self._kept > most:
            kept_S = _joined(self._kept_S)[self._kept - most :].copy()
            self._kept_S, self._kept = [kept_S], kept_S.size

    def _flush_kept(self) -> list[Effect]:
        """What was kept goes to the open item."""
        if self._current is None or not self._kept:
            return []
        samples_S = _joined(self._kept_S)
        self._forget_kept()
        self._items[self._current].samples += samples_S.size
        return [Feed(self._current, samples_S)]

    def _forget_kept(self) -> None:
        self._kept_S, self._kept = [], 0

    # ---- items

    def _open(self, start: int) -> Open:
        self._current = self._new_id("item")
        self._items[self._current] = _Item(self.configuration, start)
        return Open(self._current, self.configuration)

    def _commit(self, event_id: str | None) -> list[Effect]:
        """The client says that the item has its end."""
        self._keep(self._rest())
        before = self._items[self._current].samples if self._current else 0
        if before + self._kept < LEAST_S * SAMPLE_RATE_HZ:
            has_ms = 1000 * (before + self._kept) / SAMPLE_RATE_HZ
            message = (
                "Error committing input audio buffer: buffer too small. Expected at least "
                f"{1000 * LEAST_S:.0f}ms of audio, but buffer only has {has_ms:.2f}ms of audio."
            )
            problem = Problem(400, message, code="input_audio_buffer_commit_empty")
            return [*self._flush_kept(), self.error(problem, event_id)]
        effects: list[Effect] = []
        if self._current is None:
            effects.append(self._open(self._told - self._kept))
        return [*effects, *self._flush_kept(), *self._close()]

    def _close(self) -> list[Effect]:
        """The open item has its end."""
        item_id = self._current
        if item_id is None:
            return []
        item = self._items[item_id]
        item.is_committed = True
        item.previous, self._last_committed = self._last_committed, item_id
        self._current = None
        if self._turns:
            self._turns.reset()
        added = "conversation.item.created" if self._speaks_old else "conversation.item.added"
        shown = _shown_item(item_id, "in_progress", None)
        effects: list[Effect] = [
            self._send("input_audio_buffer.committed", item_id=item_id, previous_item_id=item.previous),
            self._send(added, previous_item_id=item.previous, item=shown),
            Finish(item_id),
        ]
        return effects + (self._fail(item_id) if item.problem else [])

    def _drop(self) -> list[Effect]:
        """The open item is forgotten."""
        item_id, self._current = self._current, None
        if item_id is None:
            return []
        del self._items[item_id]
        return [Drop(item_id)]

    def _clear(self) -> list[Effect]:
        self._rest()
        self._forget_kept()
        if self._turns:
            self._turns.reset()
        return [*self._drop(), self._send("input_audio_buffer.cleared")]

    def _fail(self, item_id: str) -> list[Effect]:
        item = self._items.pop(item_id)
        problem = item.problem or Problem(500, "the server failed; try again", code="internal_error")
        shown = _shown_item(item_id, "incomplete", None)
        return [
            self._of_item("failed", item_id, content(problem)),
            self._send("conversation.item.done", previous_item_id=item.previous, item=shown),
        ]

    # ---- the session

    def _update(self, session: object, event_id: str | None, *, is_old: bool) -> list[Effect]:
        try:
            changed = self.configuration.updated(session)
            self._check(changed)
        except Problem as problem:
            return [self.error(problem, event_id)]
        before, self.configuration = self.configuration, changed
        self._speaks_old = self._speaks_old or is_old
        effects: list[Effect] = []
        if changed.format != before.format:
            rest_S = self._decoder.flush()
            self._undetected_S.append(rest_S)
            self._undetected += rest_S.size
            self._decoder = Decoder(changed.format)
        if changed.rules != before.rules:
            was_speech = self._turns is not None and self._turns.is_speech
            self._turns = self._new_turns()
            if self._turns:
                self._turns.reset(is_speech=was_speech)
        if self._turns is None:
            effects += self._take_undetected()
        name = "transcription_session.updated" if is_old else "session.updated"
        return [*effects, self._send(name, session=self._shown())]

    def _take_undetected(self) -> list[Effect]:
        """The client tells turns: what the detector has not judged belongs to the item."""
        waiting_S = _joined(self._undetected_S)
        self._undetected_S, self._undetected = [], 0
        return self._hear(waiting_S)

    def _new_turns(self) -> Turns | None:
        rules = self.configuration.rules
        return Turns(rules, LIVE_FRAME / SAMPLE_RATE_HZ) if rules else None

    def _shown(self, expires_at: int | None = None) -> Event:
        shown = {"id": self._id, "object": "realtime.transcription_session", **self.configuration.shown()}
        return shown if expires_at is None else {**shown, "expires_at": expires_at}

    # ---- events

    def _send(self, name: str, **told: Any) -> Send:
        return Send({"type": name, "event_id": self._new_id("event"), **told})

    def _of_item(self, name: str, item_id: str, told: Event) -> Send:
        full_name = f"conversation.item.input_audio_transcription.{name}"
        return self._send(full_name, item_id=item_id, content_index=0, **told)

    def error(self, problem: Problem, event_id: str | None = None) -> Send:
        """An error for the client, who may have caused it by an event with that id; the session goes on."""
        error: Any = content(problem)["error"]
        return self._send("error", error={**error, "event_id": event_id})


def _joined(pieces_S: Sequence[Samples]) -> Samples:
    if len(pieces_S) == 1:
        return pieces_S[0]
    return np.concatenate(pieces_S) if pieces_S else _NOTHING_S


def _ms(samples: int) -> int:
    return round(1000 * samples / SAMPLE_RATE_HZ)


def _shown_item(item_id: str, status: str, transcript: str | None) -> Event:
    part = {"type": "input_audio", "transcript": transcript}
    return {
        "id": item_id,
        "object": "realtime.item",
        "type": "message",
        "status": status,
        "role": "user",
        "content": [part],
    }


def _shown_word(word: Word, start_s: float) -> Event:
    """A word with its times in the session."""
    told: Event = {
        "word": word.word,
        "start": round(start_s + word.start_s, 3),
        "end": round(start_s + word.end_s, 3),
    }
    return told if word.confidence is None else {**told, "confidence": word.confidence}
