"""What the ablation draws, keeps apart, takes up again and makes of its figures."""

import json
import sys
from pathlib import Path

import pytest

from shoptalk.core import config
from shoptalk.core.records import Hypothesis, Term
from shoptalk.core.sets import GENERAL, TAUGHT, UNTAUGHT
from shoptalk.corpus import lexicon
from shoptalk.corpus.kinds import confused_pairs

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import ablation

COMMON = (*ablation.COMMON, "train.steps=400")
TERMS = (
    Term(id="metformin", text="metformin", category="drug"),
    Term(id="sarcoidosis", text="sarcoidosis", category="condition", taught=False),
)
SENTENCES = {
    TAUGHT: "Start metformin today.",
    ablation.OTHER_ENGINE: "Continue metformin tonight.",
    UNTAUGHT: "No sign of sarcoidosis was seen.",
    ablation.OTHER_ENGINE_HELD_OUT: "We think of sarcoidosis again.",
    GENERAL: "The weather was fine on Monday.",
}


def recognised(said: str, *, seeds: int = 2, sentences: int = 10) -> list[list[Hypothesis]]:
    """Every sentence transcribed rightly, but with `said` in the place of metformin."""
    by_seed = []
    for _ in range(seeds):
        hypotheses = []
        for name, text in SENTENCES.items():
            for number in range(sentences):
                asked = Hypothesis(
                    id=f"{name}/{number}",
                    reference=text,
                    heard=text.replace("metformin", said if number else "met four men"),
                    set=name,
                    cluster=f"{name}/{number // 2}",
                )
                hypotheses.append(asked)
        by_seed.append(hypotheses)
    return by_seed


@pytest.mark.parametrize("count", [20, 50])
def test_chosen_terms_have_confused_pairs_and_do_not_depend_on_the_order(count: int) -> None:
    terms = lexicon.load([ablation.LEXICON])
    chosen = ablation.chosen_terms(terms, count, ablation.PAIRS)
    names = {term.id for term in chosen}
    assert len(names) == len(chosen) == count
    assert len(confused_pairs(chosen)) >= count // 5
    assert {term.id for term in ablation.chosen_terms(terms[::-1], count, ablation.PAIRS)} == names


def test_every_arm_is_one_change_of_a_recipe(tmp_path: Path) -> None:
    usable, left_out = ablation.known_to_the_recipe(ablation.ARMS, COMMON, tmp_path)
    assert not left_out
    default = config.load(ablation.RECIPE, tuple(ablation.Run(ablation.ARMS[0], 1, COMMON, tmp_path).changes))
    for arm in usable[1:]:
        changed = config.load(ablation.RECIPE, tuple(ablation.Run(arm, 1, COMMON, tmp_path).changes))
        sections = [name for name in type(default).model_fields if getattr(default, name) != getattr(changed, name)]
        assert sections == [arm.changes[0].partition(".")[0]], f"{arm.name} changes what it says, and it alone"


def test_an_unknown_key_leaves_its_arm_out_and_says_why(tmp_path: Path) -> None:
    usable, left_out = ablation.known_to_the_recipe(
        [ablation.ARMS[0], ablation.Arm("later", ("speech.whisper=1",), adds=True)], COMMON, tmp_path
    )
    assert [arm.name for arm in usable] == [ablation.BASE]
    assert "no such key" in left_out["later"]


def test_a_run_is_finished_for_the_changes_it_was_made_with_only(tmp_path: Path) -> None:
    run = ablation.Run(ablation.BY_NAME["rooms"], 2, COMMON, tmp_path)
    assert run.seconds is None
    run.folder.mkdir()
    note = {"changes": run.changes, "seconds": {"train": 96.0}}
    (run.folder / ablation.FINISHED).write_text(json.dumps(note))
    assert run.seconds == {"train": 96.0}
    assert run._replace(common=(*COMMON, "train.steps=300")).seconds is None
    assert "augment.room=0" in run.changes and run.folder.name == "rooms-2"


