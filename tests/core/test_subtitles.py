"""Subtitles: their laws for any words, read back by another parser, and where real sentences are cut."""

import html
import re
from itertools import pairwise

import webvtt
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core.records import Recognition, Word
from shoptalk.core.subtitles import LEAST_S, LINE, LINES, MOST_S, NAME, Cue, cues, of_recording, srt, vtt

TEXTS = st.one_of(
    st.text("abcdefgh,.?!", min_size=1, max_size=12),
    st.sampled_from(["--", "-->", "<b>", "&amp;", "&", "5", "<v", "A:", "\u2028", "a b", "the", "and", "mg."]),
    st.text("xyz", min_size=40, max_size=200),
    st.text(max_size=10),
)
PAUSES_MS = st.one_of(st.just(0), st.integers(0, 150), st.integers(0, 2_500))


@st.composite
def spoken(draw: st.DrawFn) -> tuple[Word, ...]:
    """Words in order of time, none overlapping."""
    words = []
    time_ms = draw(PAUSES_MS)
    for text in draw(st.lists(TEXTS, max_size=30)):
        end_ms = time_ms + draw(st.integers(0, 900))
        words.append(Word(word=text, start_s=time_ms / 1000, end_s=end_ms / 1000))
        time_ms = end_ms + draw(PAUSES_MS)
    return tuple(words)


def recognition(words: tuple[Word, ...]) -> Recognition:
    return Recognition(text=" ".join(word.word for word in words), words=words)


def shown_of(text: str) -> str:
    """What of a text must be shown: all that can be printed and is no space."""
    return "".join(letter for letter in text if letter.isprintable() and not letter.isspace())


def check_form(shown: list[Cue]) -> None:
    for cue in shown:
        assert 1 <= len(cue.lines) <= LINES
        assert all(line and len(line) <= LINE for line in cue.lines)
        assert 0 <= cue.start_ms < cue.end_ms <= cue.start_ms + 1000 * MOST_S
    for cue, behind in pairwise(shown):
        assert cue.end_ms <= behind.start_ms


@settings(max_examples=40)
@given(words=spoken())
def test_every_word_is_shown_once_in_order_and_in_time(words: tuple[Word, ...]) -> None:
    shown = cues(words)
    check_form(shown)
    assert shown_of("".join(cue.text for cue in shown)) == shown_of("".join(word.word for word in words))
    for cue, behind in pairwise(shown):
        if cue.end_ms - cue.start_ms < 1000 * LEAST_S:
            assert cue.end_ms == behind.start_ms, "what is short is so because the next one follows"


def milliseconds(clock: str) -> int:
    hours, minutes, seconds = clock.split(":")
    return round(1000 * (3600 * int(hours) + 60 * int(minutes) + float(seconds)))


def read_back(captions: webvtt.WebVTT) -> list[tuple[int, int, str]]:
    read = []
    for caption in captions:
        text = html.unescape(re.sub(r"<[^>]*>", "", caption.raw_text))
        read.append((milliseconds(caption.start), milliseconds(caption.end), text))
    return read


@settings(max_examples=40)
@given(words=spoken())
def test_another_parser_reads_webvtt_as_it_was_written(words: tuple[Word, ...]) -> None:
    shown = cues(words)
    expected = [(cue.start_ms, cue.end_ms, "\n".join(cue.lines)) for cue in shown]
    assert read_back(webvtt.from_string(vtt(shown))) == expected


@settings(max_examples=40)
@given(words=spoken())
def test_another_parser_reads_srt_as_it_was_written(words: tuple[Word, ...]) -> None:
    shown = cues(words)
    if not shown:
        return  # an empty file is no SRT to this parser
    captions = webvtt.from_buffer(iter(srt(shown).splitlines(keepends=True)), format="srt")
    read = [(milliseconds(caption.start), milliseconds(caption.end), caption.raw_text) for caption in captions]
    lines = [[line.replace("-->", "→") for line in cue.lines] for cue in shown]
    assert read == [(cue.start_ms, cue.end_ms, "\n".join(own)) for cue, own in zip(shown, lines, strict=True)]


