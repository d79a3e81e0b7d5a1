"""Kokoro-82M (int8, ONNX Runtime) behind the `Tts` protocol: one thread, and the same samples in every process."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from shoptalk import models
from shoptalk.audio import SAMPLE_RATE_HZ, resample
from shoptalk.config import cache_dir
from shoptalk.doors import kokoro_graph
from shoptalk.doors.espeak import Accent
from shoptalk.doors.kokoro_phonemes import TOKENS, from_text, word_spans
from shoptalk.errors import MissingToolError, RecipeError, TermError
from shoptalk.records import Samples, Word

KOKORO_RATE_HZ = 24_000
DURATION_STEP_S = 0.025
TIMBRE = 128
"""Of the 256 numbers of a style, those that the vocoder reads; the others shape pitch and pace."""
MAX_PHONEMES = 510
"""The style table has a row for each length up to this; also the context of the model."""
EDGE_S = 0.1
"""Silence kept at both ends; Kokoro itself leaves 0.3 to 0.6 s."""
SILENCE_DB = -45.0
"""Below the loudest 10 ms, what counts as silence."""

Style = npt.NDArray[np.float32]


class Kokoro:
    """A loaded model with its voices; `speak` as in `protocols.Tts`."""

    def __init__(self, graph: Path, voices: Path) -> None:
        self._session = _session(graph)
        self._voices = voices

    def speak(self, spoken: str, *, voice: str, speed: float, pronunciations: Mapping[str, str]) -> Samples:
        """Samples at 16 kHz, silence at both ends cut to `EDGE_S`; `TermError`: nothing or too much to say."""
        samples_T = trim(self._speak(spoken, voice, speed, pronunciations))
        return resample(samples_T, from_hz=KOKORO_RATE_HZ, to_hz=SAMPLE_RATE_HZ)

    def speak_untrimmed(self, spoken: str, *, voice: str, speed: float, pronunciations: Mapping[str, str]) -> Samples:
        """As `speak`, with all the silence: its time is that of `Acoustics`."""
        samples_T = self._speak(spoken, voice, speed, pronunciations)
        return resample(samples_T, from_hz=KOKORO_RATE_HZ, to_hz=SAMPLE_RATE_HZ)

    def _speak(self, spoken: str, voice: str, speed: float, pronunciations: Mapping[str, str]) -> Samples:
        sounds = from_text(spoken, accent_of(voice), pronunciations)
        samples_T = np.asarray(
            self._session.run(None, _inputs(sounds, blend(self._voices, voice), speed))[0], np.float32
        )
        return samples_T.reshape(-1)


class Acoustics(NamedTuple):
    """What Kokoro knows of a sentence before its vocoder makes a sound of it; K frames of 12.5 ms, nothing trimmed."""

    hidden_CK: npt.NDArray[np.float32]
    pitch_K: npt.NDArray[np.float32]
    """Hz; near 0 where there is none."""
    timbre_S: npt.NDArray[np.float32]
    """The part of the voice's style that the vocoder reads."""
    words: tuple[Word, ...]
    length_s: float


class BeforeVocoder:
    """Kokoro up to its vocoder, which takes eleven parts of twelve of the time."""

    def __init__(self, voices: Path) -> None:
        target = cache_dir() / "derived" / f"kokoro-{_pinned()}-before-vocoder.onnx"
        if not target.is_file():
            kokoro_graph.leave_out_vocoder(models.path("kokoro-82m-int8"), target)
        self._session = _session(target)
        self._voices = voices

    def of(self, spoken: str, *, voice: str, speed: float) -> Acoustics:
        """The acoustics of a sentence; `TermError`: nothing or too much to say."""
        sounds = from_text(spoken, accent_of(voice), {})
        inputs = _inputs(sounds, blend(self._voices, voice), speed)
        hidden_1CK, pitch_11K, steps = self._session.run(None, inputs)
        ends_s = np.cumsum(steps.reshape(-1)) * DURATION_STEP_S  # the first and the last step are the padding's
        words = tuple(
            Word(word=word, start_s=round(float(ends_s[first]), 3), end_s=round(float(ends_s[last]), 3))
            for word, first, last in word_spans(spoken, sounds, accent_of(voice))
        )
        timbre_S = inputs["style"].reshape(-1)[:TIMBRE]
        return Acoustics(hidden_1CK[0], pitch_11K.reshape(-1), timbre_S, words, float(ends_s[-1]))


