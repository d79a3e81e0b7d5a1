"""A bare list of terms of any trade makes transcripts, without a line written by hand; a clinic's stay as they are."""

import json
from collections import Counter
from pathlib import Path

import pytest
from tests.corpus.fake_llm import FakeLlm

from shoptalk.core import files
from shoptalk.core.errors import CoverageError
from shoptalk.core.protocols import Llm
from shoptalk.core.recipe import Recipe
from shoptalk.core.records import Transcript
from shoptalk.corpus.carriers import Carrier
from shoptalk.stages import corpus, preflight
from shoptalk.stages.run import Run

ROOT = Path(__file__).parents[2]
SMALL = {"train_per_term": 3, "dev_per_term": 1, "test_per_term": 2}

COFFEE = {
    "flat white": "drink", "cortado": "drink", "mocha": "drink", "espresso": "drink", "oat milk": "milk",
    "soy milk": "milk", "skim milk": "milk", "small": "size", "large": "size",
}  # fmt: skip
LAW = {
    "subpoena": "document", "affidavit": "document", "deposition": "document", "plaintiff": "person",
    "bailiff": "person", "magistrate": "person", "estoppel": "doctrine", "res judicata": "doctrine",
}  # fmt: skip
FLIGHT = {
    "squawk": "call", "wilco": "call", "mayday": "call", "localizer": "instrument", "glideslope": "instrument",
    "transponder": "instrument", "taxiway alpha": "place", "holding point": "place", "threshold": "place",
}  # fmt: skip
DRUGS = {"metformin": "drug", "apixaban": "drug", "lisinopril": "drug", "troponin": "lab", "ferritin": "lab"}


def made(folder: Path, model: Llm, monkeypatch: pytest.MonkeyPatch, **keys: object) -> list[Transcript]:
    """The transcripts of the list in `terms.txt`, from a recipe that names nothing but it."""
    recipe = Recipe.model_validate({"name": "bare", "lexicon": {"files": ["terms.txt"]}, "transcripts": SMALL | keys})
    run = Run(folder / "run", recipe, folder)
    run.folder.mkdir(exist_ok=True)
    monkeypatch.setattr(corpus, "_llm", lambda section, folder, language: model)
    assert preflight.asks_llm(run)
    corpus.lexicon(run.of_stage("lexicon"))
    corpus.transcripts(run.of_stage("transcripts"))
    return list(files.read(run.product("transcripts"), Transcript))


def listed(folder: Path, kinds: dict[str, str]) -> None:
    (folder / "terms.txt").write_text("\n".join(kinds) + "\n")