@settings(max_examples=40)
@given(first=spoken(), second=spoken(), name=st.text(max_size=40))
def test_two_speakers_at_once_are_shown_one_after_the_other(
    first: tuple[Word, ...], second: tuple[Word, ...], name: str
) -> None:
    shown = of_recording([recognition(first), recognition(second)], [name, "B"], 60.0)
    check_form(shown)
    for speaker, words in ((name, first), ("B", second)):
        if name != "B":
            own = "".join(cue.text for cue in shown if cue.speaker == speaker)
            assert shown_of(own) == shown_of("".join(word.word for word in words))
    written = srt(shown).splitlines()
    assert max(map(len, written), default=0) <= LINE


SENTENCES = (
    "Good morning. The patient takes metformin 500 mg twice daily, and she reports no chest pain. Yes. No. "
    "Her blood pressure was one hundred and forty over ninety at the last visit because she had stopped taking the "
    "lisinopril that we prescribed in March."
)


def said(text: str, *, from_s: float = 0.0) -> tuple[Word, ...]:
    """Words as somebody says them: 60 ms a letter, half a second behind a sentence."""
    words = []
    for word in text.split():
        end_s = from_s + 0.06 * len(word) + 0.1
        words.append(Word(word=word, start_s=round(from_s, 3), end_s=round(end_s, 3)))
        from_s = end_s + (0.5 if word.endswith((".", "?")) else 0.05)
    return tuple(words)


def test_cuts_are_at_sentences_then_clauses_and_lines_are_balanced() -> None:
    assert [cue.lines for cue in cues(said(SENTENCES))] == [
        ("Good morning.",),
        ("The patient takes metformin 500 mg twice", "daily, and she reports no chest pain."),
        ("Yes. No.",),
        ("Her blood pressure was one hundred", "and forty over ninety at the last visit"),
        ("because she had stopped taking the", "lisinopril that we prescribed in March."),
    ]


def test_a_cue_stays_until_it_was_read_but_not_forever() -> None:
    words = said("Done.") + said("Then rest.", from_s=30.0)
    assert [(cue.start_ms, cue.end_ms) for cue in cues(words)] == [(0, 1000), (30_000, 31_000)]
    fast = tuple(Word(word="syllables", start_s=number / 10, end_s=number / 10 + 0.1) for number in range(8))
    [cue] = cues(fast)
    assert cue.end_ms == round(1000 * len(cue.text) / 17)
    [held] = cues((Word(word="Aaah", start_s=1.0, end_s=60.0),))
    assert (held.start_ms, held.end_ms) == (1000, 8000)


def test_speakers_are_told() -> None:
    names = ["Dr. <Ann> & Co", "a very long name of a speaker who talks"]
    both = [recognition(said("Any pain?")), recognition(said("None --> at all.", from_s=4.0))]
    shown = of_recording(both, names, 10.0)
    captions = webvtt.from_string(vtt(shown))
    assert "<v Dr. &lt;Ann&gt; &amp; Co>Any pain?" in captions[0].raw_text
    assert captions[1].raw_text.endswith(">None --&gt; at all.")
    lines = srt(shown).splitlines()
    assert "Dr. <Ann> & Co: Any pain?" in lines
    assert "a very long name of a s…: None → at all." in lines and NAME == 24


def test_a_text_without_times_is_spread_over_the_audio() -> None:
    shown = of_recording([Recognition(text="one two three four " * 20)], ["A"], 60.0)
    check_form(shown)
    assert " ".join(cue.text for cue in shown) == ("one two three four " * 20).strip()
    assert shown[0].start_ms == 0 and 55_000 < shown[-1].end_ms <= 62_000
    assert srt([]) == "" and vtt([]) == "WEBVTT\n\n"
