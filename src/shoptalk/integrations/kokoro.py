"""Kokoro-82M (int8) behind the `Tts` protocol: one thread, and the same samples in every process of a machine."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from shoptalk.core import device, runtime
from shoptalk.core.audio import SAMPLE_RATE_HZ, resample
from shoptalk.core.config import cache_dir
from shoptalk.core.errors import MissingToolError, RecipeError, TermError
from shoptalk.core.languages import ENGLISH
from shoptalk.core.models import store
from shoptalk.core.records import Samples, Word
from shoptalk.integrations import kokoro_graph, onnx
from shoptalk.integrations.espeak import Accent
from shoptalk.integrations.kokoro_phonemes import LANGUAGES, TOKENS, from_text, word_spans

if TYPE_CHECKING:
    from shoptalk.integrations.kokoro_vocoder import Vocoder

KOKORO_RATE_HZ = 24_000
DURATION_STEP_S = 0.025
LEAD_S = 0.04
"""A phoneme sounds this much earlier than its steps: the median over 20 words after a pause, in the four test voices
(quartiles 0.040 and 0.050 s at 38 dB below the peak)."""
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
    """A loaded model with its voices; `speak` and `speak_timed` as in `protocols.Tts`."""

    def __init__(self, graph: Path, voices: Path, vocoder: Path | None = None, *, language: str = ENGLISH) -> None:
        """`vocoder` has the weights of `kokoro_vocoder`, for a graph that ends before it."""
        if language not in LANGUAGES:
            known = ", ".join(LANGUAGES)
            raise RecipeError(f"Kokoro does not speak {language!r}, but {known}; take speech.tts=espeak or another")
        self._language = language
        self._session = onnx.session(graph, threads=1)
        self._voices = voices
        self._vocoder = _vocoder(vocoder) if vocoder else None

    def speak(self, spoken: str, *, voice: str, speed: float, pronunciations: Mapping[str, str]) -> Samples:
        """Samples at 16 kHz, silence at both ends cut to `EDGE_S`; `TermError`: nothing or too much to say."""
        samples_T, *_ = self._run(from_text(spoken, self._accent(voice), pronunciations), voice, speed)
        return resample(trim(samples_T), from_hz=KOKORO_RATE_HZ, to_hz=SAMPLE_RATE_HZ)

    def speak_timed(
        self, spoken: str, *, voice: str, speed: float, pronunciations: Mapping[str, str]
    ) -> tuple[Samples, tuple[Word, ...]]:
        """As `speak`, with the words; the graph must be one that tells how long each phoneme lasts (`prepare`)."""
        accent = self._accent(voice)
        sounds = from_text(spoken, accent, pronunciations)
        samples_T, steps = self._run(sounds, voice, speed)
        loud = loud_part(samples_T)
        loud_s = (loud.start / KOKORO_RATE_HZ, loud.stop / KOKORO_RATE_HZ)
        words = timed(word_spans(spoken, sounds, accent, pronunciations), steps, heard_s=loud_s)
        return resample(trim(samples_T), from_hz=KOKORO_RATE_HZ, to_hz=SAMPLE_RATE_HZ), words

    def speak_untrimmed(self, spoken: str, *, voice: str, speed: float, pronunciations: Mapping[str, str]) -> Samples:
        """As `speak`, with all the silence: its time is that of `Acoustics`."""
        samples_T, *_ = self._run(from_text(spoken, self._accent(voice), pronunciations), voice, speed)
        return resample(samples_T, from_hz=KOKORO_RATE_HZ, to_hz=SAMPLE_RATE_HZ)

    def _accent(self, voice: str) -> Accent:
        return accent_of(voice) if self._language == ENGLISH else self._language

    def _run(self, sounds: str, voice: str, speed: float) -> list[npt.NDArray[np.float32]]:
        """Flat: samples, and from graphs that tell them the steps that each phoneme lasts."""
        inputs = _inputs(sounds, blend(self._voices, voice), speed)
        outputs = self._session.run(None, inputs)
        if self._vocoder:
            hidden_1CK, source_1T, steps = outputs
            outputs = [self._vocoder.sound(hidden_1CK[0], source_1T[0], _timbre(inputs)), steps]
        return [np.asarray(output, np.float32).reshape(-1) for output in outputs]


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
    """Kokoro up to its vocoder, which takes eleven parts of twelve of the published graph's time."""

    def __init__(self, voices: Path) -> None:
        target = _derived("before-vocoder", ".onnx")
        if not target.is_file():
            kokoro_graph.leave_out_vocoder(store.path("kokoro-82m-int8"), target)
        self._session = onnx.session(target, threads=1)
        self._voices = voices

    def of(self, spoken: str, *, voice: str, speed: float) -> Acoustics:
        """The acoustics of a sentence; `TermError`: nothing or too much to say."""
        sounds = from_text(spoken, accent_of(voice), {})
        inputs = _inputs(sounds, blend(self._voices, voice), speed)
        hidden_1CK, pitch_11K, steps = self._session.run(None, inputs)
        words = timed(word_spans(spoken, sounds, accent_of(voice), {}), steps)
        length_s = float(steps.sum()) * DURATION_STEP_S
        return Acoustics(hidden_1CK[0], pitch_11K.reshape(-1), _timbre(inputs), words, length_s)