def test_features_are_lent_to_a_run_that_has_none(tmp_path: Path) -> None:
    first, second = (ablation.Run(ablation.BY_NAME[name], 1, COMMON, tmp_path) for name in (ablation.BASE, "noise"))
    ablation.lend_features(first)
    assert not first.folder.exists(), "nothing is there to be lent"
    lent = first.folder / "60-train" / "features" / "features-0.f16"
    lent.parent.mkdir(parents=True)
    lent.write_bytes(b"mel")
    (first.folder / ablation.FINISHED).write_text("{}")
    ablation.lend_features(second)
    (got,) = (second.folder / "60-train" / "features").iterdir()
    assert got.read_bytes() == b"mel"
    got.unlink()
    assert lent.is_file(), "a training may remove what it was lent"


def test_what_is_taken_away_is_the_side_without_it() -> None:
    """The default recognises 9 of 10 sentences with the term; without rooms none; with a lower pitch none."""
    right, wrong = recognised("metformin"), recognised("met four men")
    taken = ablation.figures(ablation.BY_NAME["rooms"], default=right, own=wrong, terms=TERMS)
    assert taken["verdict"] == "pays"
    assert taken["recall"][TAUGHT]["without"] == 0.0
    assert taken["recall"][TAUGHT]["with"] == taken["recall"][TAUGHT]["difference"] == 0.9
    assert taken["recall_difference_by_seed"] == {TAUGHT: [0.9, 0.9], ablation.OTHER_ENGINE: [0.9, 0.9]}
    added = ablation.figures(ablation.BY_NAME["pitch"], default=right, own=wrong, terms=TERMS)
    assert added["verdict"] == "costs"
    assert added["recall"][TAUGHT]["difference"] == -0.9
    same = ablation.figures(ablation.BY_NAME["pitch"], default=right, own=right, terms=TERMS)
    assert same["verdict"] == "unclear"
    assert same["recall"][TAUGHT]["detectable"] is None, "no sentence differs"


def test_seeds_of_a_sentence_are_one_cluster() -> None:
    both = ablation.pooled(recognised("metformin"))
    assert len({hypothesis.id for hypothesis in both}) == len(both) == 2 * 10 * len(SENTENCES)
    assert len({hypothesis.drawn_with for hypothesis in both}) == 5 * len(SENTENCES)


def test_spread_from_seed_to_seed_is_pooled_over_arms() -> None:
    arms = [{"recall_difference_by_seed": {TAUGHT: pair}} for pair in ([0.1, 0.3], [0.0, 0.0])]
    assert ablation.seed_sd(arms, TAUGHT) == pytest.approx(0.1)
    assert ablation.seed_sd([{"recall_difference_by_seed": {TAUGHT: [0.1]}}], TAUGHT) is None


@pytest.mark.parametrize(
    ("recall", "harms", "expected"),
    [
        (["better", "unclear"], ["unclear"], "pays"),
        (["better"], ["worse"], "both"),
        (["unclear"], ["worse"], "costs"),
        (["unclear"], ["better"], "pays"),
        (["unclear"], ["unclear"], "unclear"),
    ],
)
def test_verdicts(recall: list[str], harms: list[str], expected: str) -> None:
    assert ablation.verdict(recall, harms) == expected


def test_the_table_has_a_line_for_each_arm() -> None:
    figure = {"difference": 0.021, "low": 0.004, "high": 0.038}
    arm = {
        "is_default": True,
        "recall": {TAUGHT: figure, ablation.OTHER_ENGINE: figure, "taught-room": figure},
        "wer": {GENERAL: {"difference": -0.001, "low": None, "high": None}},
        "false_insertions": {UNTAUGHT: {"difference": 1.2, "low": -0.5, "high": 2.9}},
        "verdict": "pays",
    }
    *_, line = ablation.table({"arms": {"rooms": arm}}).splitlines()
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells == [
        "rooms (on by default)",
        *["+2.1 [+0.4, +3.8]"] * 3,
        "-0.1",
        "+1.2 [-0.5, +2.9]",
        "pays",
    ]