def _session(graph: Path) -> Any:
    """An ONNX Runtime session on one thread: one process per core instead."""
    try:
        import onnxruntime
    except ImportError:
        raise MissingToolError("ONNX Runtime is missing; install the extra: pip install 'shoptalk[corpus]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def _inputs(sounds: str, style: Style, speed: float) -> dict[str, Any]:
    """What the graph reads; `TermError`: nothing or too much to say."""
    tokens = [TOKENS[sound] for sound in sounds]
    if not tokens or len(tokens) > MAX_PHONEMES:
        raise TermError(f"{sounds!r}: {len(tokens)} phonemes; Kokoro speaks 1 to {MAX_PHONEMES} at a time")
    return {
        "tokens": np.array([[0, *tokens, 0]], np.int64),
        "style": style[len(tokens) - 1],
        "speed": np.array([speed], np.float32),
    }


def _pinned() -> str:
    return next(iter(models.model("kokoro-82m-int8").files.values())).sha256[:8]


def load() -> Kokoro:
    """Kokoro from the model store, fetched if absent; fetch in the parent before a pool of processes calls this."""
    return Kokoro(prepare(), models.path("kokoro-voices"))


def load_published() -> Kokoro:
    """Kokoro by the published graph: its sounds are where `BeforeVocoder` says to the last bit."""
    return Kokoro(models.path("kokoro-82m-int8"), models.path("kokoro-voices"))


def prepare() -> Path:
    """The graph this machine runs fastest: fetched, verified, and rewritten once (see `kokoro_graph`)."""
    models.path("kokoro-voices")
    published = models.path("kokoro-82m-int8")
    if not kokoro_graph.pays_off():
        return published
    name = f"kokoro-{_pinned()}-v{kokoro_graph.GRAPH_VERSION}.onnx"
    target = cache_dir() / "derived" / name
    if not target.is_file():
        kokoro_graph.rewrite(published, target)
    return target


def accent_of(voice: str) -> Accent:
    """British phonemes for British voices (of a blend: the first), American ones for all others."""
    return "en-gb" if voice.startswith("b") else "en-us"


@lru_cache(maxsize=64)
def blend(voices: Path, voice: str) -> Style:
    """Style vectors (510, 1, 256) of a voice ``af_bella`` or a blend ``af_bella*0.4+am_adam*0.6``."""
    total = np.zeros((MAX_PHONEMES, 1, 256), np.float32)
    for part in voice.split("+"):
        name, _, weight = part.partition("*")
        file = voices / f"{name}.bin"
        if not name.isidentifier() or not file.is_file():
            known = ", ".join(sorted(path.stem for path in voices.glob("*.bin")))
            raise RecipeError(f"{voice!r}: Kokoro has no voice {name!r}; it has {known}")
        total += np.float32(weight or 1.0) * np.fromfile(file, np.float32).reshape(total.shape)
    return total


def trim(samples_T: Samples, *, rate_hz: int = KOKORO_RATE_HZ) -> Samples:
    """Cut silence at both ends to `EDGE_S`; all silence stays as it is."""
    hop = rate_hz // 100
    frames = samples_T[: samples_T.size // hop * hop].reshape(-1, hop)
    power = np.mean(np.square(frames, dtype=np.float64), axis=1)
    loud = np.flatnonzero(power > power.max(initial=0.0) * 10 ** (SILENCE_DB / 10))
    if not loud.size:
        return samples_T
    edge = round(EDGE_S * rate_hz)
    return samples_T[max(0, loud[0] * hop - edge) : (loud[-1] + 1) * hop + edge]
