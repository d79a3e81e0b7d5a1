"""Stage 20 from a bank: every term covered or reported, no carrier in two splits, the same every time."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core import config
from shoptalk.core.errors import CoverageError
from shoptalk.core.recipe import TranscriptsSection
from shoptalk.core.records import Example, Term, Transcript
from shoptalk.core.sets import digest
from shoptalk.core.terms import occurrences
from shoptalk.corpus import carriers, lexicon, splits, transcripts
from shoptalk.corpus.carriers import Carrier
from shoptalk.corpus.kinds import beside
from shoptalk.corpus.voices import draw_voice

ROOT = Path(__file__).parents[2]
CONFIG = TranscriptsSection()
BANK = carriers.read_banks([ROOT / "lexicons/carriers-clinical.jsonl"])
TERMS = lexicon.load([ROOT / "lexicons/clinical.yaml"])
METFORMIN = next(term for term in TERMS if term.id == "metformin")
A1C = next(term for term in TERMS if term.id == "hba1c")


def carrier(text: str, category: str = "drug", source: str = "shipped:hand") -> Carrier:
    return Carrier(id=text, text=text, category=category, source=source)


def transcript(text: str, **changes: object) -> Transcript:
    values = {
        "id": text,
        "text": text,
        "spoken": text,
        "term_ids": ("metformin",),
        "carrier": "x",
        "split": "train",
        "source": "x",
    }
    return Transcript.model_validate(values | changes)


@pytest.mark.parametrize(
    ("text", "term", "facts", "written", "said"),
    [
        (
            "Start {drug} {dose} {frequency} in 2024.",
            METFORMIN,
            {"dose": "500 mg", "frequency": "twice daily"},
            "Start metformin 500 mg twice daily in 2024.",
            "Start metformin five hundred milligrams twice daily in twenty twenty-four.",
        ),
        ("{drug} was held.", METFORMIN, {}, "Metformin was held.", "Metformin was held."),
        (
            "{lab} was {value}.",
            A1C,
            {"value": "7.4%"},
            "HbA1c was 7.4%.",
            "Hemoglobin A one C was seven point four percent.",
        ),
        ("Ask a {role} today.", Term(id="o", text="otologist", category="role"), {}, "Ask an otologist today.", None),
        (
            "See an {role} today.",
            Term(id="n", text="nephrologist", category="role"),
            {},
            "See a nephrologist today.",
            None,
        ),
        (
            "Look at a {anatomy} now.",
            Term(id="u", text="ureter", category="anatomy"),
            {},
            "Look at a ureter now.",
            None,
        ),
        ("Get a {lab} now.", Term(id="l", text="LDH", category="lab"), {}, "Get an LDH now.", None),
    ],
)
def test_filling_a_carrier(text: str, term: Term, facts: dict[str, str], written: str, said: str | None) -> None:
    assert transcripts.fill(carrier(text, term.category), term, facts) == (written, said or written)


def test_the_checks() -> None:
    terms = {"metformin": METFORMIN}
    assert transcripts.faults(transcript("We will stop Glucophage tomorrow."), terms, CONFIG) == []
    assert "metformin" in transcripts.has_terms(transcript("We will stop it."), terms)
    plain = transcript("Please take the tablet now.", term_ids=(), kind="without")
    assert transcripts.faults(plain, terms, CONFIG) == []
    assert "'carrier'" in transcripts.has_terms(plain.model_copy(update={"kind": "carrier"}), terms)
    assert "2 words" in transcripts.has_length(transcript("Stop metformin."), CONFIG)
    assert "{" in transcripts.is_clean(transcript("Stop metformin {dose} now."))
    assert "*" in transcripts.is_clean(transcript("Stop **metformin** now."))
    same = [transcript("Stop metformin now."), transcript("stop metformin, now", id="b")]
    assert transcripts.duplicates(same) == ["b"]
    assert transcripts.opening_share(["The patient is", "The patient has", "We will", "He is"]) == 0.5
    monotonous = [transcript(f"x {n}", carrier=f"The patient takes {n}") for n in range(20)]
    [problem] = transcripts.diversity_problems(monotonous)
    assert "100% of the train carriers begin alike" in problem.message


def test_the_shipped_bank_is_diverse_and_names_no_term() -> None:
    assert len(BANK) >= 400
    counts = Counter(one.category for one in BANK)
    assert min(counts.values()) >= 50
    assert transcripts.opening_share([one.text for one in BANK]) < 0.02
    assert Counter(one.text.split()[0] for one in BANK).most_common(1)[0][1] / len(BANK) < 0.08
    assert len({one.section for one in BANK}) >= 10
    assert len({one.specialty for one in BANK}) >= 15
    assert all(4 <= len(one.text.split()) <= carriers.MAX_WORDS for one in BANK if not one.text.startswith("{"))
    assert sum("{dose}" in one.text for one in BANK if one.category == "drug") < 0.3 * counts["drug"]
    bare = [carriers.SLOT.sub(" ", one.text) for one in BANK]
    assert not [text for text in bare for term in TERMS if occurrences(term, text)]
    sizes = [len(cluster) for cluster in splits.clusters([one.text for one in BANK])]
    assert max(sizes) <= 2


def test_the_whole_lexicon_is_covered() -> None:
    terms = lexicon.hold_out(TERMS[::4], part=0.25, seed=7)
    made, problems = transcripts.compose(terms, BANK, CONFIG, seed=7)
    assert problems == []
    transcripts.require_coverage(problems)
    counts = Counter((name, one.split) for one in made for name in one.term_ids)
    for term in terms:
        wanted = (20, 2, 6) if term.taught else (0, 0, 6)
        assert tuple(counts[term.id, split] for split in ("train", "dev", "test")) == wanted
    assert transcripts.duplicates(made) == []
    assert len({one.id for one in made}) == len(made)
    assert not any(sign.isdigit() for one in made for sign in one.spoken)


small_bank = st.lists(st.sampled_from(BANK), max_size=60, unique_by=lambda one: one.id)
small_terms = st.lists(st.sampled_from(TERMS), min_size=1, max_size=5, unique_by=lambda term: term.id)


@settings(max_examples=30, deadline=None)
@given(small_terms, small_bank, st.integers(0, 99))
def test_laws_of_compose(terms: list[Term], bank: list[Carrier], seed: int) -> None:
    terms = lexicon.hold_out(terms, part=0.3, seed=seed)
    made, problems = transcripts.compose(terms, bank, CONFIG, seed=seed)
    assert (made, problems) == transcripts.compose(terms, bank, CONFIG, seed=seed)
    by_id = {term.id: term for term in terms}
    for one in made:
        assert all(occurrences(by_id[name], one.text) for name in one.term_ids)
        assert one.split == "test" or all(by_id[name].taught for name in one.term_ids)
    parts = {split: sorted({one.carrier for one in made if one.split == split}) for split in ("train", "dev", "test")}
    assert splits.near_duplicates(parts["train"], parts["test"]) == []
    assert splits.near_duplicates(parts["train"] + parts["test"], parts["dev"]) == []
    counts = Counter((name, one.split) for one in made for name in one.term_ids)
    short = {
        t.id for t in terms if any(counts[t.id, split] < n for split, n in transcripts.wanted_for(t, CONFIG).items())
    }
    assert {problem.term_id for problem in problems} - {"*"} == short


@given(st.floats(0.01, 100), st.integers(1, 50))
def test_sentences_rise_with_the_weight_within_bounds(weight: float, per_term: int) -> None:
    section = TranscriptsSection(train_per_term=per_term)

    def wanted(weight: float) -> int:
        term = METFORMIN.model_copy(update={"weight": weight})
        required = transcripts.required_for(term, section)
        assert required["train"] == min(per_term, transcripts.wanted_for(term, section)["train"])
        return transcripts.wanted_for(term, section)["train"]

    assert wanted(1) == per_term == transcripts.wanted_for(None, section)["train"]
    assert max(1, round(per_term / 2)) <= wanted(weight) <= wanted(2 * weight) <= 4 * per_term
    held_out = METFORMIN.model_copy(update={"weight": weight, "taught": False})
    assert transcripts.wanted_for(held_out, section) == {"test": section.test_per_term}


def test_what_weight_adds_is_made_as_far_as_there_are_carriers() -> None:
    heavy = METFORMIN.model_copy(update={"weight": 4.0, "facts": {}})
    made, problems = transcripts.compose([heavy], BANK, TranscriptsSection(train_per_term=40), seed=7)
    assert 40 < sum(one.split == "train" for one in made) < 160
    assert [problem.message for problem in problems] == [
        "1 terms have fewer training sentences than their weight asks for"
    ]


@given(st.permutations(BANK[:40]))
def test_contexts_places_and_lengths_are_spread_over_any_beginning(bank: list[Carrier]) -> None:
    ordered = transcripts.varied(bank)
    assert sorted(one.id for one in ordered) == sorted(one.id for one in bank)
    sizes = Counter(one.section for one in bank)
    for end in range(len(ordered)):
        counts = Counter(one.section for one in ordered[:end])
        most = max(counts.values(), default=0)
        assert all(counts[section] >= min(size, most - 1) for section, size in sizes.items())


@pytest.mark.parametrize(
    ("carrier", "place"),
    [
        ("{drug} was held overnight.", "start"),
        ("Hold {drug} until noon today.", "start"),
        ("We will stop {drug} and wait for it.", "middle"),
        ("Nobody had told him of the {drug}.", "end"),
        ("The belly is soft.", "none"),
    ],
)
def test_the_place_of_a_term_is_a_third_of_its_sentence(carrier: str, place: str) -> None:
    assert transcripts.place_of_term(carrier) == place


def test_the_demo_tests_what_it_always_tested() -> None:
    """The lists are pinned before anything is trained; they hang on ids, texts, terms and voices alone."""
    recipe = config.load(ROOT / "recipes/demo.yaml")
    files = [ROOT / file for file in recipe.lexicon.files]
    terms = lexicon.load(files, only=recipe.lexicon.only)
    terms = lexicon.hold_out(terms, part=recipe.lexicon.untaught, seed=recipe.seed)
    made, problems = transcripts.compose(terms, BANK, recipe.transcripts, seed=recipe.seed)
    transcripts.require_coverage(problems)
    further, _ = beside(terms, made, BANK, [], recipe.transcripts, seed=recipe.seed)
    trained = {term.id for term in terms if term.taught}
    lists: dict[str, list[Example]] = {"taught": [], "untaught": []}
    for one in [*made, *further]:
        if one.split == "test":
            voice, _ = draw_voice(one.id, "test", recipe.speech, seed=recipe.seed)
            example = Example(
                id=one.id, audio=Path("x"), duration_s=1, text=one.text, term_ids=one.term_ids, voice=voice
            )
            lists["taught" if trained.issuperset(one.term_ids) else "untaught"].append(example)
    assert {name: digest(own) for name, own in lists.items()} == {
        name: recipe.dataset.test_lists[name] for name in lists
    }


def test_a_term_is_drawn_alike_whatever_else_is_in_the_lexicon() -> None:
    alone, _ = transcripts.compose([METFORMIN], BANK, CONFIG, seed=3)
    among, _ = transcripts.compose([TERMS[5], METFORMIN, A1C], BANK, CONFIG, seed=3)
    assert [one for one in among if one.term_ids == ("metformin",)] == alone


def test_live_carriers_never_change_what_is_tested() -> None:
    live = [
        carrier("Yesterday the neighbors brought {drug} along for him.", source="llm:fake"),
        carrier(BANK[0].text, source="llm:fake"),
    ]
    without, _ = transcripts.compose([METFORMIN], BANK, CONFIG, seed=7)
    config = TranscriptsSection(train_per_term=500, live_carriers=3)
    with_live, problems = transcripts.compose([METFORMIN], [*BANK, *live], config, seed=7)
    plain, _ = transcripts.compose([METFORMIN], BANK, TranscriptsSection(train_per_term=500), seed=7)
    assert [one for one in without if one.split == "test"] != []
    assert [one for one in with_live if one.split != "train"] == [one for one in plain if one.split != "train"]
    assert [one.split for one in with_live if one.source == "llm:fake"][:1] == ["train"]
    assert any("2 of 3 live carriers" in problem.message for problem in problems)


def test_live_carriers_that_are_left_out_are_counted() -> None:
    kept_apart = {
        one.carrier for one in transcripts.compose([METFORMIN], BANK, CONFIG, seed=7)[0] if one.split != "train"
    }
    objects = ("neighbors", "cousins", "teachers", "plumbers", "gardeners")
    alike = [
        carrier(f"Somehow the {name} found {{drug}} under a {name[::-1]} pile.", source="llm:f") for name in objects
    ]
    repeated = [carrier(text, source="llm:f") for text in sorted(kept_apart)[:2]]
    config = TranscriptsSection(live_carriers=1)
    _, problems = transcripts.compose([METFORMIN], [*BANK, *alike, *repeated], config, seed=7)
    told = [problem.message for problem in problems]
    assert "3 live carriers are left out: too many begin alike" in told
    assert "2 live carriers are left out: they repeat one of dev or test" in told


def test_what_cannot_be_covered_is_reported() -> None:
    odd = Term(id="widget", text="widget", category="part")
    made, problems = transcripts.compose([odd], BANK, CONFIG, seed=7)
    assert made == []
    assert len(problems) == 3
    with pytest.raises(CoverageError, match="widget: 0 of 6 test transcripts"):
        transcripts.require_coverage(problems)


@pytest.mark.parametrize("name", ["tylenol", "iv"])
def test_terms_and_facts_may_be_written_with_any_sign(name: str) -> None:
    terms = lexicon.load([ROOT / f"tests/cases/lex-{name}.csv"])
    made, problems = transcripts.compose(terms, BANK, CONFIG, seed=7)
    assert problems == []
    assert not [one.spoken for one in made if any(sign.isdigit() or sign in "#/:" for sign in one.spoken)]
    said = " ".join(one.spoken for one in made).lower()
    if name == "iv":
        assert "levothyroxine half a tablet p o at eight oh five" in said
        assert "docetaxel seventy-five milligrams per square meter every third week" in said
    else:
        assert "tylenol number three" in said


def test_a_sentence_with_a_held_out_term_is_never_trained_on() -> None:
    """Also where the carrier names the term, or the term and the carrier make it together."""
    terms = [
        Term(id="glargine", text="insulin glargine", category="device", taught=False),
        Term(id="rash", text="rash", category="condition", taught=False),
        Term(id="insulin", text="insulin", category="drug"),
    ]
    own = [carrier("She got {drug} glargine in the evening."), carrier("A rash came after the {drug} was given.")]
    made, _ = transcripts.compose(terms, [*BANK, *own], TranscriptsSection(train_per_term=500), seed=7)
    trained = [one.text for one in made if one.split != "test"]
    assert trained and not [text for text in trained if "rash" in text or "glargine" in text]
