"""What stages 10, 20, 50 and 70 cost as a lexicon grows from 24 to 5,000 terms, its sentences with it; writes JSON.

    OMP_NUM_THREADS=1 python benchmarks/terms.py [results/terms.json] [--sizes 24 100 500 1000 5000]

The lexicon is drawn: pseudo names of the clinical lexicon's categories, some of two words, with brand names and, for
drugs, doses. Each term has the demo's 14 sentences (a held-out one has the 5 of the test), filled into the carriers
that ship: no language model. Stages 10, 20 and 50 are the product's own. Audio is left out: stage 50 reads a manifest
as stage 40 would write it, with one copy of each training sentence.

Stage 70 is measured without its recognition, which takes the same time for each sentence: hypotheses are made from the
references, with a tenth of the words wrong and terms missed. It scores, bootstraps and writes the JSON, Markdown and
HTML. `70` has carriers as clusters, whose number is that of the bank. In `70 own clusters` each sentence is a cluster
of its own, as with dictations, so that clusters grow with the lexicon too.

Each stage of each size has a process of its own: its seconds of processor time, and its peak of memory (RSS) with
Python and what it imports. The exponent is that of time over terms, the slope of a line through the logarithms: 1 is
linear, 2 is the square. `last` is the slope between the two largest sizes alone.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from shoptalk.core import device, files
from shoptalk.core.examples import read_manifest
from shoptalk.core.recipe import Recipe, SpeechSection
from shoptalk.core.records import Hypothesis, Term, Transcript, Utterance, Word
from shoptalk.core.sets import TESTS
from shoptalk.corpus.voices import draw_voice
from shoptalk.scoring.evaluate import evaluate
from shoptalk.scoring.report import page, tables
from shoptalk.stages import execution
from shoptalk.stages.run import Run

ROOT = Path(__file__).parents[1]
SIZES = (24, 100, 500, 1_000, 5_000)
SEED = 7
CATEGORIES = {"drug": 0.4, "condition": 0.15, "procedure": 0.15, "lab": 0.1, "anatomy": 0.1, "role": 0.1}
"""The part of the terms in each category of the carriers that ship."""
PER_TERM = {"train_per_term": 8, "dev_per_term": 1, "test_per_term": 5}
ONSETS = "b bl br c ch cl cr d dr f fl g gl gr l m n p ph pl pr r s st t th tr v x z".split()
VOWELS = "a e i o u ae io".split()
ENDINGS = "mab tinib pril olol statin azole micin zide oma itis emia ectomy plasty gram cyte ase ium alis".split()
ERRORS = 0.1
"""The part of the other words that are replaced."""
MISSED = {"before": 0.8, "after": 0.2}
"""The part of the terms that are replaced, by another term or by no word of the lexicon."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", type=Path, nargs="?", default=Path("results/terms.json"))
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--stages", nargs="+", default=list(STAGES), choices=STAGES)
    parser.add_argument("--one", nargs=2, metavar=("STAGE", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        stage, folder = arguments.one
        print(json.dumps(measured(stage, Path(folder))))
        return
    sizes = [measured_size(size, arguments.stages) for size in arguments.sizes]
    result = {
        "command": "OMP_NUM_THREADS=1 python benchmarks/terms.py --sizes " + " ".join(map(str, arguments.sizes)),
        "date": f"{date.today()}",
        "machine": device.machine(),
        "load_average": round(os.getloadavg()[0], 2),
        "sentences_per_term": PER_TERM,
        "sizes": sizes,
        "exponents": {stage: exponents(sizes, stage) for stage in arguments.stages} if len(sizes) > 1 else {},
    }
    files.write_text(arguments.target, json.dumps(result, indent=1) + "\n")


def measured_size(size: int, stages: Sequence[str]) -> dict[str, Any]:
    """All stages on a lexicon of so many terms, each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        write_lexicon(Path(folder) / "lexicon.yaml", size)
        costs = {}
        for stage in stages:
            command = [sys.executable, __file__, "--one", stage, folder]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            costs[stage] = json.loads(done.stdout.splitlines()[-1])
            print(size, stage, costs[stage], flush=True)
        sentences = sum(1 for _ in (Path(folder) / "run/20-transcripts.jsonl").open())
    return {"terms": size, "sentences": sentences, "stages": costs}


def measured(stage: str, folder: Path) -> dict[str, Any]:
    """Processor seconds and peak memory of one stage, and what it tells beside them."""
    prepare, work = STAGES[stage]
    prepared = prepare(folder)
    before_mb = peak_mb()
    begin = time.process_time()
    told = work(prepared)
    seconds = time.process_time() - begin
    return {"seconds": round(seconds, 2), "peak_mb": peak_mb(), "peak_before_mb": before_mb, **told}


def peak_mb() -> int:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def exponents(sizes: Sequence[Mapping[str, Any]], stage: str) -> dict[str, float]:
    terms = np.log([size["terms"] for size in sizes])
    seconds = np.log([max(size["stages"][stage]["seconds"], 0.01) for size in sizes])
    fitted = np.polyfit(terms, seconds, 1)[0]
    last = np.polyfit(terms[-2:], seconds[-2:], 1)[0]
    return {"seconds": round(float(fitted), 2), "last": round(float(last), 2)}


# --- what is measured ------------------------------------------------------------------------------------------


def run_of(folder: Path) -> Run:
    """The run of the drawn lexicon; stage 40 is a manifest of the folder's own."""
    recipe = Recipe.model_validate(
        {
            "name": "terms",
            "seed": SEED,
            "lexicon": {"files": [folder / "lexicon.yaml"]},
            "transcripts": PER_TERM,
            "products": {"augment": folder / "utterances.jsonl"},
        }
    )
    (folder / "run").mkdir(exist_ok=True)
    return Run(folder / "run", recipe, ROOT / "recipes")


def made(name: str) -> Callable[[Run], dict[str, Any]]:
    def make(run: Run) -> dict[str, Any]:
        execution.make(run, name)
        return {}

    return make


def with_utterances(folder: Path) -> Run:
    """The run with what stage 40 would have written, without audio."""
    run = run_of(folder)
    with (folder / "utterances.jsonl").open("w") as manifest:
        for transcript in files.read(run.product("transcripts"), Transcript):
            for utterance in spoken(transcript):
                manifest.write(utterance.model_dump_json() + "\n")
    return run


def spoken(transcript: Transcript) -> Iterator[Utterance]:
    """An utterance of the transcript, and a copy of it for training."""
    voice, speed = draw_voice(transcript.id, transcript.split, SpeechSection(), seed=SEED)
    for copy in ("", "+1") if transcript.split == "train" else ("",):
        yield Utterance(
            id=transcript.id + copy,
            transcript_id=transcript.id,
            text=transcript.text,
            term_ids=transcript.term_ids,
            carrier=transcript.carrier,
            split=transcript.split,
            audio=f"30-speech/{transcript.id}.flac",
            duration_s=0.4 * len(transcript.text.split()),
            voice=voice,
            speed=speed,
            section=transcript.section,
        )


def with_hypotheses(folder: Path, *, own_clusters: bool) -> dict[str, Any]:
    """What two recognisers might have made of the test lists of stage 50, and of dev."""
    run = run_of(folder)
    terms = list(files.read(run.product("lexicon"), Term))
    asked = [hypothesis for name in TESTS for hypothesis in unrecognised(run, f"test-{name}", name)]
    if own_clusters:
        asked = [hypothesis.model_copy(update={"cluster": ""}) for hypothesis in asked]
    dev = unrecognised(run, "dev", "dev")
    texts = [term.text for term in terms]
    return {
        "run": run,
        "terms": terms,
        "before": [recognised(hypothesis, texts, MISSED["before"]) for hypothesis in asked],
        "after": [recognised(hypothesis, texts, MISSED["after"]) for hypothesis in asked],
        "dev": [recognised(hypothesis, texts, MISSED["after"]) for hypothesis in dev],
    }


def unrecognised(run: Run, manifest: str, name: str) -> list[Hypothesis]:
    """The sentences of a manifest of stage 50, without what was recognised."""
    hypotheses = []
    for example in read_manifest(run.product("dataset") / f"{manifest}.jsonl"):
        hypothesis = Hypothesis(
            id=example.id,
            reference=example.text,
            heard="",
            set=name,
            term_ids=example.term_ids,
            cluster=example.cluster,
            voice=example.voice,
            context=example.context,
            duration_s=example.duration_s,
        )
        hypotheses.append(hypothesis)
    return hypotheses


def recognised(asked: Hypothesis, texts: Sequence[str], missed: float) -> Hypothesis:
    """The reference with wrong words, each word with its time and confidence; drawn from the id."""
    rng = np.random.default_rng([SEED, round(100 * missed), *asked.id.encode()])
    common = set("the a of and to in for with on at is was we he she it has had have not his her".split())
    words = []
    for word in asked.reference.split():
        is_rare = bool(asked.term_ids) and len(word) > 7 and word.lower() not in common
        if rng.random() >= (missed if is_rare else ERRORS):
            words.append(word)
        elif rng.random() < 0.1:
            words.append(texts[int(rng.integers(len(texts)))])
        else:
            words.append(word[: len(word) // 2] + "ing")
    heard = " ".join(words)
    timed = []
    for place, word in enumerate(heard.split()):
        confidence = round(float(rng.beta(8, 2)), 3)
        timed.append(Word(word=word, start_s=0.4 * place, end_s=0.4 * place + 0.3, confidence=confidence))
    return asked.model_copy(update={"heard": heard, "words": tuple(timed)})


def scored(given: Mapping[str, Any]) -> dict[str, Any]:
    """Stage 70 behind the recognition."""
    section = given["run"].recipe.evaluate
    scores = evaluate(given["before"], given["after"], given["terms"], section, seed=SEED, dev=given["dev"])
    folder = given["run"].folder
    files.write_text(folder / "report.md", tables.markdown(scores))
    files.write_text(folder / "report.html", page.html(scores))
    files.write_text(folder / "scores.json", scores.model_dump_json(indent=1) + "\n")
    sizes = {name: round((folder / name).stat().st_size / 1e6, 2) for name in ("report.html", "scores.json")}
    return {"test_sentences": len(given["after"]), "megabytes": sizes}


STAGES: Mapping[str, tuple[Callable[[Path], Any], Callable[[Any], dict[str, Any]]]] = {
    "10": (run_of, made("lexicon")),
    "20": (run_of, made("transcripts")),
    "50": (with_utterances, made("dataset")),
    "70": (lambda folder: with_hypotheses(folder, own_clusters=False), scored),
    "70 own clusters": (lambda folder: with_hypotheses(folder, own_clusters=True), scored),
}
"""What is prepared for each stage, and what is timed."""


# --- the lexicon -----------------------------------------------------------------------------------------------


def write_lexicon(path: Path, size: int) -> None:
    """So many drawn terms as YAML; a smaller lexicon is the beginning of a larger one."""
    rng = np.random.default_rng(SEED)
    names = drawn_names(rng)
    categories = list(CATEGORIES)
    lines = []
    for number in range(size):
        category = categories[int(rng.choice(len(categories), p=list(CATEGORIES.values())))]
        text = next(names)
        if rng.random() < 0.2:
            text += f" {next(names)}"
        term: dict[str, Any] = {"id": f"term-{number:05d}", "text": text, "category": category}
        if rng.random() < 0.3:
            term["variants"] = [next(names).capitalize()]
        if category == "drug":
            doses = [f"{dose} mg" for dose in rng.choice([5, 10, 20, 50, 100, 250], size=2, replace=False)]
            term["facts"] = {"dose": doses, "route": ["by mouth"], "frequency": ["daily", "twice daily"]}
        if category == "lab":
            term["facts"] = {"value": [f"{value / 10:.1f}" for value in rng.integers(10, 99, size=2)]}
        lines.append(f"- {json.dumps(term)}\n")
    path.write_text("".join(lines))


def drawn_names(rng: np.random.Generator) -> Iterator[str]:
    """Pseudo names such as ``blaetrevomab``, none twice."""
    drawn: set[str] = set()
    while True:
        syllables = [str(rng.choice(ONSETS)) + str(rng.choice(VOWELS)) for _ in range(int(rng.integers(2, 4)))]
        name = "".join(syllables) + str(rng.choice(ENDINGS))
        if name not in drawn:
            drawn.add(name)
            yield name


if __name__ == "__main__":
    main()
