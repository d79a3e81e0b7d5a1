"""Word times against known ones, and how many break a rule, for every way of decoding; writes JSON.

    python benchmarks/engine/word_times.py before [results/word_times.json] [--sentences 40]

Kokoro speaks test sentences of the general set and tells when it says each word. They are recognised as they are, cut
off where the last word ends, with pauses of 3 s put between words, and joined to recordings of minutes. The word times
of real recordings are not known, so these are checked for broken rules alone. The first argument names the figures, so
that those of two commits stand side by side.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shoptalk.core import device, files
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.examples import read_manifest
from shoptalk.core.protocols import Feed, Options, Phrase
from shoptalk.core.recordings import load
from shoptalk.core.records import Samples, Word
from shoptalk.engine.recognizer import Engine, VadUse
from shoptalk.engine.streaming import Streamer, StreamSetting
from shoptalk.integrations import kokoro, vad_silero
from shoptalk.scoring.word_times import matched

ROOT = Path(__file__).parents[2]
TEST = ROOT / "assets/general/test.jsonl"
MODEL = ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"
REAL = ("fotaq", "speechocean762")
PAUSE_S = 3.0
PAUSES_APART = 4
"""A pause after every so many words."""
ROOM = 1e-4
"""Standard deviation of the noise in a pause, about 60 dB below speech."""
HOLDS_S = 0.5
"""A word with so much of a pause in it, or of what the VAD calls no speech, is longer than its speech."""
CLOCK_S = 0.0006
"""Times are rounded to 1 ms."""
BLOCK = SAMPLE_RATE_HZ // 4
SEED = 7

Transcribe = Callable[[Samples], Sequence[Word]]


class Recording(NamedTuple):
    """Samples, the words that are spoken in them if they are known, and where nobody speaks."""

    samples_T: Samples
    words: Sequence[Word]
    silent_s: Sequence[tuple[float, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("target", type=Path, nargs="?", default=Path("results/word_times.json"))
    parser.add_argument("--sentences", type=int, default=40)
    arguments = parser.parse_args()
    figures = {
        "command": f"python benchmarks/engine/word_times.py {arguments.name} --sentences {arguments.sentences}",
        "date": f"{date.today()}",
        "machine": device.machine(),
        "model": MODEL.stem,
        "sets": measured(arguments.sentences),
    }
    known = json.loads(arguments.target.read_text()) if arguments.target.is_file() else {}
    files.write_text(arguments.target, json.dumps({**known, arguments.name: figures}, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


def measured(sentences: int) -> dict[str, Any]:
    """The figures of each set by each way of decoding."""
    spoken = list(spoken_by_kokoro(sentences))
    paused = list(with_pauses(spoken))
    sets = {
        "sentences": spoken,
        "cut_where_the_last_word_ends": [cut_off(recording) for recording in spoken],
        "pauses_of_3_s": paused,
        "minutes_with_pauses": [joined(paused[start : start + 8]) for start in range(0, len(paused), 8)],
        "real": list(real(sentences)),
    }
    figures: dict[str, Any] = {}
    for name, recordings in sets.items():
        figures[name] = {way: scores(transcribe, recordings) for way, transcribe in ways().items()}
    return figures


def ways() -> dict[str, Transcribe]:
    """What gives the words of a recording."""
    greedy, beam = Engine(MODEL), Engine(MODEL, beam=4)
    filled = Engine(MODEL, beam=4, vad=VadUse(vad_silero.load(), require_speech=False))
    phrases = Options(tuple(Phrase(text) for text in ("blood pressure", "metformin", "the office", "yesterday")))
    streamer = Streamer(greedy, StreamSetting())

    def streamed(samples_T: Samples) -> list[Word]:
        stream = streamer.open()
        words: list[Word] = []
        for start in range(0, max(samples_T.size, 1), BLOCK):
            is_last = start + BLOCK >= samples_T.size
            [partial] = streamer.feed([Feed(stream, samples_T[start : start + BLOCK], is_last)])
            words += partial.final
        return words

    return {
        "greedy": lambda samples_T: greedy.recognize([samples_T])[0].words,
        "beam": lambda samples_T: beam.recognize([samples_T])[0].words,
        "beam_with_phrases": lambda samples_T: beam.recognize([samples_T], [phrases])[0].words,
        "beam_with_gaps_filled": lambda samples_T: filled.recognize([samples_T])[0].words,
        "stream": streamed,
    }


def scores(transcribe: Transcribe, recordings: Sequence[Recording]) -> dict[str, Any]:
    """Broken rules in counts of words, and the errors of correct words in ms."""
    counts = {"words": 0, "overlap": 0, "out_of_order": 0, "outside_audio": 0, "longer_than_speech": 0}
    late_s: list[tuple[float, float]] = []
    for recording in recordings:
        words = transcribe(recording.samples_T)
        duration_s = recording.samples_T.size / SAMPLE_RATE_HZ
        counts["words"] += len(words)
        counts["overlap"] += sum(after.start_s < before.end_s for before, after in pairwise(words))
        counts["out_of_order"] += sum(after.start_s < before.start_s for before, after in pairwise(words))
        for word in words:
            is_outside = word.start_s < 0 or max(word.start_s, word.end_s) > duration_s + CLOCK_S
            counts["outside_audio"] += is_outside
            counts["longer_than_speech"] += _holds_silence(word, recording.silent_s)
        for spoken, recognized in matched(recording.words, words):
            late_s.append((recognized.start_s - spoken.start_s, recognized.end_s - spoken.end_s))
    return {**counts, **errors_ms(late_s)}


def _holds_silence(word: Word, silent_s: Sequence[tuple[float, float]]) -> bool:
    return any(min(word.end_s, end_s) - max(word.start_s, start_s) >= HOLDS_S for start_s, end_s in silent_s)


def errors_ms(late_s: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Median and 95th percentile of the errors of starts and ends, and how late the median start is."""
    if not late_s:
        return {}
    late_W2 = 1000 * np.array(late_s)
    median, p95 = np.quantile(np.abs(late_W2), [0.5, 0.95], axis=0)
    return {
        "correct_words": len(late_s),
        "start_median_ms": round(float(median[0]), 1),
        "start_p95_ms": round(float(p95[0]), 1),
        "end_median_ms": round(float(median[1]), 1),
        "end_p95_ms": round(float(p95[1]), 1),
        "start_late_median_ms": round(float(np.median(late_W2[:, 0])), 1),
        "end_late_median_ms": round(float(np.median(late_W2[:, 1])), 1),
    }


