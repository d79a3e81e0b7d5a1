"""Phonemes with the real eSpeak NG; speech with the real Kokoro (slow)."""

import hashlib
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core import device
from shoptalk.core.errors import RecipeError, TermError
from shoptalk.corpus.pronunciation import _LETTERS, check_ipa
from shoptalk.integrations.espeak import Accent
from shoptalk.integrations.kokoro import blend, timed, trim
from shoptalk.integrations.kokoro_phonemes import TOKENS, from_ipa, from_text, word_spans

ACCENTS: tuple[Accent, ...] = ("en-us", "en-gb")


def test_tokens_are_distinct() -> None:
    assert len(TOKENS) == len(set(TOKENS.values())) == 114


def test_english_in_both_accents() -> None:
    spoken = "The nurse's chair, a little water; five milligrams twice?"
    assert from_text(spoken, "en-us", {}) == "ðə nˈɜɹsᵻz ʧˈɛɹ, ɐ lˈɪTᵊl wˈɔTəɹ; fˈIv mˈɪlɪɡɹˌæmz twˈIs?".replace(
        "ɐ", "ə"
    )
    assert from_text(spoken, "en-gb", {}) == "ðə nˈɜːsɪz ʧˈɛː, ə lˈɪtᵊl wˈɔːtə; fˈIv mˈɪlɪɡɹˌamz twˈIs?"


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("hepatitis A virus", "hˌɛpətˈITɪs ˈA vˈIɹəs"),
        ("A B G drawn.", "ˈA bˈi ʤˈi dɹˈɔn."),
        ("The A one C is high.", "ðɪ ˈA wˈʌn sˈi ɪz hˈI."),
        ("A one C.", "ˈA wˈʌn sˈi."),
        ("Plan A. A nurse came.", "plˈæn ˈA. ə nˈɜɹs kˈAm."),
        ("A one-time dose.", "ə wˈʌntˈIm dˈOs."),
    ],
)
def test_the_letter_a_is_told_from_the_article(text: str, phonemes: str) -> None:
    assert from_text(text, "en-us", {}) == phonemes


def test_overrides_reach_the_phonemes_whatever_the_case_and_place() -> None:
    table = {"metformin": "mɛtˈfɔːrmɪn", "amlodipine": "æmˈloʊdɪpiːn"}
    got = from_text("Metformin and the metformin, an amlodipine's dose.", "en-us", table)
    assert got == "mɛtfˈɔɹmɪn ænd ðə mɛtfˈɔɹmɪn, ən æmlˈOdɪpinz dˈOs."
    assert from_text("metformins", "en-us", table) != got[:10]


@pytest.mark.parametrize(
    ("spoken", "sounds"),
    [
        ("the C A nineteen nine", "sˈi ˈA nˈIntin"),
        ("at eight A M today", "ˈAt ˈA ˈɛm"),
        ("A B G results", "ˈA bˈi ʤˈi"),
        ("A one C of seven", "ˈA wˈʌn sˈi"),
        ("hepatitis A virus", "ˈA vˈIɹəs"),
        ("A one-week course", "ə wˈʌn"),
        ("A plan for a patient", "ə plˈæn fəɹə pˈAʃənt"),
    ],
)
def test_a_spelled_a_is_no_article(spoken: str, sounds: str) -> None:
    assert sounds in from_text(spoken, "en-us", {})


@given(
    st.lists(st.sampled_from("the a to an of metformin is not takes daily . , one X".split()), min_size=1, max_size=12),
    st.sampled_from(ACCENTS),
    st.sampled_from(["mɛtˈfɔːmɪn", "ˈæmfɔːmɪn", "ˈeɪpɪl"]),
)
@settings(max_examples=100, deadline=None)
def test_overrides_stand_in_any_neighbourhood(words: list[str], accent: Accent, ipa: str) -> None:
    got = from_text(" ".join(words), accent, {"metformin": ipa})
    assert got.count(from_ipa(ipa, accent)) == words.count("metformin")
    assert set(got) <= set(TOKENS)


