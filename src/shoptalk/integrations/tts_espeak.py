"""eSpeak NG's own voices, for languages that no neural voice speaks: formants by rule, of no person.

A sentence is spoken by a program of its own, because the library keeps state from one sentence to the next: so a
sentence sounds the same each time.
"""

import io
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from shoptalk.core.audio import SAMPLE_RATE_HZ, resample
from shoptalk.core.errors import AudioError, MissingToolError, RecipeError
from shoptalk.core.records import Samples

WORDS_PER_MINUTE = 165
"""Of speed 1; eSpeak's own is 175."""
_LONGEST_S = 60


class EspeakTts:
    """A `Tts`; pronunciations cannot be given."""

    def __init__(self, languages: Mapping[str, str]) -> None:
        """`languages` has the language of each voice; a voice is one of eSpeak NG's variants, e.g. ``f2``."""
        program = shutil.which("espeak-ng")
        if program is None:
            raise MissingToolError("eSpeak NG is missing; install it: apt-get install espeak-ng")
        self._program = program
        self._languages = languages
        self._variants = _variants(program)

    def speak(self, spoken: str, *, voice: str, speed: float, pronunciations: Mapping[str, str]) -> Samples:
        """Samples at 16 kHz; `RecipeError`: a voice or a language that eSpeak NG lacks."""
        import soundfile

        if voice not in self._variants:
            raise RecipeError(f"eSpeak NG has no voice {voice!r}; it has {', '.join(sorted(self._variants))}")
        name = f"{self._languages[voice]}+{voice}"
        command = [self._program, "-v", name, "-s", str(round(WORDS_PER_MINUTE * speed)), "--stdin", "--stdout"]
        made = subprocess.run(command, input=spoken.encode(), capture_output=True, timeout=_LONGEST_S, check=False)
        if made.returncode != 0:
            told = made.stderr.decode(errors="replace").strip()
            raise RecipeError(f"eSpeak NG cannot speak as {name!r} ({told}); `espeak-ng --voices` lists its languages")
        # its header leaves the length open
        samples_T, rate_hz = soundfile.read(io.BytesIO(_with_length(made.stdout)), dtype="float32")
        if not samples_T.size:
            raise AudioError(f"{spoken!r}: eSpeak NG said nothing; check its spoken form")
        return resample(samples_T, from_hz=rate_hz, to_hz=SAMPLE_RATE_HZ)


def _with_length(wav: bytes) -> bytes:
    """A WAV file of 44 bytes of header and samples, with the lengths that a pipe could not tell."""
    riff, data = len(wav) - 8, len(wav) - 44
    return wav[:4] + riff.to_bytes(4, "little") + wav[8:40] + data.to_bytes(4, "little") + wav[44:]


def _variants(program: str) -> frozenset[str]:
    """Names of the variants, which the program lists as files: ``!v/f2``."""
    listed = subprocess.run([program, "--voices=variant"], capture_output=True, text=True, check=True).stdout
    return frozenset(Path(word).name for word in listed.split() if word.startswith("!v/"))