def timed(
    spans: Sequence[tuple[str, int, int]],
    steps: npt.NDArray[np.float32],
    *,
    heard_s: tuple[float, float] | None = None,
) -> tuple[Word, ...]:
    """Words in time by `word_spans` and how many steps each token lasts.

    `heard_s` is the loud part of the sound: times become those of the trimmed sound, and no word starts before that
    part or ends after it, though Kokoro counts the silence after the last phoneme as part of it.
    """
    # The first and the last step are the padding's, so a phoneme starts where the step of its own number ends.
    ends_s = np.maximum(0.0, np.cumsum(steps.reshape(-1)) * DURATION_STEP_S - LEAD_S)
    if heard_s:
        ends_s = np.clip(ends_s, *heard_s) - max(0.0, heard_s[0] - EDGE_S)
    return tuple(
        Word(word=word, start_s=round(float(ends_s[first]), 3), end_s=round(float(ends_s[last]), 3))
        for word, first, last in spans
    )


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


def _timbre(inputs: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """The part of the voice's style that the vocoder reads, (TIMBRE,)."""
    style: npt.NDArray[np.float32] = inputs["style"].reshape(-1)[:TIMBRE]
    return style


def _vocoder(weights: Path) -> "Vocoder":
    runtime.start()  # before PyTorch is imported
    try:
        from shoptalk.integrations.kokoro_vocoder import Vocoder
    except ImportError:
        raise MissingToolError(
            "PyTorch or numba is missing; install the extra: pip install 'shoptalk[corpus]'"
        ) from None
    return Vocoder(weights)


def _pinned() -> str:
    return next(iter(store.model("kokoro-82m-int8").files.values())).sha256[:8]


class Files(NamedTuple):
    """What Kokoro is loaded from."""

    graph: Path
    vocoder: Path | None
    """The weights of a vocoder that the graph lacks."""


def load(language: str = ENGLISH) -> Kokoro:
    """Kokoro from the model store, fetched if absent, speaking one of its `LANGUAGES`.

    Fetch in the parent before a pool of processes calls this.
    """
    files = prepare()
    return Kokoro(files.graph, store.path("kokoro-voices"), files.vocoder, language=language)


def load_published() -> Kokoro:
    """Kokoro by the published graph: its sounds are where `BeforeVocoder` says to the last bit."""
    return Kokoro(store.path("kokoro-82m-int8"), store.path("kokoro-voices"))


def prepare() -> Files:
    """The files of the graph that this machine runs fastest: fetched, verified, and made once (see `kokoro_graph`)."""
    store.path("kokoro-voices")
    published = store.path("kokoro-82m-int8")
    kind = device.kokoro_graph(device.processor())
    if kind == "split":
        graph, weights = _derived("split", ".onnx"), _derived("split", ".safetensors")
        if not (graph.is_file() and weights.is_file()):
            kokoro_graph.split(published, graph, weights)
        return Files(graph, weights)
    make = kokoro_graph.rewrite if kind == "rewritten" else kokoro_graph.tell_durations
    target = _derived(make.__name__, ".onnx")
    if not target.is_file():
        make(published, target)
    return Files(target, None)


def _derived(name: str, ending: str) -> Path:
    """Where something that is made of the pinned graph is kept."""
    return cache_dir() / "derived" / f"kokoro-{_pinned()}-{name}-v{kokoro_graph.GRAPH_VERSION}{ending}"


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
    loud, edge = loud_part(samples_T, rate_hz=rate_hz), round(EDGE_S * rate_hz)
    return samples_T[max(0, loud.start - edge) : loud.stop + edge]


def loud_part(samples_T: Samples, *, rate_hz: int = KOKORO_RATE_HZ) -> slice:
    """From the first to past the last 10 ms that are no silence; all, where everything is."""
    hop = rate_hz // 100
    frames = samples_T[: samples_T.size // hop * hop].reshape(-1, hop)
    power = np.mean(np.square(frames, dtype=np.float64), axis=1)
    loud = np.flatnonzero(power > power.max(initial=0.0) * 10 ** (SILENCE_DB / 10))
    return slice(int(loud[0]) * hop, int(loud[-1] + 1) * hop) if loud.size else slice(0, samples_T.size)
