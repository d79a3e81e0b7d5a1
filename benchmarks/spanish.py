"""Whether a multilingual recogniser understands Kokoro's Spanish: the WER of Whisper base on sentences that it speaks.

Run: python benchmarks/spanish.py [results/spanish.json]. The sentences are the first CC0 ones of frames-spanish.jsonl;
voices take turns. Beside Spanish phonemes the same voices say the same by
English ones, which shows what the map is worth. It tells whether the sounds are right, not how good a recogniser is.
"""

import argparse
import json
import re
from datetime import date
from pathlib import Path
from typing import Any

from shoptalk.core import device, files
from shoptalk.core.models import store
from shoptalk.corpus.frames import Frame
from shoptalk.integrations import kokoro
from shoptalk.integrations.asr_whisper import WhisperRecognizer
from shoptalk.scoring.wer import count_words

FRAMES = Path("lexicons/frames-spanish.jsonl")
VOICES = ("ef_dora", "em_alex", "em_santa", "em_alex*0.6+ff_siwis*0.4")
SENTENCES = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", type=Path, nargs="?", default=Path("results/spanish.json"))
    target = parser.parse_args().target
    texts = [frame.text for frame in files.read(FRAMES, Frame) if frame.source.endswith("(CC0)")][:SENTENCES]
    judge = WhisperRecognizer(store.path("whisper-base-ct2"), threads=1, language="es")
    result = {
        "command": "python benchmarks/spanish.py",
        "date": date.today().isoformat(),
        **device.machine(),
        "recogniser": "whisper-base-ct2, language es",
        "voices": VOICES,
        "sentences": len(texts),
        "spanish_phonemes": measured(texts, "es", judge),
        "english_phonemes": measured(texts, "en", judge),
    }
    target.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    print(json.dumps(result, indent=1, ensure_ascii=False))


def measured(texts: list[str], language: str, judge: WhisperRecognizer) -> dict[str, Any]:
    """WER of what the voices say with the phonemes of a language; each sentence in one voice."""
    tts = kokoro.load(language)
    errors = words = 0
    lines = []
    for number, text in enumerate(texts):
        voice = VOICES[number % len(VOICES)]
        samples_T = tts.speak(text, voice=voice, speed=1.0, pronunciations={})
        recognised = judge.recognize([samples_T])[0].text
        counts = count_words(plain(text), plain(recognised), rules="leaderboard")
        errors += counts.errors
        words += counts.reference
        lines.append({"voice": voice, "text": text, "recognised": recognised})
    return {"words": words, "errors": errors, "wer": round(errors / words, 4), "lines": lines}


def plain(text: str) -> str:
    """Words in lower case, without punctuation."""
    return " ".join(re.findall(r"\w+", text.casefold()))


if __name__ == "__main__":
    main()