@pytest.mark.parametrize(
    ("trade", "kinds"),
    [("a coffee bar", COFFEE), ("a law office", LAW), ("an air traffic control tower", FLIGHT)],
    ids=["coffee", "law", "flight"],
)
@pytest.mark.parametrize("kind", ["embedded", "openai"])
def test_a_bare_list_of_a_new_trade_is_covered(
    trade: str, kinds: dict[str, str], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed(tmp_path, kinds)
    llm = FakeLlm(trade=trade, kinds=kinds)
    transcripts = made(tmp_path, llm, monkeypatch, llm={"kind": kind, "base_url": "http://127.0.0.1:9/v1"})
    transcripts = [transcript for transcript in transcripts if transcript.kind == "carrier"]
    per_term = Counter((transcript.term_ids[0], transcript.split) for transcript in transcripts)
    held_out = [term for term in kinds if (term.replace(" ", "-"), "train") not in per_term]
    assert 1 <= len(held_out) <= len(kinds) // 2
    for text in kinds:
        term_id = text.replace(" ", "-")
        assert per_term[term_id, "test"] == 2
        assert text in held_out or (per_term[term_id, "train"] >= 3 and per_term[term_id, "dev"] >= 1)
    by_carrier: dict[str, set[str]] = {}
    for transcript in transcripts:
        by_carrier.setdefault(transcript.carrier, set()).add(transcript.split)
        assert transcript.source == "llm:fake" and transcript.specialty == trade
        assert f"{{{kinds[next(text for text in kinds if text in transcript.text)]}}}" in transcript.carrier
    assert all(len(splits) == 1 for splits in by_carrier.values())


def test_an_interrupted_stage_goes_on_and_ends_up_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    listed(whole, COFFEE)
    counted = FakeLlm(kinds=COFFEE)
    expected = made(whole, counted, monkeypatch)
    listed(tmp_path, COFFEE)
    for asked in (1, 6, 9, 12):
        assert asked < len(counted.asked)
        with pytest.raises(KeyboardInterrupt):
            made(tmp_path, FakeLlm(kinds=COFFEE, dies_after=asked), monkeypatch)
    assert made(tmp_path, FakeLlm(kinds=COFFEE), monkeypatch) == expected


def test_a_bare_list_of_a_clinic_takes_the_carriers_that_ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed(tmp_path, DRUGS)
    llm = FakeLlm(trade="a hospital", kinds=DRUGS)
    transcripts = made(tmp_path, llm, monkeypatch)
    assert {transcript.source for transcript in transcripts if transcript.kind == "carrier"} == {"shipped:hand"}
    assert "carriers" not in llm.asked


def test_live_carriers_of_a_named_clinic_are_from_its_contexts_and_only_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed(tmp_path, DRUGS)
    llm = FakeLlm(kinds=DRUGS)
    transcripts = made(tmp_path, llm, monkeypatch, trade="a clinic", live_carriers=6, train_per_term=40)
    live = [transcript for transcript in transcripts if transcript.source == "llm:fake"]
    assert live and {transcript.split for transcript in live} == {"train"}
    carriers = list(files.read(tmp_path / "run" / "20-carriers.jsonl", Carrier))
    assert Counter(carrier.category for carrier in carriers) == {"drug": 3, "lab": 3}
    assert {carrier.specialty for carrier in carriers} == {"a clinic"}


def test_where_the_model_is_no_use_the_error_says_what_to_write_and_the_proposals_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed(tmp_path, COFFEE)
    llm = FakeLlm(kinds=COFFEE, wrong=lambda kind, seed: "No." if kind == "carriers" else None)
    with pytest.raises(CoverageError, match="carrier_files"):
        made(tmp_path, llm, monkeypatch)
    assert (tmp_path / "run" / "20-proposals.jsonl").is_file()
    again = FakeLlm(kinds=COFFEE)
    made(tmp_path, again, monkeypatch)
    assert set(again.asked) == {"carriers"}


def test_what_the_error_says_to_write_by_hand_needs_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "".join(f"{text},drink\n" for text in ("flat white", "cortado", "mocha"))
    (tmp_path / "terms.csv").write_text("text,category\n" + rows)
    openings = ("Could I have", "Nobody wants", "They ran out of", "My sister loves", "Please bring", "We never sell")
    ends = (
        "with two cups today.",
        "after the show.",
        "because of the rain.",
        "near the window.",
        "on Sundays.",
        "in May.",
    )
    bank = [
        {"id": f"drink-{number}", "text": f"{opening} {{drink}} {end}", "category": "drink", "source": "hand"}
        for number, (opening, end) in enumerate(zip(openings, ends, strict=True))
    ]
    (tmp_path / "bank.jsonl").write_text("".join(json.dumps(carrier) + "\n" for carrier in bank))
    keys = SMALL | {"trade": "a coffee bar", "carrier_files": ["bank.jsonl"]}
    recipe = Recipe.model_validate({"name": "hand", "lexicon": {"files": ["terms.csv"]}, "transcripts": keys})
    run = Run(tmp_path / "run", recipe, tmp_path)
    run.folder.mkdir()
    assert not preflight.asks_llm(run)
    monkeypatch.setattr(corpus, "_llm", lambda section, folder, language: pytest.fail("no model is needed"))
    corpus.lexicon(run.of_stage("lexicon"))
    corpus.transcripts(run.of_stage("transcripts"))
    assert {each.source for each in files.read(run.product("transcripts"), Transcript) if each.kind == "carrier"} == {
        "hand"
    }


def test_the_demo_asks_nothing_more_than_it_did() -> None:
    from shoptalk.core import config
    from shoptalk.corpus.carriers import read_banks
    from shoptalk.stages import trades

    recipe = config.load(ROOT / "recipes/demo.yaml")
    run = Run(Path("nowhere"), recipe, ROOT / "recipes")
    bank = read_banks([ROOT / "lexicons/carriers-clinical.jsonl"])
    terms = preflight._terms(run)
    proposed = trades.settled(run.of_stage("transcripts"), terms, bank, lambda: pytest.fail("nothing is asked"))
    assert proposed.is_clinical and trades.placed(terms, proposed) == terms
    assert trades.usable_bank(bank, proposed.trade) == bank
    assert trades.has_usual_prompts(recipe.transcripts, proposed) and recipe.transcripts.live_carriers == 10


@pytest.mark.slow
def test_a_real_small_model_writes_sentences_with_slots_that_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The 0.5B model; whatever it proposes, what is kept passes, and where it is not enough, the error says so."""
    from shoptalk.core.models import store
    from shoptalk.integrations.llm_embedded import EmbeddedLlm

    listed(tmp_path, {text: kind for text, kind in COFFEE.items() if kind == "drink"})
    name = "qwen2.5-coder-0.5b-instruct"
    llm = EmbeddedLlm(store.path(name), name=name, temperature=0.6)
    few = {"train_per_term": 1, "test_per_term": 1, "contexts": ["a customer orders at the counter"]}
    try:
        transcripts = made(tmp_path, llm, monkeypatch, trade="a coffee bar", **few)
    except CoverageError as error:
        assert name in str(error) and "transcripts." in str(error)
        return
    named = {transcript.term_ids[0] for transcript in transcripts if transcript.kind == "carrier"}
    assert named == {"flat-white", "cortado", "mocha", "espresso"}
    for carrier in files.read(tmp_path / "run" / "20-carriers.jsonl", Carrier):
        assert carrier.text.count(f"{{{carrier.category}}}") == 1 and carrier.source == f"llm:{name}"
