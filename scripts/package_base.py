"""Put a trained base into models/: half-precision `.nemo`, training texts, measured card, results/base-NAME.json.

    python scripts/package_base.py runs/base-tiny shoptalk-base-en-tiny

Scores the whole general test part (assets/general/test.jsonl) by source with cluster bootstrap intervals, and lists
which terms of the clinical lexicon the base read in its training texts.
"""

import argparse
import json
import tempfile
from collections import defaultdict
from datetime import date
from pathlib import Path

import numpy as np

from shoptalk import audio, checkpoint, terms
from shoptalk.corpus.lexicon import load
from shoptalk.doors import nemo
from shoptalk.manifest import read_lines
from shoptalk.scoring import bootstrap, publish
from shoptalk.scoring.bundle import write_nemo
from shoptalk.scoring.wer import count_words

GROUPS = {
    "unheard_voices": ("synthetic", "Kokoro, four voices and sentences that were never trained on"),
    "real_native": ("fotaq", "game characters (acted, native English), whole characters held out"),
    "real_learners": (
        "speechocean762",
        "learners of English (Mandarin L1, half of them children), whole speakers held out",
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="run folder of `shoptalk train`")
    parser.add_argument("name", help="name below models/")
    arguments = parser.parse_args()
    manifests = [Path(f".local/base/{name}.jsonl") for name in ("synthetic", "more", "real")]
    rows = [row for path in manifests for row in read_lines(path)]
    known = known_terms({row["text"] for row in rows})
    folder = Path("models") / arguments.name
    model = nemo.restore(arguments.run / "60-train" / "tuned.nemo")
    target = folder / f"{arguments.name}.nemo"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        nemo.save(model, Path(made) / "half.nemo", half=True)
        write_nemo(Path(made) / "half.nemo", target)
    (folder / "training-text.txt").write_text("\n".join(sorted({row["text"] for row in rows})) + "\n", encoding="utf-8")
    facts = measure(target)
    history = json.loads((arguments.run / "60-train" / "history.json").read_text())
    hours = {source: sum(r["duration"] for r in rows if (r["source"] == "synthetic") == (source == "synthetic")) / 3600
             for source in ("synthetic", "real")}  # fmt: skip
    summary = {
        **facts,
        "parameters": sum(p.numel() for p in model.parameters()),
        "training_hours": {source: round(value, 2) for source, value in hours.items()},
        "steps": history[-1]["step"],
        "known_terms": known,
        "command": f"python scripts/package_base.py {arguments.run} {arguments.name}",
        "date": f"{date.today()}",
        "machine": publish.machine(),
    }
    Path("results").mkdir(exist_ok=True)
    path = Path("results") / f"{arguments.name.removeprefix('shoptalk-')}.json"
    path.write_text(json.dumps(summary, indent=1) + "\n")
    (folder / "README.md").write_text(card(arguments.name, summary, checkpoint.file_sha256(target)), encoding="utf-8")
    print(json.dumps(facts, indent=1))


def known_terms(texts: set[str]) -> list[str]:
    """Ids of the lexicon's terms in the training texts; ends the program if one is a drug or a text is tested with."""
    lexicon = {term.id: term for term in load([Path("lexicons/clinical.yaml")])}
    known = terms.occurring(list(lexicon.values()), texts)
    tested = {row["text"] for row in read_lines(Path("assets/general/test.jsonl"))}
    if leaks := sorted({one for one in known if lexicon[one].category == "drug"} | tested & texts):
        raise SystemExit(f"in the training texts, where they must not be: {', '.join(leaks)}")
    return sorted(known)


def measure(path: Path) -> dict[str, dict[str, float | int | None]]:
    """WER with 95 % intervals on each group of the general test part; speakers are drawn together."""
    recognizer = nemo.NemoRecognizer(nemo.restore(path), batch=16)
    lines: dict[str, list[dict[str, str]]] = defaultdict(list)
    for line in Path("assets/general/test.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        lines[row["source"]].append(row)
    scores = {}
    for group, (source, _) in GROUPS.items():
        chosen = lines[source]
        heard = recognizer.recognize([audio.decode(Path("assets/general") / row["audio_filepath"]) for row in chosen])
        counts = [count_words(row["text"], one.text) for row, one in zip(chosen, heard, strict=True)]
        rate = (np.array([one.errors for one in counts]), np.array([one.reference for one in counts]))
        # A sentence of the synthetic part is its own cluster: four voices are too few to draw from.
        clusters = [row["id"] if source == "synthetic" else row["speaker"] for row in chosen]
        draws = bootstrap.draw(clusters, draws=2_000, confidence=0.95, seed=7)
        interval, _, _ = bootstrap.paired(rate, rate, draws)
        scores[f"wer_{group}"] = {
            "value": interval.value, "low": interval.low, "high": interval.high,
            "words": int(rate[1].sum()), "utterances": len(chosen),
        }  # fmt: skip
    return scores


def card(name: str, facts: dict, sha256: str) -> str:
    """The model card, with what was measured."""
    table = "\n".join(
        f"| {about} | {facts[key]['words']:,} | {100 * facts[key]['value']:.1f} % "
        f"[{100 * facts[key]['low']:.1f}, {100 * facts[key]['high']:.1f}] |"
        for group, (_, about) in GROUPS.items()
        for key in [f"wer_{group}"]
    )
    millions = f"{facts['parameters'] / 1e6:.1f} M"
    synthetic, real = (f"{facts['training_hours'][source]:.1f} hours" for source in ("synthetic", "real"))
    known = len(facts["known_terms"])
    return f"""# {name}

A FastConformer-TDT of Parakeet's structure at smaller widths, {millions} parameters, English with case and
punctuation, 16 kHz. It exists so that everything Shoptalk does can be shown and tested on a laptop where no model hub
can be reached. **It is not a recogniser for use**: it is small, and it has heard little speech.

| test (unheard in training) | words | WER [95 % interval] |
|---|---|---|
{table}

By `{facts["command"]}`, {facts["date"]}; figures in `results/{name.removeprefix("shoptalk-")}.json`.

- **Weights**: `{name}.nemo`, float16, sha256 `{sha256}`. NeMo restores it into float32.
- **Training**: `shoptalk train --recipe recipes/base-tiny.yaml`, random weights, {facts["steps"]:,} steps, on
  {synthetic} of Kokoro-82M speech over clinical conversation and {real} of real speech (speechocean762,
  *Flight of the Amazon Queen*, one LJSpeech-text reader). The real texts are lower case without punctuation in the
  source; a capital and a final mark were added.
- **Never heard**: the voices af_kore, am_liam, bf_lily, bm_lewis; the drugs of `lexicons/clinical.yaml`; the speakers,
  characters and sentences of `assets/general/test.jsonl`. The cut scenes, whose speakers are not told apart,
  are in training; an actor may be heard in them.
- **Read in training**: the sentences of `training-text.txt`. {known} terms of the clinical lexicon occur in them
  (none is a drug); they bar those texts as a test of this base.
- **Licence**: Apache-2.0. Texts: CC BY 4.0 (PriMock57, MTS-Dialog, ACI-Bench). Voices: Kokoro-82M, Apache-2.0. Speech:
  see NOTICE and `licenses/`.
"""


if __name__ == "__main__":
    main()
