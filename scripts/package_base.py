"""Put a trained base into models/: half-precision `.nemo`, training texts, scores in results/base.json, and its card.

    python scripts/package_base.py runs/base-tiny tiny
    python scripts/package_base.py OUT tiny --packs FOLDER ... [--earlier OUT]

Everything that trains is read from the run's recipe; for a training of scripts/train_base_timed.py in OUT, from the
packs, with the texts of the base that it went on from, which is the one that ships until now. `--earlier` names a
training between that base and OUT, on part of the same packs. Training texts with a drug of the lexicon or a sentence
of the general test part are refused; which other terms of the lexicon the base has read is noted.
"""

import argparse
import json
import lzma
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from score_base import publish_scores

from shoptalk.core import config, terms
from shoptalk.core.examples import read_manifest
from shoptalk.core.files import file_sha256, write_bytes, write_text
from shoptalk.core.recordings import FEATURES
from shoptalk.core.records import Example
from shoptalk.core.tables import read_text
from shoptalk.core.tokens import HOP_S
from shoptalk.corpus.lexicon import load
from shoptalk.integrations import nemo
from shoptalk.release.packaging import write_nemo
from shoptalk.tuning.packing import Pack

TEXTS = "training-text.txt.xz"
TESTS = {
    "unheard_voices": "Kokoro, 240 sentences in four voices, none of them trained on",
    "other_engine": "the same sentences by Piper, voice joe",
    "real_native": "game characters (acted, native English), whole characters held out",
    "real_learners": "learners of English (Mandarin L1, half of them children), whole speakers held out",
    "real": "the two above together",
    "noise_20db": "unheard voices, noise at 20 dB",
    "noise_10db": "unheard voices, noise at 10 dB",
    "noise_5db": "unheard voices, noise at 5 dB",
    "telephone": "unheard voices, telephone band and mu-law",
    "real_noise_20db": "real speech, noise at 20 dB",
    "real_noise_10db": "real speech, noise at 10 dB",
    "real_noise_5db": "real speech, noise at 5 dB",
    "real_telephone": "real speech, telephone band and mu-law",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="run folder of `shoptalk train`, or OUT of a timed training")
    parser.add_argument("size", choices=("tiny", "small"))
    parser.add_argument("--packs", type=Path, nargs="+", help="folders of packs that OUT was trained on")
    parser.add_argument("--earlier", type=Path, nargs="*", default=[], help="timed trainings that OUT went on from")
    arguments = parser.parse_args()
    name = f"shoptalk-base-en-{arguments.size}"
    folder = Path("models") / name
    target = folder / f"{name}.nemo"
    made = timed(arguments.run, arguments.packs, folder) if arguments.packs else trained(arguments.run)
    known = known_terms(made.texts)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as written:
        nemo.save(nemo.restore(made.tuned), Path(written) / "half.nemo", half=True)
        write_nemo(Path(written) / "half.nemo", target)
    text = "\n".join(sorted(made.texts)) + "\n"
    write_bytes(folder / TEXTS, lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    histories = [*(json.loads((out / "history.json").read_text()) for out in arguments.earlier), made.history]
    made_of = {
        "training_hours": made.hours,
        "steps": sum(history[-1]["step"] for history in histories),
        "hours_seen": round(sum(history[-1]["hours"] for history in histories), 1),
        "known_terms": known,
    }
    scores = publish_scores(arguments.size, target, made_of)
    write_text(folder / "README.md", card(name, made.recipe, scores, file_sha256(target)))


class Made(NamedTuple):
    """What a training was made of, and what came out."""

    tuned: Path
    recipe: str
    texts: set[str]
    hours: dict[str, float]
    history: list[dict[str, float]]


def trained(run: Path) -> Made:
    """A training of `shoptalk train`."""
    made_by = json.loads((run / "recipe.json").read_text())
    train = config.load(Path(made_by["recipe"]), tuple(made_by["set"])).train
    grown = [path for pattern in train.growing_manifests for path in sorted(Path().glob(pattern))]
    rows = [row for path in (*train.manifests, *grown, *train.rehearsal_manifests) for row in read_manifest(path)]
    history = json.loads((run / "60-train" / "history.json").read_text())
    texts = {row.text for row in rows}
    return Made(run / "60-train" / "tuned.nemo", f"recipes/{run.name}.yaml", texts, hours(rows), history)


def timed(out: Path, packs: Sequence[Path], before: Path) -> Made:
    """A training of scripts/train_base_timed.py, whose weights were exported to `out`/tuned.nemo."""
    total = dict.fromkeys(("real", "synthetic", "synthetic_features"), 0.0)
    texts = set(read_text(before / TEXTS).splitlines())
    kinds = {"real": "real", "vocoded": "synthetic", "spoken": "synthetic_features"}
    for path in sorted(path for folder in packs for path in folder.glob("*.pack")):
        kind = kinds.get(path.stem.partition("-")[0], "")
        for row in Pack.read(path).recordings if kind else ():
            texts.add(row.text)
            total[kind] += row.frames * HOP_S / 3600
    rounded = {kind: round(value, 2) for kind, value in total.items()}
    history = json.loads((out / "history.json").read_text())
    return Made(out / "tuned.nemo", "recipes/base-tiny-timed.yaml", texts, rounded, history)


def hours(rows: list[Example]) -> dict[str, float]:
    """Hours of real speech, of synthetic speech, and of synthetic speech that exists as features only."""
    total = dict.fromkeys(("real", "synthetic", "synthetic_features"), 0.0)
    for row in rows:
        kind = "real" if row.source != "synthetic" else "synthetic"
        total[kind + "_features" * (row.audio.suffix == FEATURES)] += row.duration_s / 3600
    return {kind: round(value, 2) for kind, value in total.items()}


def known_terms(texts: set[str]) -> list[str]:
    """Ids of the lexicon's terms in the training texts; ends the program if one is a drug or a text is tested with."""
    lexicon = {term.id: term for term in load([Path("lexicons/clinical.yaml")])}
    known = terms.occurring(list(lexicon.values()), texts)
    tested = {row.text for row in read_manifest(Path("assets/general/test.jsonl"))}
    if leaks := sorted({one for one in known if lexicon[one].category == "drug"} | tested & texts):
        raise SystemExit(f"in the training texts, where they must not be: {', '.join(leaks)}")
    return sorted(known)


def card(name: str, recipe: str, facts: dict[str, Any], sha256: str) -> str:
    """The model card, with what was measured."""
    table = "\n".join(
        f"| {about} | {one['words']:,} | {100 * one['value']:.1f} % [{100 * one['low']:.1f}, {100 * one['high']:.1f}] |"
        for test, about in TESTS.items()
        if (one := facts[f"wer_{test}"])
    )
    heard, starts, known = facts["training_hours"], facts["word_start_error_ms"], len(facts["known_terms"])
    invented = facts["invented_words_per_minute"]
    return f"""# {name}

A FastConformer-TDT of Parakeet's structure at smaller widths, {facts["parameters"] / 1e6:.1f} M parameters, English
with case and punctuation, 16 kHz. It exists so that everything Shoptalk does can be shown and tested on a laptop where
no model hub can be reached. **It is not a recogniser for use**: it is small, and it has heard little real speech.

| test (unheard in training) | words | WER [95 % interval] |
|---|---|---|
{table}

With a beam of 4: {100 * facts["wer_unheard_voices_beam"]["value"]:.1f} % in unheard voices,
{100 * facts["wer_real_beam"]["value"]:.1f} % on real speech. In silence, tones and noise it invents
{invented["value"]:.1f} words a minute; {invented["with_vad"]:.1f} with the VAD, which is on by default.

Word starts: {starts["value"]:.0f} ms [{starts["low"]:.0f}, {starts["high"]:.0f}] off in the median, against the times
at which Kokoro says {starts["words"]:,} rightly heard words. By
`{facts["command"]}`, {facts["date"]}; figures in `results/base.json`.

- **Weights**: `{name}.nemo`, float16, sha256 `{sha256}`. NeMo restores it into float32.
- **Training**: as [models/README.md](../README.md) says, ending with `{recipe}`, {facts["steps"]:,} steps
  and {facts["hours_seen"]:,.0f} hours seen, on {heard["synthetic"]:.1f} hours of Kokoro-82M speech,
  {heard["synthetic_features"]:.1f} hours of it that exist as log-mel features only (a decoder of our own takes the
  place of Kokoro's vocoder), and {heard["real"]:.1f} hours of real speech (speechocean762, *Flight of the Amazon
  Queen*, readers of LibriSpeech, LJSpeech and another reader of its texts). The real texts are lower case without
  punctuation in the source; a capital and a final mark were added.
- **Never heard**: the voices af_kore, am_liam, bf_lily, bm_lewis; the drugs of `lexicons/clinical.yaml`; the speakers,
  characters and sentences of `assets/general/test.jsonl`. The cut scenes, whose speakers are not told apart,
  are in training; an actor may be heard in them.
- **Read in training**: the sentences of `training-text.txt.xz`. {known} terms of the clinical lexicon occur in them
  (none is a drug); they bar those texts as a test of this base.
- **Licence**: Apache-2.0. Texts: CC BY 4.0 (PriMock57, MTS-Dialog, ACI-Bench), WordNet 3.0 licence (examples of its
  entries). Texts of everyday sentences: CC0. Voices:
  Kokoro-82M, Apache-2.0. Speech, LibriSpeech (CC BY 4.0) among it: see NOTICE and `licenses/`.
"""


if __name__ == "__main__":
    main()
