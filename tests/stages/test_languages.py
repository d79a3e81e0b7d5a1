"""Other languages than English: phonemes and voices, and the road from a list of terms to a dataset."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core import config, files
from shoptalk.core.errors import RecipeError, TermError
from shoptalk.core.examples import read_manifest
from shoptalk.core.recipe import SpeechSection
from shoptalk.core.records import Term, Transcript, Utterance
from shoptalk.corpus import voices
from shoptalk.corpus.pronunciation import check_ipa, pronunciations, switched
from shoptalk.corpus.transcripts import put
from shoptalk.integrations import espeak
from shoptalk.integrations.kokoro_phonemes import from_text
from shoptalk.integrations.tts_espeak import EspeakTts
from shoptalk.stages import execution
from shoptalk.stages.run import Run

RECIPES = Path("recipes")
TINY = ("transcripts.train_per_term=2", "transcripts.test_per_term=1", "augment.copies=0")


def made(recipe: str, folder: Path, *changes: str) -> Run:
    """The run of a recipe after stages 10 to 50."""
    run = Run(folder, config.load(RECIPES / recipe, (*TINY, *changes)), RECIPES.resolve())
    for stage in ("lexicon", "transcripts", "speech", "augment", "dataset"):
        execution.make(run, stage)
    return run


def test_spanish_reaches_kokoro_as_espeak_says_it() -> None:
    assert from_text("Ocho guitarras; el aire, la niña.", "es", {}) == "ˈoʧo ɣitˈaras; el ˈIɾe, la nˈiɲa."
    assert from_text("Un stent y un bypass.", "es", {"bypass": "baɪpˈas"}) == "ˈun stˈɛnt i ˈun bIpˈas."
    assert from_text("Comparado a A.", "es", {}).count("A") == 0  # a capital A is no English letter here


def test_the_indefinite_article_is_mended_in_english_only() -> None:
    filled = {"drug": "amoxicilina"}
    assert put("Alergia a {drug}.", filled, filled, language="es")[0] == "Alergia a amoxicilina."
    assert put("He has a {drug} rash.", filled, filled)[0] == "He has an amoxicilina rash."


def test_ipa_beyond_english_is_for_other_languages() -> None:
    check_ipa("ˈaɲo", "es")
    with pytest.raises(TermError, match="English"):
        check_ipa("ˈaɲo")


def test_words_of_another_language_are_given_as_ipa() -> None:
    terms = [
        Term(id="a", text="metformina", category="drug", language="es"),
        Term(id="b", text="stent", category="procedure", language="en"),
    ]
    table = pronunciations(terms, espeak.ipa, of_language="es", g2p_of=espeak.ipa)
    assert table == {"stent": ("stˈɛnt",)}
    text = "Please hold metformina today."
    english = Transcript(
        id="t", text=text, spoken=text, term_ids=("a",), carrier="", split="train", source="hand", language="en"
    )
    own = english.model_copy(update={"id": "u", "language": "es"})
    said = switched([english, own], terms, espeak.ipa, of_language="es")
    assert said == {"t": {"please": "plˈiːz", "hold": "hˈoʊld", "today": "tədˈeɪ"}}
    assert "metformˈina" in from_text(text, "es", said["t"]).replace("mˌetfoɾm", "metform")


@settings(max_examples=60)
@given(name=st.text(min_size=1, max_size=8), seed=st.integers(0, 99), split=st.sampled_from(["train", "dev", "test"]))
def test_spanish_voices_of_dev_and_test_do_not_train(name: str, seed: int, split: str) -> None:
    cast = voices.cast_of("es")
    voice, _ = voices.draw_voice(name, split, SpeechSection(), seed=seed, language="es")  # type: ignore[arg-type]
    spoken_by = set(voices.parts(voice))
    if split == "train":
        kept_apart = {*cast.dev, *cast.test, *voices.TEST_VOICES, *voices.DEV_VOICES, "pf_dora", "pm_santa", "am_santa"}
        assert not spoken_by & kept_apart
    else:
        assert spoken_by <= set(cast.dev if split == "dev" else cast.test)


def test_a_language_without_a_table_of_voices_is_named() -> None:
    with pytest.raises(RecipeError, match=r"speech\.voices"):
        voices.groups(SpeechSection(), "sw")


def test_english_defaults_do_not_stand_in_for_another_language() -> None:
    with pytest.raises(RecipeError, match=r"transcripts\.carrier_files.*dataset\.general"):
        config.load(RECIPES / "demo.yaml", ("language=es",))


def test_espeak_says_the_same_each_time_and_names_what_it_lacks() -> None:
    tts = EspeakTts({"f2": "sw", "m1": "sw", "m3": "nosuch"})
    speech = [
        tts.speak(text, voice=voice, speed=1.0, pronunciations={})
        for text, voice in (("Nunua mchele kesho.", "f2"), ("Habari ya leo?", "m1"), ("Nunua mchele kesho.", "f2"))
    ]
    assert (speech[0] == speech[2]).all()
    assert 1.0 < speech[0].size / 16_000 < 4.0
    faster = tts.speak("Nunua mchele kesho.", voice="f2", speed=1.3, pronunciations={})
    assert faster.size < 0.9 * speech[0].size
    with pytest.raises(RecipeError, match="f2"):
        tts.speak("Leo.", voice="nobody", speed=1.0, pronunciations={})
    with pytest.raises(RecipeError, match="nosuch"):
        tts.speak("Leo.", voice="m3", speed=1.0, pronunciations={})


@pytest.mark.slow
def test_swahili_goes_from_a_list_to_a_dataset(tmp_path: Path) -> None:
    run = made("sw.yaml", tmp_path, "lexicon.only=[viazi, sukari, nyanya]", "speech.workers=1")
    train = read_manifest(run.product("dataset") / "train.jsonl")
    assert {(line.voice.partition(":")[0], line.accent) for line in train} == {("espeak", "sw")}
    assert (run.product("dataset") / "test-general.jsonl").read_text() == ""
    assert all(line.audio.is_file() for line in train)


@pytest.mark.slow
def test_spanish_goes_from_a_list_to_a_dataset(tmp_path: Path) -> None:
    changes = ("lexicon.only=[metformina, enalapril, stent, screening]", "transcripts.several=0", "speech.workers=1")
    run = made("es.yaml", tmp_path, *changes)
    transcripts = list(files.read(run.product("transcripts"), Transcript))
    assert {transcript.language for transcript in transcripts} == {"es", "en"}
    spoken = list(files.read(run.product("speech"), Utterance))
    assert {utterance.voice for utterance in spoken if utterance.split == "test"} == {"ef_dora"}
    assert len(read_manifest(run.product("dataset") / "train.jsonl")) == sum(
        utterance.split == "train" for utterance in spoken
    )
