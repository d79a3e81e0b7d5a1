"""Piper's voices, by the package `piper-tts` (GPL-3.0-or-later): the user's own installation, for evaluation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shoptalk.core.audio import SAMPLE_RATE_HZ, resample
from shoptalk.core.errors import AudioError, MissingToolError, RecipeError
from shoptalk.core.records import Samples
from shoptalk.integrations.ssml import marked


class PiperTts:
    """A `Tts`; the noise that Piper adds is drawn anew each time, so a sentence never sounds the same twice."""

    def __init__(self, folder: Path) -> None:
        """`folder` has ``NAME.onnx`` and ``NAME.onnx.json`` of each voice."""
        self._folder = folder
        self._voices: dict[str, Any] = {}

    def speak(self, spoken: str, *, voice: str, speed: float, pronunciations: Mapping[str, str]) -> Samples:
        """Samples at 16 kHz; pronunciations are put between ``[[`` and ``]]``, as Piper takes them."""
        if voice not in self._voices:
            self._voices[voice] = _load(self._folder, voice)
        from piper import SynthesisConfig

        text = marked(spoken, pronunciations, word=_phonemes, rest=_without_brackets)
        config = SynthesisConfig(length_scale=1 / speed)
        chunks = list(self._voices[voice].synthesize(text, config))
        if not chunks:
            raise AudioError(f"{spoken!r}: Piper said nothing; check its spoken form")
        samples_T = np.concatenate([chunk.audio_float_array for chunk in chunks]).astype(np.float32)
        return resample(samples_T, from_hz=chunks[0].sample_rate, to_hz=SAMPLE_RATE_HZ)


def _phonemes(text: str, ipa: str) -> str:
    return f"[[{ipa.strip().strip('/[]')}]]"


def _without_brackets(text: str) -> str:
    return text.replace("[[", "[").replace("]]", "]")


def _load(folder: Path, voice: str) -> Any:
    try:
        from piper import PiperVoice
    except ImportError:
        raise MissingToolError("piper-tts is not installed; run `pip install 'shoptalk[piper]'`") from None
    path = folder / f"{voice}.onnx"
    if not path.is_file() or not path.with_name(f"{path.name}.json").is_file():
        known = ", ".join(sorted(other.stem for other in folder.glob("*.onnx"))) or "none"
        raise RecipeError(f"{folder} has no {voice}.onnx with {voice}.onnx.json; its voices are: {known}")
    return PiperVoice.load(path)