@given(st.text(_LETTERS + "ˈˌː.͡", min_size=1, max_size=12), st.sampled_from(ACCENTS))
def test_what_the_lexicon_accepts_kokoro_can_speak(ipa: str, accent: Accent) -> None:
    try:
        check_ipa(ipa)
    except TermError:
        return
    assert set(from_ipa(ipa, accent)) <= set(TOKENS)


def test_each_word_has_its_sounds_though_espeak_runs_some_together() -> None:
    text = "One of the nurses, I think, was in the room."
    sounds = from_text(text, "en-us", {})
    assert len(sounds.split()) < len(text.split()), "the case that this is for"
    spans = word_spans(text, sounds, "en-us", {})
    assert [word for word, *_ in spans] == text.split()
    assert all(first < last for _, first, last in spans)
    assert all(before[2] <= after[1] for before, after in pairwise(spans))
    said = {word: sounds[first:last] for word, first, last in spans}
    assert all(sounds[first - 1] not in "ˈˌ" for _, first, _ in spans[1:]), "stress belongs to its sound"
    assert said["nurses,"] == "nˈɜɹsᵻz" and said["room."].startswith("ɹ") and "v" in said["of"]


@given(st.lists(st.sampled_from("the of to and in nurses, take two 5 milligrams? OK. - it's".split()), max_size=14))
@settings(max_examples=60, deadline=None)
def test_spans_follow_each_other(words: list[str]) -> None:
    sounds = from_text(" ".join(words), "en-gb", {})
    spans = word_spans(" ".join(words), sounds, "en-gb", {})
    assert all(0 <= first < last <= len(sounds) for _, first, last in spans)
    assert all(before[2] <= after[1] for before, after in pairwise(spans))


def test_a_given_pronunciation_is_the_words_own() -> None:
    text, table = "Start metformin, today.", {"metformin": "ˈoʊ"}
    sounds = from_text(text, "en-us", table)
    spans = word_spans(text, sounds, "en-us", table)
    assert [word for word, *_ in spans] == text.split()
    assert sounds[slice(*spans[1][1:])] == "ˈO"


def test_words_keep_within_the_sound_when_silence_is_cut() -> None:
    spans, steps = [("take", 0, 4), ("two.", 4, 7)], np.array([8, 4, 4, 4, 4, 4, 4, 20, 30], np.float32)
    assert [(w.start_s, w.end_s) for w in timed(spans, steps)] == [(0.16, 0.56), (0.56, 1.26)]
    cut = timed(spans, steps, heard_s=(0.25, 0.95))  # what is kept starts `EDGE_S` before the first sound
    assert [(w.start_s, w.end_s) for w in cut] == [(0.1, 0.41), (0.41, 0.8)]
    uncut = timed(spans, steps, heard_s=(0.05, 2.0))
    assert [(w.start_s, w.end_s) for w in uncut] == [(0.16, 0.56), (0.56, 1.26)], "less silence than is kept"


def test_unknown_symbol_is_named() -> None:
    with pytest.raises(TermError, match="ʘ"):
        from_ipa("mʘa", "en-us")


def test_trim_keeps_a_tenth_of_a_second() -> None:
    tone = np.sin(np.arange(24_000) / 10).astype(np.float32)
    silence = np.zeros(24_000, np.float32)
    assert trim(np.concatenate([silence, tone, silence])).size == pytest.approx(24_000 * 1.2, abs=480)
    assert trim(silence).size == silence.size


def test_blends_are_linear(tmp_path: Path) -> None:
    for name, value in (("af_a", 1.0), ("am_b", 3.0)):
        np.full((510, 1, 256), value, np.float32).tofile(tmp_path / f"{name}.bin")
    assert np.all(blend(tmp_path, "af_a*0.25+am_b*0.75") == 2.5)
    with pytest.raises(RecipeError, match=r"af_x.*af_a, am_b"):
        blend(tmp_path, "af_a*0.5+af_x*0.5")