# ---- recordings


def spoken_by_kokoro(sentences: int) -> Iterator[Recording]:
    """Test sentences in the voices that training never had, spoken anew."""
    tts = kokoro.load()
    rows = [row for row in read_manifest(TEST) if row.source == "synthetic"]
    for row in rows[:: max(1, len(rows) // sentences)][:sentences]:
        samples_T, words = tts.speak_timed(row.text, voice=row.speaker, speed=1.0, pronunciations={})
        yield Recording(samples_T, words, [])


def cut_off(recording: Recording) -> Recording:
    """The recording without the silence behind its last word."""
    end = round(recording.words[-1].end_s * SAMPLE_RATE_HZ)
    return recording._replace(samples_T=recording.samples_T[:end])


def with_pauses(recordings: Sequence[Recording]) -> Iterator[Recording]:
    """The recordings with a pause after every few words; the words behind it come later."""
    rng = np.random.default_rng(SEED)
    for recording in recordings:
        parts: list[Recording] = []
        for first in range(0, len(recording.words), PAUSES_APART):
            words = recording.words[first : first + PAUSES_APART]
            is_last = first + PAUSES_APART >= len(recording.words)
            start = 0 if first == 0 else round(words[0].start_s * SAMPLE_RATE_HZ)
            end = recording.samples_T.size if is_last else round(words[-1].end_s * SAMPLE_RATE_HZ)
            here = [_later(word, -start / SAMPLE_RATE_HZ) for word in words]
            parts.append(Recording(recording.samples_T[start:end], here, []))
            if not is_last:
                room_T = rng.normal(0, ROOM, round(PAUSE_S * SAMPLE_RATE_HZ)).astype(np.float32)
                parts.append(Recording(room_T, [], [(0.0, PAUSE_S)]))
        yield joined(parts)


def joined(recordings: Sequence[Recording]) -> Recording:
    """One recording of several, one after the other."""
    words: list[Word] = []
    silent_s: list[tuple[float, float]] = []
    from_s = 0.0
    for recording in recordings:
        words += [_later(word, from_s) for word in recording.words]
        silent_s += [(from_s + start_s, from_s + end_s) for start_s, end_s in recording.silent_s]
        from_s += recording.samples_T.size / SAMPLE_RATE_HZ
    return Recording(np.concatenate([recording.samples_T for recording in recordings]), words, silent_s)


def _later(word: Word, by_s: float) -> Word:
    return word.model_copy(update={"start_s": word.start_s + by_s, "end_s": word.end_s + by_s})


def real(count: int) -> Iterator[Recording]:
    """Real recordings of each source; nobody speaks where the VAD says so."""
    vad = vad_silero.load()
    for source in REAL:
        rows = [row for row in read_manifest(TEST) if row.source == source]
        for row in rows[:: max(1, len(rows) // count)][:count]:
            samples_T = load(row)
            duration_s = samples_T.size / SAMPLE_RATE_HZ
            edges_s = [0.0, *(edge_s for span_s in vad.speech(samples_T) for edge_s in span_s), duration_s]
            yield Recording(samples_T, [], list(zip(edges_s[::2], edges_s[1::2], strict=True)))


if __name__ == "__main__":
    main()
