"""Planned carriers: enough for every term, kept apart, never a copy; interrupted, they end up the same."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.corpus.fake_llm import FakeLlm

from shoptalk.core import files
from shoptalk.core.errors import CoverageError
from shoptalk.core.recipe import TranscriptsSection
from shoptalk.core.records import Term
from shoptalk.corpus.carriers import Carrier
from shoptalk.corpus.disfluencies import stumbled
from shoptalk.corpus.domain_texts import DomainTexts
from shoptalk.corpus.planned_carriers import OPENINGS, Writer, make_prompt, plan, uncovered, write_planned
from shoptalk.corpus.proposals import Proposed
from shoptalk.corpus.splits import SLOT, near_pairs
from shoptalk.corpus.transcripts import compose

TRADE = Proposed("a coffee bar", {}, ("a customer orders", "a barista answers", "a barista writes a note"))
CONFIG = TranscriptsSection(train_per_term=6, dev_per_term=1, test_per_term=3)


def terms_of(category: str, *texts: str, taught: bool = True) -> list[Term]:
    return [Term(id=text.replace(" ", "-"), text=text, category=category, taught=taught) for text in texts]


TERMS = [
    *terms_of("drink", "flat white", "cortado", "affogato"),
    *terms_of("drink", "nitro cold brew", taught=False),
    *terms_of("milk", "oat milk", "soy milk"),
]


def writer_of(llm: FakeLlm, terms: Sequence[Term] = TERMS, *, texts: Sequence[str] = ()) -> Writer:
    return Writer(llm, TRADE, terms, (), DomainTexts(texts), 5, Counter())


def written(llm: FakeLlm, *, done: Sequence[Carrier] = (), texts: Sequence[str] = ()) -> list[Carrier]:
    counts = plan(TERMS, ["drink", "milk"], CONFIG)
    return list(write_planned(writer_of(llm, texts=texts), counts, done=done))


def test_what_is_planned_covers_every_term_in_splits_that_share_no_carrier() -> None:
    carriers = written(FakeLlm())
    counts = Counter(carrier.category for carrier in carriers)
    assert counts == plan(TERMS, ["drink", "milk"], CONFIG) == {"drink": 12, "milk": 12}
    transcripts, problems = compose(TERMS, carriers, CONFIG, seed=5)
    assert [problem for problem in problems if problem.term_id != "*"] == []
    per_term = Counter((transcript.term_ids[0], transcript.split) for transcript in transcripts)
    assert per_term["flat-white", "train"] == 6 and per_term["nitro-cold-brew", "test"] == 3
    assert not any(term_id == "nitro-cold-brew" and split != "test" for term_id, split in per_term)
    by_split: dict[str, set[str]] = {}
    for transcript in transcripts:
        by_split.setdefault(transcript.split, set()).add(transcript.carrier)
    texts = [(text, split) for split, carriers_of in by_split.items() for text in carriers_of]
    for left, right in near_pairs([text for text, _ in texts]):
        assert texts[left][1] == texts[right][1]


@settings(max_examples=25)
@given(st.integers(1, 60), st.integers(1, 40), st.integers(1, 5), st.integers(1, 9))
def test_a_plan_has_a_carrier_for_each_sentence_of_a_term(terms: int, train: int, dev: int, test: int) -> None:
    config = TranscriptsSection(train_per_term=train, dev_per_term=dev, test_per_term=test)
    listed = [Term(id=f"t{number}", text=f"t{number}", category="drink") for number in range(terms)]
    count = plan(listed, ["drink"], config)["drink"]
    assert count >= train + dev + test
    assert count * 8 >= min(terms * train, 1600)


def test_a_list_that_was_cut_off_ends_up_byte_identical(tmp_path: Path) -> None:
    def write(path: Path, llm: FakeLlm) -> str:
        def make(done: frozenset[str]):  # type: ignore[no-untyped-def]
            kept = list(files.read(files.partial_path(path), Carrier)) if done else []
            yield from written(llm, done=kept)

        files.write_records(path, make, signature="s")
        return path.read_text()

    whole = write(tmp_path / "whole.jsonl", FakeLlm())
    for asked in (1, 3, 6):
        path = tmp_path / f"cut-{asked}.jsonl"
        with pytest.raises(KeyboardInterrupt):
            write(path, FakeLlm(dies_after=asked))
        assert write(path, FakeLlm()) == whole


def test_a_model_that_writes_nothing_usable_is_an_error_with_the_reasons_and_what_to_write() -> None:
    llm = FakeLlm(wrong=lambda kind, seed: "I would love a cortado with {drink} today.")
    with pytest.raises(
        CoverageError, match=r"'drink'.*fake.*15 answers.*refused: 15 names a term.*carrier_files.*\{drink\}"
    ):
        written(llm)


def test_prompts_go_through_contexts_openings_and_trained_terms_only() -> None:
    writer = writer_of(FakeLlm())
    prompts = [make_prompt(writer, number, "drink") for number in range(12)]
    asked = [prompt.messages[-1]["content"] for prompt in prompts]
    assert len(set(asked)) == 12
    assert {prompt.section for prompt in prompts} == set(TRADE.contexts)
    assert all("{drink} stands for words such as " in question for question in asked)
    assert not any("nitro" in question for question in asked)
    assert any("{drink} ..." in question for question in asked) and "{slot}" not in "".join(asked)
    assert len({opening for opening in OPENINGS if any(f"{opening} ..." in question for question in asked)}) > 20


def test_texts_are_shown_and_never_copied() -> None:
    own = [
        "Could I get a flat white with two sugars, please?",
        "We are out of cortado glasses since this morning, sorry.",
        "My sister always orders an affogato when it rains.",
        "A very long story about the weather in the village without anything to drink.",
    ]
    copies = (
        "1. Could I get a {drink} with two sugars, please?\n"
        "2. My sister always orders {drink} when it rains.\n"
        "3. Since this morning we are out of {drink} glasses, sorry."
    )
    answers = iter([copies])
    llm = FakeLlm(wrong=lambda kind, seed: next(answers, None))
    writer = writer_of(llm, texts=own)
    carriers = list(write_planned(writer, {"drink": 12}, done=()))
    assert len(carriers) == 12 and writer.refused["copy of the domain's texts"] >= 2
    texts = DomainTexts(own)
    assert not any(texts.has_copy_of(SLOT.sub(" ", carrier.text)) for carrier in carriers)
    shown = llm.prompts[0][2]["content"]
    assert "Could I get a {drink} with two sugars, please?" in shown and "flat white" not in shown


def test_sentences_of_conversations_stumble_now_and_then_but_notes_do_not() -> None:
    counts = {"drink": 60}
    carriers = list(write_planned(writer_of(FakeLlm()), counts, done=()))
    stumbling = [carrier for carrier in carriers if "," in carrier.text]
    assert 3 <= len(stumbling) <= 20
    assert not any(carrier.section == "a barista writes a note" for carrier in stumbling)


SENTENCES = st.lists(
    st.sampled_from("I we can the oat a do you tell him {milk} now that to I'd Sunday".split()), min_size=1
)


@given(SENTENCES, st.integers(0, 10**6))
def test_a_stumbled_sentence_has_all_words_in_order_and_no_slot_more(words: list[str], seed: int) -> None:
    made = stumbled(" ".join(words), seed=seed, name="x")
    assert SLOT.findall(made) == SLOT.findall(" ".join(words))
    rest = iter(word.strip(",").lower() for word in made.split())
    assert all(word.lower() in rest for word in words)
    assert len(made.split()) - len(words) in (0, 1, 2, 4)


def test_categories_that_a_bank_has_are_not_planned() -> None:
    bank = [Carrier(id="m", text="With {milk}, please, and to go.", category="milk", source="hand")]
    assert uncovered(TERMS, bank) == ["drink"]
