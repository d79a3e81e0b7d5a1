"""Fields as different clients send them, what is refused by name, and which phrases a request makes more likely."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core.protocols import MAX_CHARACTERS
from shoptalk.core.records import Term
from shoptalk.core.review import NOTHING, Watch
from shoptalk.service.http import fields, phrases
from shoptalk.service.http.fields import LISTS, SINGLE, SPEAKERS, Wanted
from shoptalk.service.problems import Problem
from shoptalk.service.settings import Settings

WATCH = Watch.of([Term(id="a", text="metformin", category="drug"), Term(id="b", text="HbA1c", category="lab")])


def read(*items: tuple[str, str]) -> Wanted:
    return fields.read(items)


@pytest.mark.parametrize(
    "items",
    [
        [("keywords[]", "one"), ("keywords[]", "two")],
        [("keywords", "one"), ("keywords", "two")],
        [("keywords[0]", "one"), ("keywords[1]", "two")],
        [("keywords", '["one", "two"]')],
    ],
)
def test_lists_are_read_in_every_way_that_clients_write_them(items: Sequence[tuple[str, str]]) -> None:
    assert fields.read(items).keywords == ("one", "two")


@pytest.mark.parametrize("language", ["", "en", "EN", "en-US", "en_gb", "english", "English", "auto", "eng"])
def test_english_and_what_stands_for_no_language_are_accepted(language: str) -> None:
    assert read(("language", language), ("languages[]", "de"), ("languages[]", "en")) == Wanted()


@pytest.mark.parametrize(
    "items",
    [
        [("chunking_strategy", "auto")],
        [("chunking_strategy[type]", "server_vad"), ("chunking_strategy[threshold]", "0.4")],
        [("chunking_strategy", '{"type": "server_vad", "silence_duration_ms": 200}')],
        [("temperature", "0.2")],
        [("timestamp_granularities[]", "segment")],
        [("stream", "False")],
        [("response_format", "")],
    ],
)
def test_what_has_no_effect_is_accepted(items: Sequence[tuple[str, str]]) -> None:
    assert fields.read(items) == Wanted()


def test_unknown_fields_are_told_or_refused() -> None:
    assert read(("hotwörds", "x")).warnings == ("the field 'hotw?rds' is unknown and has no effect",)
    (told,) = read(("x" * 41, "x")).warnings
    told.encode("latin-1")  # as headers are
    with pytest.raises(Problem, match="`user` is unknown"):
        fields.read([("user", "x")], is_strict=True)


def test_channels_can_be_told_apart() -> None:
    items = [("channels", "each"), ("channel_names[]", "Doctor"), ("response_format", "diarized_json")]
    asked = fields.read(items).asked
    assert (asked.each_channel, asked.channel_names, asked.form) == (True, ("Doctor",), "diarized_json")


@pytest.mark.parametrize(
    ("param", "items"),
    [
        ("include", [("include[]", "logprobs"), ("response_format", "verbose_json")]),
        ("include", [("include[]", "logprobs"), ("response_format", "text")]),
        ("channel_names", [("channel_names[]", "Doctor")]),
        ("review", [("review", "true"), ("response_format", "srt")]),
        ("alternatives", [("alternatives", "2"), ("response_format", "text")]),
    ],
)
def test_what_an_answer_has_no_place_for_is_refused(param: str, items: list[tuple[str, str]]) -> None:
    with pytest.raises(Problem) as refused:
        fields.read(items)
    assert (refused.value.status, refused.value.param) == (400, param)


NAMES = st.sampled_from([*SINGLE, *LISTS, *SPEAKERS, "chunking_strategy[type]", "x"])
SUFFIXES = st.sampled_from(["", "[]", "[0]", "[", "[type]"])
VALUES = st.sampled_from(["", "en", "true", "1", "each", "word", "json", "[", '["a"]', "{}", "null", "NaN"]) | st.text()


@given(st.lists(st.tuples(st.tuples(NAMES | st.text(), SUFFIXES).map("".join), VALUES)))
@settings(max_examples=100, deadline=None)
def test_any_form_is_read_or_refused_by_the_name_of_a_field(items: list[tuple[str, str]]) -> None:
    try:
        wanted = fields.read(items)
    except Problem as problem:
        assert problem.status == 400 and problem.param in {*SINGLE, *LISTS, *SPEAKERS}
    else:
        for told in wanted.warnings:
            told.encode("latin-1")  # as headers are
        phrases.boosted(wanted, (), WATCH, Settings())


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("metoprolol, HbA1c; ramipril\nacute chest pain.", ["metoprolol", "HbA1c", "ramipril", "acute chest pain"]),
        ("The patient takes metformin daily.", ["metformin"]),
        ("Seen by Dr Anna Berg at St Mary. She has COVID-19.", ["Dr Anna Berg", "St Mary", "COVID-19"]),
        ("The visit went well and the plan is unchanged.", []),
        ("", []),
        (", ; .", []),
    ],
)
def test_the_telling_words_of_a_prompt(prompt: str, expected: list[str]) -> None:
    assert phrases.telling(prompt, WATCH) == expected


def test_a_phrase_counts_once_and_what_is_none_is_told_by_its_place() -> None:
    wanted = Wanted(keywords=("apixaban", " ", "x" * (MAX_CHARACTERS + 1)), prompt="Apixaban, ramipril")
    boosted, warnings = phrases.boosted(wanted, (), NOTHING, Settings(boost=1.5))
    assert [(phrase.text, phrase.weight) for phrase in boosted.all] == [("apixaban", 1.5), ("ramipril", 1.5)]
    assert warnings == (
        "keyword 2 is empty and is left out",
        f"keyword 3 has more than {MAX_CHARACTERS} characters and is left out",
    )
    with pytest.raises(Problem, match="3 phrases are too many; send 2 at most"):
        phrases.boosted(Wanted(keywords=("a", "b", "c")), (), NOTHING, Settings(max_phrases=2))


def test_a_warning_about_a_long_name_can_be_a_header() -> None:
    (warning,) = fields.read([("x" * 1000, "1")]).warnings
    assert warning.isascii()
