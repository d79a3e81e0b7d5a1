"""Live carriers: prompts rotate, answers are screened, and a stream that was cut off ends up byte-identical."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from shoptalk.core import files
from shoptalk.core.errors import CoverageError
from shoptalk.core.models import store
from shoptalk.corpus import carriers, lexicon
from shoptalk.corpus.carriers import Carrier

ROOT = Path(__file__).parents[2]
BANK = carriers.read_banks([ROOT / "lexicons/carriers-clinical.jsonl"])
TERMS = lexicon.load([ROOT / "lexicons/clinical.yaml"])


class FakeLlm:
    """Answers from the prompt and the seed, as a model would: some lines usable, some not."""

    name = "fake"

    def __init__(self, dies_after: int = 10**9) -> None:
        self.asked = 0
        self.dies_after = dies_after

    def complete(self, messages: Sequence[Mapping[str, str]], *, seed: int, max_tokens: int) -> str:
        self.asked += 1
        if self.asked > self.dies_after:
            raise KeyboardInterrupt
        slot = messages[0]["content"].partition("{")[2].partition("}")[0]
        noun = ("bicycle", "garden", "neighbor", "window", "holiday", "basement", "radio")[seed % 7]
        place = ("kitchen", "village", "train", "office", "church")[seed // 7 % 5]
        return (
            f"1. Maybe the {noun} was moved from the {place} because {{{slot}}} arrived.\n"
            f"2. Nothing about the {noun}.\n"
            f"- Every {place} we know keeps {{{slot}}} behind some {noun}.\n"
        )


def write(path: Path, llm: FakeLlm, count: int) -> str:
    def make(done: frozenset[str]):  # type: ignore[no-untyped-def]
        return carriers.write_carriers(
            llm, count, seed=5, done=done, terms=TERMS[::9], examples=BANK[::12], refused=Counter()
        )

    files.write_records(path, make, signature="s")
    return path.read_text()


def test_a_killed_stream_ends_up_byte_identical(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.jsonl", FakeLlm(), 12)
    assert len(whole.splitlines()) == 12
    for asked in (1, 2, 5):
        path = tmp_path / f"cut-{asked}.jsonl"
        with pytest.raises(KeyboardInterrupt):
            write(path, FakeLlm(dies_after=asked), 12)
        partial = path.with_name(path.name + ".partial")
        partial.write_bytes(partial.read_bytes()[:-9])
        assert write(path, FakeLlm(), 12) == whole


def test_an_unusable_model_is_an_error_with_a_cure() -> None:
    class Mute(FakeLlm):
        def complete(self, messages: Sequence[Mapping[str, str]], *, seed: int, max_tokens: int) -> str:
            return "The patient takes {medicine}.\n\n"

    with pytest.raises(CoverageError, match="choose another"):
        list(
            carriers.write_carriers(
                Mute(), 2, seed=1, done=frozenset(), terms=TERMS[:9], examples=BANK[:9], refused=Counter()
            )
        )


def test_prompts_rotate_and_show_no_held_out_category_only() -> None:
    prompts = [carriers.make_prompt(number, TERMS, BANK, seed=5) for number in range(40)]
    assert len({(prompt.section, prompt.specialty) for prompt in prompts}) >= 12
    assert len({prompt.category for prompt in prompts}) >= 4
    assert len({prompt.messages[1]["content"] for prompt in prompts}) == 40
    assert prompts[3] == carriers.make_prompt(3, TERMS, BANK, seed=5)
    only_taught = [term.model_copy(update={"taught": term.category == "lab"}) for term in TERMS]
    assert {carriers.make_prompt(number, only_taught, BANK, seed=5).category for number in range(9)} == {"lab"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Every Sunday her neighbor counts out {drug} for the week.", ""),
        ("Every Sunday her neighbor counts out {drug} {dose} for the week.", ""),
        ("Every Sunday her neighbor counts out the tablets.", "term slot"),
        ("{drug} goes well with {drug} on most Sundays.", "term slot"),
        ("Every Sunday {patient} counts out {drug} for the week.", "unknown"),
        ("Every Sunday her neighbor counts out **{drug}** for us.", "no sentence"),
        ("every Sunday her neighbor counts out {drug}", "no sentence"),
        ("Every Sunday she counts {drug}. Then she sleeps.", "no sentence"),
        ("Every Sunday her neighbor counts out 20 {drug} tablets.", "no sentence"),
        ("Take {drug} today.", "length"),
        ("Every Sunday her neighbor counts out {drug}-tablets again.", "glued"),
        ("Every Sunday the drug {drug} is counted by neighbors.", "category"),
        ("Every Sunday her neighbor swaps aspirin for {drug} again.", "names a drug"),
        ("Every Sunday her neighbor swaps Glucophage for {drug} again.", "names a term"),
        ("Every Sunday her neighbor neighbor counts out {drug} again.", "repeats"),
        ("Taper {drug} slowly over this next month.", "near duplicate"),
    ],
)
def test_screening(text: str, reason: str) -> None:
    found = carriers.screen(Carrier(id="x", text=text, category="drug", source="llm:fake"), TERMS, BANK)
    assert found.startswith(reason) if not reason else reason in found
    assert bool(found) is bool(reason)


def test_a_bank_that_could_never_be_filled_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "bank.jsonl").write_text(
        '{"id": "a", "text": "Take it.", "category": "drug", "source": "shipped:hand"}\n'
    )
    with pytest.raises(CoverageError, match="a: needs the slot {drug}"):
        carriers.read_banks([tmp_path / "bank.jsonl"])


@pytest.mark.slow
def test_the_embedded_model_answers_alike_whatever_was_asked_before() -> None:
    from shoptalk.integrations.llm_embedded import EmbeddedLlm

    name = "smollm2-135m-instruct"
    prompts = [carriers.make_prompt(number, TERMS, BANK, seed=5).messages for number in range(3)]
    llm = EmbeddedLlm(store.path(name), name=name)
    forwards = [llm.complete(messages, seed=9, max_tokens=24) for messages in prompts]
    backwards = [llm.complete(messages, seed=9, max_tokens=24) for messages in prompts[::-1]]
    fresh = EmbeddedLlm(store.path(name), name=name)
    assert forwards == backwards[::-1]
    assert fresh.complete(prompts[1], seed=9, max_tokens=24) == forwards[1]
    assert llm.complete(prompts[1], seed=10, max_tokens=24) != forwards[1]