@pytest.mark.slow
def test_a_sentence_in_a_test_voice_and_an_override_that_is_heard() -> None:
    from shoptalk.integrations import kokoro

    tts = kokoro.load()
    sentence = "Please start metformin today."
    plain_T = tts.speak(sentence, voice="af_kore", speed=1.0, pronunciations={})
    assert 1.2 < plain_T.size / 16_000 < 3.5 and 0.1 < np.abs(plain_T).max() <= 1.2
    assert np.array_equal(plain_T, tts.speak(sentence, voice="af_kore", speed=1.0, pronunciations={}))
    given_T = tts.speak(sentence, voice="af_kore", speed=1.0, pronunciations={"metformin": "ˈoʊ"})
    assert given_T.size < plain_T.size - 0.2 * 16_000
    faster_T = tts.speak(sentence, voice="af_kore*0.5+bm_lewis*0.5", speed=1.3, pronunciations={})
    assert faster_T.size < plain_T.size


@pytest.mark.slow
def test_word_times_are_where_the_words_are_heard() -> None:
    from shoptalk.core.models import store
    from shoptalk.integrations import kokoro

    sentence = "Please take your medicine, and then rest."
    before = kokoro.BeforeVocoder(store.path("kokoro-voices")).of(sentence, voice="af_kore", speed=1.0)
    words = before.words
    assert [one.word for one in words] == sentence.split()
    assert all(0 < one.start_s < one.end_s < before.length_s for one in words)
    assert before.hidden_CK.shape == (512, before.pitch_K.size) and before.timbre_S.shape == (kokoro.TIMBRE,)
    assert before.pitch_K.size * 0.0125 == pytest.approx(before.length_s)
    assert 120 < np.median(before.pitch_K[before.pitch_K > 50]) < 300, "a woman's voice"
    spoken_T = kokoro.load().speak(sentence, voice="af_kore", speed=1.0, pronunciations={})
    first_s = words[0].start_s - kokoro.EDGE_S  # what was cut off before the first word
    comma_s = (words[3].end_s + words[4].start_s) / 2 - first_s
    pause_T = spoken_T[round((comma_s - 0.025) * 16_000) :][:800]
    assert np.square(pause_T).mean() < 0.2 * np.square(spoken_T).mean(), "the pause at the comma"
    assert words[-1].end_s - first_s == pytest.approx(spoken_T.size / 16_000, abs=0.5)


