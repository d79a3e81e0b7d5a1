"""Every kind of leak is caught and named, test lists are fixed, manifests are NeMo's."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core.errors import LeakError, ManifestError
from shoptalk.core.examples import read_manifest, write_manifest
from shoptalk.core.files import read_lines
from shoptalk.core.recipe import DatasetSection
from shoptalk.core.records import TERMLESS, Example, Term, Utterance
from shoptalk.core.sets import TESTS, digest
from shoptalk.core.terms import occurrences
from shoptalk.corpus import dataset
from shoptalk.corpus.dataset import General, build, read_general

TERMS = (
    Term(id="metformin", text="metformin", category="drug"),
    Term(id="apixaban", text="apixaban", category="drug", variants=("Eliquis",), taught=False),
)


def utterance(name: str, split: str, carrier: str, voice: str, **changes: Any) -> Utterance:
    term = changes.pop("term", "metformin")
    content = {
        "id": name,
        "transcript_id": name,
        "text": carrier.replace("{drug}", term),
        "term_ids": (term,),
        "carrier": carrier,
        "split": split,
        "audio": f"30-speech/{split}/{name}.flac",
        "duration_s": 2.5,
        "voice": voice,
    }
    return Utterance.model_validate({**content, **changes})


UTTERANCES = (
    utterance("a", "train", "He has taken {drug} for years without trouble.", "af_sky"),
    utterance("a+1", "train", "He has taken {drug} for years without trouble.", "af_sky"),
    utterance("b", "train", "Please call the pharmacy about the {drug}.", "af_sky*0.4+am_eric*0.6"),
    utterance("c", "dev", "Does {drug} upset your stomach?", "af_nova"),
    utterance("d", "test", "We stopped {drug} before the operation.", "af_kore"),
    utterance("e", "test", "We stopped {drug} before the operation.", "bm_lewis", term="apixaban"),
)


def line(name: str, text: str, speaker: str) -> Example:
    return Example(id=name, audio=Path(f"general/audio/{name}.opus"), duration_s=1.5, text=text, speaker=speaker)


REHEARSAL = [line("r1", "The weather was fine.", "ann"), line("r2", "Where did she go?", "am_michael")]
GENERAL_TEST = [line(f"g{number}", f"Sentence {'x' * number} is here.", f"bob{number % 3}") for number in range(1, 20)]
GENERAL = General(REHEARSAL, GENERAL_TEST)


def made(tmp_path: Path, *more: Utterance, general: General = GENERAL, **settings: Any) -> dict[str, str]:
    section, folder = DatasetSection(**settings), tmp_path / "50-dataset"
    return build(TERMS, [*UTTERANCES, *more], general, section, source=tmp_path, folder=folder)


def general_with(*, rehearsal: Example) -> General:
    return General([*REHEARSAL, rehearsal], GENERAL_TEST)


@pytest.mark.parametrize(
    ("leaking", "named"),
    [
        (utterance("x", "train", "We stopped {drug} before her operation.", "af_sky"), "We stopped {drug} before her"),
        (utterance("x", "dev", "We stopped {drug} before his operation!", "af_nova"), "We stopped {drug} before his"),
        (utterance("x", "dev", "He had taken {drug} for years without trouble.", "af_nova"), "without trouble"),
        (utterance("x", "train", "Nothing like the others, {drug}.", "af_kore"), "test voice af_kore is in train"),
        (utterance("x", "dev", "Nothing like the others, {drug}.", "am_liam"), "test voice am_liam is in dev"),
        (
            utterance("x", "train", "Nothing like the others, {drug}.", "af_sky*0.5+bf_lily*0.5"),
            "test voice bf_lily is in train",
        ),
        (utterance("x", "train", "Nothing like the others, {drug}.", "af_nova"), "dev voice af_nova is in train"),
        (utterance("x", "train", "Nothing like {drug}.", "af_sky", term="apixaban"), "held-out term 'apixaban'"),
        (utterance("x", "train", "Nothing like the Eliquis and {drug}.", "af_sky"), "held-out term 'apixaban'"),
        (utterance("x", "dev", "Nothing like {drug} or apixabans.", "af_nova"), "held-out term 'apixaban'"),
    ],
)
def test_a_leak_of_the_domain_is_named(tmp_path: Path, leaking: Utterance, named: str) -> None:
    with pytest.raises(LeakError, match="test data reached the training data") as error:
        made(tmp_path, leaking)
    assert named in str(error.value)
    assert str(error.value).count("\n") == 1, "that leak and no other"
    assert not (tmp_path / "50-dataset").exists()


@pytest.mark.parametrize(
    ("rehearsal", "named"),
    [
        (line("x", "An apixaban a day.", "cid"), "held-out term 'apixaban'"),
        (line("x", "All new words.", "bob1"), "speaker bob1 is rehearsed and tested"),
        (line("x", "sentence xxx, is here", "cid"), "'sentence xxx, is here' is rehearsed and tested"),
        (line("x", "All new words.", "bm_lewis"), "test voice bm_lewis is in rehearsal"),
    ],
)
def test_a_leak_of_the_general_set_is_named(tmp_path: Path, rehearsal: Example, named: str) -> None:
    with pytest.raises(LeakError) as error:
        made(tmp_path, general=general_with(rehearsal=rehearsal))
    assert named in str(error.value)
    assert str(error.value).count("\n") == 1


def test_manifests_follow_nemo(tmp_path: Path) -> None:
    made(tmp_path)
    folder = tmp_path / "50-dataset"
    train = read_manifest(folder / "train.jsonl")
    assert [entry.id for entry in train] == ["a", "a+1", "b"]
    assert train[0].audio.resolve() == (tmp_path / "30-speech/train/a.flac").resolve()
    assert (train[0].duration_s, train[0].text) == (2.5, "He has taken metformin for years without trouble.")
    names = {"train", "dev", "rehearsal", "dev-general", *(f"test-{name}" for name in TESTS)}
    assert {path.stem for path in folder.glob("*.jsonl")} == names
    lines = {name: read_lines(folder / f"{name}.jsonl") for name in names}
    assert [one["id"] for one in lines["test-taught"]] == ["d"]
    assert [one["id"] for one in lines["test-untaught"]] == ["e"]
    assert lines["test-taught"][0]["cluster"] == UTTERANCES[4].carrier
    assert lines["test-general"][0]["cluster"] == lines["test-general"][0]["voice"] == "bob1"
    for one in (one for found in lines.values() for one in found):
        assert not Path(one["audio_filepath"]).is_absolute()
        assert {"audio_filepath", "duration", "text"} <= one.keys()


def test_what_is_scored_has_its_section_and_the_times_of_its_words(tmp_path: Path) -> None:
    times = (("Stop", 0.1, 0.4), ("it.", 0.4, 0.75))
    timed = utterance("f", "test", "On Friday, {drug} was given late.", "am_liam", section="plan", words=times)
    made(tmp_path, timed)
    folder = tmp_path / "50-dataset"
    assert "words" not in read_lines(folder / "train.jsonl")[0]
    dev = read_manifest(folder / "dev.jsonl")[0]
    assert (dev.context, dev.words) == ("", ())
    line = next(one for one in read_lines(folder / "test-taught.jsonl") if one["id"] == "f")
    assert (line["context"], line["words"]) == ("plan", [list(word) for word in times])
    assert read_manifest(folder / "test-taught.jsonl")[1].words == times
    plain = timed.model_copy(update={"section": "", "words": ()})
    assert made(tmp_path / "plain", plain) == made(tmp_path / "again", timed), "the list is the same"


def test_the_general_subset_is_fixed(tmp_path: Path) -> None:
    """It depends on the ids alone: not on the order of the list, and a larger subset holds the smaller ones."""
    chosen = {}
    for count in (4, 8):
        made(tmp_path / str(count), general_test_utterances=count)
        chosen[count] = [one["id"] for one in read_lines(tmp_path / str(count) / "50-dataset" / "test-general.jsonl")]
    shuffled = General(GENERAL.rehearsal, GENERAL_TEST[::-1])
    made(tmp_path / "shuffled", general=shuffled, general_test_utterances=4)
    again = read_lines(tmp_path / "shuffled" / "50-dataset" / "test-general.jsonl")
    assert len(chosen[4]) == 4
    assert set(chosen[4]) < set(chosen[8])
    assert {one["id"] for one in again} == set(chosen[4])


def test_pinned_test_lists_must_be_met(tmp_path: Path) -> None:
    digests = made(tmp_path)
    assert made(tmp_path, test_lists=digests) == digests
    one_more = utterance("f", "test", "On Friday, {drug} was given late.", "am_liam")
    with pytest.raises(LeakError, match="test list taught is not the one") as error:
        made(tmp_path, one_more, test_lists=digests)
    assert made(tmp_path / "new", one_more)["taught"] in str(error.value), "the cure names the new sha256"
    with pytest.raises(LeakError, match="nosuch"):
        made(tmp_path, test_lists={"nosuch": "0" * 64})


def test_a_digest_sees_what_is_asked_and_not_where_it_lies() -> None:
    asked = Example(id="a", audio=Path("here.flac"), duration_s=1.0, text="Hold it.", voice="ann")
    assert digest([asked]) == digest([asked.model_copy(update={"audio": Path("there.flac"), "duration_s": 2.0})])
    for changed in ({"text": "Hold that."}, {"voice": "bob"}, {"term_ids": ("x",)}, {"id": "b"}):
        assert digest([asked]) != digest([asked.model_copy(update=changed)])


@pytest.mark.parametrize("kind", TERMLESS)
def test_sentences_without_a_term_train_and_are_in_no_term_test(tmp_path: Path, kind: str) -> None:
    plain = utterance("f", "train", "He takes the tablet when he wakes.", "af_sky", term_ids=(), kind=kind)
    made(tmp_path, plain)
    line = read_manifest(tmp_path / "50-dataset" / "train.jsonl")[-1]
    assert (line.id, line.term_ids) == ("f", ())
    with pytest.raises(ManifestError, match=r"1 utterances of the test split .* \(f\)"):
        made(tmp_path / "again", plain.model_copy(update={"split": "test", "voice": "af_kore"}))


def test_made_twice_it_is_the_same_bytes(tmp_path: Path) -> None:
    made(tmp_path)
    first = {path.name: path.read_bytes() for path in (tmp_path / "50-dataset").iterdir()}
    made(tmp_path)
    assert {path.name: path.read_bytes() for path in (tmp_path / "50-dataset").iterdir()} == first


def test_the_general_set_is_checked_line_by_line(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"dataset\.general"):
        read_general(tmp_path)
    write_manifest(tmp_path / "rehearsal.jsonl", REHEARSAL[:1])
    broken = GENERAL_TEST[0].model_copy(update={"speaker": ""})
    write_manifest(tmp_path / "test.jsonl", [GENERAL_TEST[1], broken])
    with pytest.raises(ManifestError, match=r"test\.jsonl:2: lacks speaker"):
        read_general(tmp_path)
    (tmp_path / "test.jsonl").write_text("\nnot JSON\n")
    with pytest.raises(ManifestError, match=r"test\.jsonl:2: not JSON"):
        read_general(tmp_path)


def test_the_general_set_that_ships_leaks_nothing() -> None:
    general = read_general(Path(__file__).parents[2] / "assets" / "general")
    assert not dataset.general_leaks(general)
    assert not dataset.voice_leaks([], general)
    assert all(one.audio.is_file() for one in (*general.rehearsal, *general.test))


@pytest.mark.parametrize(("wanted", "kept"), [(0, 0), (1, 1), (60, 1)])
def test_what_is_kept_for_dev_is_not_rehearsed(tmp_path: Path, wanted: int, kept: int) -> None:
    """At most half of what there is."""
    made(tmp_path, general_dev_utterances=wanted)
    dev, rehearsed = (read_lines(tmp_path / f"50-dataset/{name}.jsonl") for name in ("dev-general", "rehearsal"))
    assert len(dev) == kept
    assert sorted(one["id"] for one in (*dev, *rehearsed)) == ["r1", "r2"]


NAMES = st.sampled_from(["insulin", "insulin glargine", "MRI", "beta-blocker", "lantus", "statin"])
TEXTS = st.lists(st.sampled_from(["insulin", "glargine", "m r i", "betablockers", "statins", "the"]), max_size=4)


@given(st.lists(st.tuples(NAMES, st.booleans()), max_size=5, unique_by=lambda row: row[0]), st.lists(TEXTS, max_size=6))
@settings(max_examples=60, deadline=None)
def test_the_leaks_are_those_of_every_held_out_term_in_every_sentence(
    lexicon: list[tuple[str, bool]], texts: list[list[str]]
) -> None:
    terms = [Term(id=name, text=name, category="drug", taught=taught) for name, taught in lexicon]
    spoken = []
    for number, text in enumerate(texts):
        split = ("train", "dev", "test")[number % 3]
        spoken.append(utterance(str(number), split, " ".join(["so", *text]), "af_sky"))
    expected = []
    for term in terms:
        for text in sorted({each.text for each in spoken if each.split != "test"}):
            if not term.taught and occurrences(term, text):
                expected.append(f"held-out term {term.id!r} is in the training sentence {text!r}")
    assert dataset.term_leaks(terms, spoken, General([], [])) == expected


def wordless(name: str = "wordless-00001", **changes: Any) -> Utterance:
    nothing = {"text": "", "term_ids": (), "carrier": "", "voice": "", "kind": "wordless"}
    return utterance(name, "train", "", "").model_copy(update={**nothing, **changes})


def test_recordings_without_words_train_and_are_marked(tmp_path: Path) -> None:
    made(tmp_path, wordless())
    marked = [line.id for line in read_manifest(tmp_path / "50-dataset" / "train.jsonl") if line.wordless]
    assert marked == ["wordless-00001"]


@pytest.mark.parametrize(
    "wrong", [wordless(kind="carrier"), wordless(split="test"), wordless(split="dev"), wordless(text="Help!")]
)
def test_an_empty_text_elsewhere_is_an_error(tmp_path: Path, wrong: Utterance) -> None:
    with pytest.raises(ManifestError, match=r"1 utterances have no text.*wordless-00001"):
        made(tmp_path, wrong)
    assert not (tmp_path / "50-dataset").exists()
