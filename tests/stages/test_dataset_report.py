"""`shoptalk corpus` on a tiny recipe: stopped and resumed the same as at one go, and a page that says what is there."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.corpus import fake_tts
from tests.stages.test_wiring import general

from shoptalk.core import config, files
from shoptalk.core.examples import read_manifest, write_manifest
from shoptalk.core.recipe import ScreenSection
from shoptalk.core.records import Term, Transcript, Utterance
from shoptalk.corpus.screening import Lost, Screening
from shoptalk.integrations import kokoro
from shoptalk.stages import dataset_report, execution, refusals, screening
from shoptalk.stages.run import Run

ROOT = Path(__file__).parents[2]
TERMS = """\
- {text: metformin, category: drug, facts: {dose: ["500 mg"]}}
- {text: apixaban, category: drug, verified_by: A. Nurse, ipa: əpˈɪksəbæn}
- {text: colonoscopy, category: procedure}
"""
RECIPE = """\
name: tiny <b>&
lexicon: {files: [terms.yaml], untaught: 0}
transcripts:
  train_per_term: 4
  dev_per_term: 1
  test_per_term: 1
  coverage: {conditions: [clean, noise], minimum: [{of: [term, condition], at_least: 2}]}
speech: {workers: 1}
dataset: {general_test_utterances: 2, general_dev_utterances: 2}
"""
SLOW = """
import sys
from shoptalk import cli
from shoptalk.integrations import kokoro
from tests.corpus import fake_tts

if __name__ == "__main__":
    kokoro.prepare = lambda: None
    kokoro.load = fake_tts.make(pause_s=float(sys.argv.pop(1)))
    cli.run()
"""


def recipe(folder: Path) -> Path:
    (folder / "terms.yaml").write_text(TERMS)
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.replace("dataset: {", f"dataset: {{general: {general(folder)}, "))
    (folder / "slow.py").write_text(SLOW)
    return path


def corpus(folder: Path, name: str, *, pause_s: float) -> "subprocess.Popen[bytes]":
    command = [sys.executable, str(folder / "slow.py"), str(pause_s), "corpus"]
    command += ["--recipe", str(folder / "recipe.yaml"), "--run", str(folder / name)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def digests(folder: Path) -> dict[str, str]:
    """sha256 of all that was made; the command and the time that it took are another's."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name not in ("recipe.json", "seconds.json")
    }


def test_stopped_and_resumed_it_makes_the_same(tmp_path: Path) -> None:
    recipe(tmp_path)
    whole = corpus(tmp_path, "whole", pause_s=0)
    stopped = corpus(tmp_path, "stopped", pause_s=0.3)
    partial = tmp_path / "stopped" / "30-speech.jsonl.partial"
    until = time.monotonic() + 120
    while stopped.poll() is None and not (partial.is_file() and partial.stat().st_size) and time.monotonic() < until:
        time.sleep(0.02)
    assert stopped.poll() is None, stopped.communicate()[1].decode()
    os.killpg(stopped.pid, signal.SIGINT)
    told = stopped.communicate(timeout=60)[1].decode()
    assert stopped.returncode == 130
    assert "Traceback" not in told
    there = partial.read_bytes()
    assert there
    assert not (tmp_path / "stopped" / "50-dataset").exists()
    resumed = corpus(tmp_path, "stopped", pause_s=0)
    told = resumed.communicate(timeout=120)[1].decode()
    assert resumed.returncode == 0, told
    assert "20 transcripts: current" in told
    assert whole.wait(120) == 0, whole.communicate()[1].decode()
    assert digests(tmp_path / "stopped") == digests(tmp_path / "whole")
    assert (tmp_path / "stopped" / "30-speech.jsonl").read_bytes().startswith(there)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("corpus")
    path = recipe(folder)
    made = Run(folder / "run", config.load(path), folder)
    made.folder.mkdir()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(kokoro, "prepare", lambda: None)
        patched.setattr(kokoro, "load", fake_tts.make())
        execution.make_all(made, last="dataset")
    return made


def page(run: Run) -> str:
    return (run.folder / dataset_report.PAGE).read_text(encoding="utf-8")


def plain(html: str) -> str:
    """The words of a page, without its markup, styles and sounds."""
    body = re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))


def test_the_page_says_what_the_manifests_have(run: Run) -> None:
    said = plain(page(run))
    for manifest in sorted(run.product("dataset").glob("*.jsonl")):
        examples = read_manifest(manifest)
        if not examples:
            continue
        minutes = sum(example.duration_s for example in examples) / 60
        row = re.search(rf" {manifest.stem} (?:[^0-9]*?)(\d+) (\d+\.\d) min (\d+) (\d+) (\d+|–) ", said)
        assert row, manifest.stem
        texts = {example.text for example in examples}
        voices = {part.partition("*")[0] for example in examples for part in example.voice.split("+")}
        terms = {id_ for example in examples for id_ in example.term_ids}
        wanted = (len(examples), f"{minutes:.1f}", len(texts), len(voices), len(terms) or "–")
        assert row.groups() == tuple(map(str, wanted))
    utterances = list(files.read(run.product("augment"), Utterance))
    transcripts = list(files.read(run.product("transcripts"), Transcript))
    for kind, count in Counter(transcript.kind for transcript in transcripts).items():
        assert f" {kind} {count} {100 * count / len(transcripts):.1f} % " in said
    noisy = [utterance for utterance in utterances if "snr_db" in utterance.effects]
    assert noisy
    assert re.search(rf" noise {len(noisy)} {100 * len(noisy) / sum(bool(u.effects) for u in utterances):.0f} % ", said)
    assert "Nobody has listened to 2 of 3" in said
    assert "by the lexicon right, says A. Nurse" in said
    unheard = [e for path in run.product("dataset").glob("*.jsonl") for e in read_manifest(path) if e.unverified_terms]
    assert f"{len(unheard)} recordings say one of them" in said
    assert re.search(r" term × condition 6 2 \d covered ", said)