@pytest.mark.slow
def test_the_words_of_speech_are_where_it_is_loud() -> None:
    from shoptalk.core.models import store
    from shoptalk.integrations import kokoro

    sentence, tts = "Take metformin every morning. Each dose is small.", kokoro.load()
    how = {"voice": "am_liam", "speed": 1.1, "pronunciations": {"metformin": "mɛtˈfɔɹmɪn"}}
    samples_T, words = tts.speak_timed(sentence, **how)  # type: ignore[arg-type]
    assert np.array_equal(samples_T, tts.speak(sentence, **how)), "telling the times changes no sample"  # type: ignore[arg-type]
    assert [one.word for one in words] == sentence.split()
    assert all(one.start_s < one.end_s for one in words)
    assert words[0].start_s == pytest.approx(kokoro.EDGE_S, abs=0.06)
    assert words[-1].end_s == pytest.approx(samples_T.size / 16_000 - kokoro.EDGE_S, abs=0.06)
    energy_F = np.square(samples_T[: samples_T.size // 80 * 80].reshape(-1, 80)).mean(axis=1)  # of 5 ms
    middle = slice(*(round((one.start_s + one.end_s) / 2 / 0.005) for one in words[3:5]))  # morning. Each
    silent_F = np.flatnonzero(energy_F[middle] < 10**-3.8 * energy_F.max())
    after_s = 0.005 * (middle.start + silent_F[-1] + 1)
    assert silent_F.size > 10 and words[4].start_s == pytest.approx(after_s, abs=0.03), "the word behind the pause"
    published = kokoro.Kokoro(store.path("kokoro-82m-int8"), store.path("kokoro-voices"))
    if device.kokoro_graph(device.processor()) == "published":
        assert np.array_equal(samples_T, published.speak(sentence, **how))  # type: ignore[arg-type]


@pytest.mark.slow
def test_another_process_gives_the_same_samples() -> None:
    program = (
        "import hashlib\nfrom shoptalk.integrations import kokoro\n"
        "samples = kokoro.load().speak('Take two.', voice='bm_lewis', speed=1.1, pronunciations={})\n"
        "print(hashlib.sha256(samples.tobytes()).hexdigest())"
    )
    source = str(Path(__file__).parents[2] / "src")
    command = [sys.executable, "-c", program]
    heard = [
        subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": source})
        for _ in range(2)
    ]
    assert heard[0].stdout == heard[1].stdout and len(heard[0].stdout.strip()) == len(hashlib.sha256().hexdigest())


@pytest.mark.slow
@pytest.mark.parametrize("graph", ["split", "rewritten", "published"])
def test_all_graphs_say_the_same_whichever_this_processor_would_choose(
    graph: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from shoptalk.integrations import kokoro

    here = device.read_processor(device.CPU_INFO)  # ONNX Runtime is not narrowed
    is_exact = (
        device.sums_int8_exactly(device.processor()) if graph == "split" else device.multiplies_signed_bytes(here)
    )
    if graph != "published" and not is_exact:
        pytest.skip("signed products saturate on this processor, so that these graphs say something else")
    monkeypatch.setattr(device, "kokoro_graph", lambda processor: graph)
    monkeypatch.setattr(kokoro, "cache_dir", lambda: tmp_path)
    files = kokoro.prepare()
    assert (graph[:5] in files.graph.name) is (graph != "published")
    assert (files.vocoder is not None) is (graph == "split")
    how = {"voice": "am_liam", "speed": 1.0, "pronunciations": {}}
    samples_T, words = kokoro.load().speak_timed("Take metformin twice.", **how)  # type: ignore[arg-type]
    expected_T = kokoro.load_published().speak("Take metformin twice.", **how)  # type: ignore[arg-type]
    assert [word.word for word in words] == ["Take", "metformin", "twice."]
    if graph == "published":
        assert np.array_equal(samples_T, expected_T)
    assert samples_T.size == pytest.approx(expected_T.size, rel=0.02)
    shorter = min(samples_T.size, expected_T.size) // 800 * 800
    loudness, expected = (np.square(part[:shorter].reshape(-1, 800)).mean(axis=1) for part in (samples_T, expected_T))
    assert np.corrcoef(loudness, expected)[0, 1] > 0.95, "the loudness of each 50 ms"


@pytest.mark.slow
def test_the_vocoder_shapes_the_published_waveform_and_its_padding_changes_no_bit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from shoptalk.core.models import store
    from shoptalk.integrations import kokoro, kokoro_graph, kokoro_vocoder

    if not device.sums_int8_exactly(device.processor()):
        pytest.skip("sums of 8-bit products overflow on this processor")
    graph, weights = tmp_path / "split.onnx", tmp_path / "split.safetensors"
    kokoro_graph.split(store.path("kokoro-82m-int8"), graph, weights)
    split, published = kokoro.Kokoro(graph, store.path("kokoro-voices"), weights), kokoro.load_published()
    how = {"voice": "bm_lewis", "speed": 1.0, "pronunciations": {}}
    for sentence in ("No chest pain today.", "Take one tablet by mouth, and rest."):
        samples_T = split.speak_untrimmed(sentence, **how)  # type: ignore[arg-type]
        expected_T = published.speak_untrimmed(sentence, **how)  # type: ignore[arg-type]
        assert samples_T.size == expected_T.size, "lengths are the published graph's"
        assert np.corrcoef(samples_T, expected_T)[0, 1] > 0.97, "phase by phase"
        monkeypatch.setattr(kokoro_vocoder, "FRAMES_STEP", 1)
        assert np.array_equal(samples_T, split.speak_untrimmed(sentence, **how))  # type: ignore[arg-type]
        monkeypatch.undo()