def test_the_page_is_of_one_piece_and_escaped(run: Run) -> None:
    html = page(run)
    assert "The dataset of tiny &lt;b&gt;&amp;" in html
    assert not re.search(r"(?:src|href)=\"(?!data:audio/ogg;base64,)", html)
    assert not re.search(r"https?://|<script|@import|url\(", html)
    kinds = set(re.findall(r'<span class="tag">(\w+) · ([^·<]+?) ?[·<]', html))
    utterances = [u for u in files.read(run.product("augment"), Utterance) if u.split != "test"]
    assert {kind for kind, _ in kinds} >= {utterance.kind for utterance in utterances}
    assert {condition.strip() for _, condition in kinds} >= {"clean", "noise", "as recorded"}
    assert html.count("<audio") == len(re.findall('class="tag"', html)) > 3


def test_what_is_lost_on_the_way_and_what_was_refused_is_named(run: Run, tmp_path: Path) -> None:
    """Recordings of a patient that a user added are counted, and neither played nor read."""
    folder = shutil.copytree(run.folder, tmp_path / "run")
    other = Run(folder, run.recipe, run.recipe_folder)
    train = other.product("dataset") / "train.jsonl"
    utterances = {utterance.id: utterance for utterance in files.read(other.product("augment"), Utterance)}
    lines = read_manifest(train)
    kept = [line for line in lines if not (line.term_ids == ("apixaban",) and utterances[line.id].condition == "noise")]
    assert len(kept) < len(lines)
    patient = kept[0].model_copy(
        update={"id": "ward-3", "patient": True, "text": "The secret of the ward.", "voice": "bed nine", "term_ids": ()}
    )
    write_manifest(train, [*kept, patient])
    note = {"signature": other.signature("transcripts"), "refused": {"cut <off>": 3, "list": 1}}
    (folder / refusals.PRODUCT).write_text(json.dumps(note))
    html = dataset_report.write(other).read_text(encoding="utf-8")
    said = plain(html)
    assert "term &#39;apixaban&#39;, condition &#39;noise&#39;: 0 of 2" in said
    assert "term × condition 6 2 0 short" in said
    assert "1 of patients" in said
    assert "secret" not in html
    assert "bed nine" not in html
    assert " cut &lt;off&gt; 3 75.0 % " in said
    (folder / refusals.PRODUCT).write_text(json.dumps({**note, "signature": "another"}))
    assert "Refused answers" not in dataset_report.write(other).read_text(encoding="utf-8")


def test_what_screening_rejected_is_told(run: Run, tmp_path: Path) -> None:
    folder = shutil.copytree(run.folder, tmp_path / "run")
    speech = run.recipe.speech.model_copy(update={"screen": ScreenSection(enabled=True)})
    found = Screening(
        recordings=20,
        rejected=4,
        reasons={"term": 3, "cut": 1},
        given_up=("a", "b"),
        doubted=(),
        pronunciation_problems={"metformin": Lost(recordings=5, rejected=3)},
    )
    (folder / screening.SUMMARY).write_text(found.model_dump_json())
    other = Run(folder, run.recipe.model_copy(update={"speech": speech}), run.recipe_folder)
    said = plain(dataset_report.write(other).read_text(encoding="utf-8"))
    assert "4 of 20 recordings were rejected" in said
    assert "2 training sentences were given up" in said
    assert " term 3 75.0 % " in said
    assert " metformin: 3 of 5 " in said
    assert "Screening" not in plain(page(run))


def test_refused_answers_add_up_over_stops(run: Run, tmp_path: Path) -> None:
    other = Run(tmp_path, run.recipe, run.recipe_folder).of_stage("transcripts")
    for reason in ("list", "list", "refusal"):
        with pytest.raises(KeyboardInterrupt), refusals.telling(other) as refused:
            refused[reason] += 1
            raise KeyboardInterrupt
    assert refusals.read(other) == {"list": 2, "refusal": 1}


def test_a_dataset_of_own_recordings_has_its_page_without_a_design(run: Run, tmp_path: Path) -> None:
    recipe_of_own = run.recipe.model_copy(update={"products": {"transcripts": run.product("transcripts")}})
    other = Run(tmp_path, recipe_of_own, run.recipe_folder)
    for name in ("lexicon", "augment", "dataset"):
        (tmp_path / run.product(name).name).symlink_to(run.product(name))
    assert "not those that stage 20 planned" in dataset_report.write(other).read_text(encoding="utf-8")
    assert len(list(files.read(other.product("lexicon"), Term))) == 3
