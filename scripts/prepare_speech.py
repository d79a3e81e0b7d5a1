"""Split a folder of speech material into the general set that ships and the training manifests of the base.

    python scripts/prepare_speech.py MATERIAL

MATERIAL is a folder with real/{train,dev,train-more}.jsonl, synthetic/{train,test}.jsonl,
text/{sentences,general}.jsonl and noise/manifest.jsonl. Makes `assets/general/{test,rehearsal}.jsonl` with audio
(Opus, 14 kbit/s), and `.local/base/{synthetic,real,dev,real-more,dev-more}.jsonl`, whose lines point into MATERIAL. The
lists with `more` are those of `recipes/base-tiny-more.yaml`: they take in real/train-more.jsonl, and hold out whole
speakers of every source of several for dev. The test part holds whole speakers and characters that train nothing; a
sentence of the test part is in no training text. Every draw is by sha256 of a name, so the split is the same wherever
it is made.

`.local/base/noise.jsonl` has the noise that ships for training, and more clips of ESC-10, of the folds that no test
takes from.

What is to be spoken: `.local/base/transcripts.jsonl` for `recipes/base-speech.yaml`, `.local/base/to-hear.jsonl` for
`speak_features.py`, and for it too all the rest of the texts, with sentences of numbers drawn by `corpus/numerals.py`,
in parts of 2,000: `.local/base/parts/000.jsonl` and so on. Each part is a mixture of all texts.

The real recordings are written in lower case without punctuation; a model that is to write case and punctuation must
not unlearn it from them, so `as_written` gives their texts a capital, "I" and a final mark.
"""

import argparse
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import av
import numpy as np
import yaml

from shoptalk.core import terms
from shoptalk.core.files import file_sha256, read_lines, write_text
from shoptalk.core.progress import progress
from shoptalk.corpus.lexicon import load
from shoptalk.corpus.numerals import sentence

Row = dict[str, Any]

REAL_TEST_WORDS = {"fotaq": 3_600, "speechocean762": 2_000}
REHEARSAL_S = {"synthetic": 2_000.0, "fotaq": 1_000.0, "speechocean762": 550.0, "dctts_pm": 50.0}
DEV_UTTERANCES = 60
SPOKEN_SENTENCES = 620
SPOKEN_WORDS = range(5, 21)
HEARD_SENTENCES = {"clinical": 7_000, "prose": 6_000}
HEARD_WORDS = range(3, 23)
PART_WORDS = range(2, 27)
PART_SENTENCES = 2_000
SENTENCES_WITH_NUMBERS = 8_000
DEV_SPEAKERS = {"librispeech": 2, "fotaq": 6, "speechocean762": 6}
"""Held out of `recipes/base-tiny-more.yaml`, of each source; the others have one speaker."""
ESC_FOLD = re.compile(r"[1-5](?=-\d+-[A-Z]$)")
PROSE = re.compile(r"[A-Za-z][A-Za-z ,.'?!;:-]+")
WORDLESS_SPEAKER = "fotaq_dog_APE"  # what it calls out is not English
MIXED_SPEAKERS = {"fotaq_cut", "fotaq_JOE"}  # cut scenes by many characters, and the player's: never held out
QUESTION = re.compile(
    r"^(what|who|whose|where|when|why|how|do|does|did|are|is|am|can|could|would|will|have|has|should)\b"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("material", type=Path)
    parser.add_argument("--lists-only", action="store_true", help="make no audio for assets/general")
    parser.add_argument("--prose", type=Path, default=Path("/usr/share/wordnet"),
                        help="WordNet's data files, whose examples are spoken too (Debian: wordnet-base)")  # fmt: skip
    arguments = parser.parse_args()
    material = arguments.material.resolve()
    real = list(_rows(material / "real" / "train.jsonl", real=True))
    synthetic = list(_rows(material / "synthetic" / "train.jsonl"))
    test = _held_out(real) + list(_rows(material / "synthetic" / "test.jsonl"))
    speakers = {row["speaker"] for row in test}
    said = {_key(row["text"]) for row in test}
    drugs = _drugs(Path("lexicons/clinical.yaml"))

    def unheard(row: Row) -> bool:
        return row["speaker"] not in speakers and _key(row["text"]) not in said

    train = [row for row in real + synthetic if unheard(row) and not drugs & set(_key(row["text"]).split())]
    real_dev = [row for row in _rows(material / "real" / "dev.jsonl", real=True) if unheard(row)]
    spoken = [row for row in train if row["source"] == "synthetic"]
    dev = _first(real_dev, DEV_UTTERANCES) + _first(spoken, DEV_UTTERANCES)
    kept = {_key(row["text"]) for row in dev}
    train = [row for row in train if _key(row["text"]) not in kept]
    rehearsal = _rehearsal(train)
    _ship(test, "test", encode=not arguments.lists_only)
    _ship(rehearsal, "rehearsal", encode=not arguments.lists_only)
    base = {
        "synthetic": [row for row in train if row["source"] == "synthetic"],
        "real": [row for row in train if row["source"] != "synthetic"],
        "dev": dev,
    }
    known = said | kept | {_key(row["text"]) for row in train}
    clinical = _unspoken(_clinical(material), known, drugs, SPOKEN_WORDS)[:SPOKEN_SENTENCES]
    _write(Path(".local/base/transcripts.jsonl"), clinical)
    known |= {_key(row["text"]) for row in clinical}
    more = _unspoken(_clinical(material), known, drugs, HEARD_WORDS)[: HEARD_SENTENCES["clinical"]]
    examples = _prose(arguments.prose)
    prose = _unspoken(examples, known, drugs, HEARD_WORDS)[: HEARD_SENTENCES["prose"]]
    to_hear = _first(more + prose, len(more + prose))
    _write(Path(".local/base/to-hear.jsonl"), to_hear)

    more_real = [row for row in _rows(material / "real" / "train-more.jsonl", real=True) if unheard(row)]
    more_real = [row for row in more_real if not drugs & set(_key(row["text"]).split())]
    base["real-more"], real_dev = _with_dev_speakers(base["real"] + more_real)
    base["dev-more"] = real_dev + [row for row in dev if row["source"] == "synthetic"]
    known |= {_key(row["text"]) for row in to_hear + more_real}
    texts = _clinical(material) + examples + _general(material) + _with_numbers()
    terms_named = _terms_of(Path("lexicons/clinical.yaml"))
    texts = [row for row in texts if not terms_named.search(_key(row["text"]))]
    _write_parts(_unspoken(texts, known, drugs, PART_WORDS))
    _write(Path(".local/base/noise.jsonl"), _noise(material))
    for name, rows in base.items():
        _write(Path(f".local/base/{name}.jsonl"), [{**row, "audio_filepath": str(row["path"])} for row in rows])


def _rows(manifest: Path, *, real: bool = False) -> Iterable[Row]:
    for row in read_lines(manifest):
        name = row["audio_filepath"]
        yield {
            "id": Path(name).stem,
            "path": manifest.parent / name,
            "duration": row["duration"],
            "text": as_written(row["text"]) if real else row["text"],
            "speaker": row.get("speaker") or row["voice"],
            "source": row["source"] if real else "synthetic",
            **({"speed": row["speed"]} if "speed" in row else {}),
        }


def as_written(text: str) -> str:
    """A lower-case text with a capital, "I" and a final mark."""
    text = re.sub(r"\bi\b", "I", text.strip()).rstrip(".?!;:,- ")
    return text[:1].upper() + text[1:] + ("?" if QUESTION.match(text) else ".")


def _key(text: str) -> str:
    """What makes two sentences the same."""
    return re.sub(r"[^a-z0-9' ]", "", text.lower()).strip()


def _order(name: str) -> str:
    return hashlib.sha256(f"shoptalk:{name}".encode()).hexdigest()


def _held_out(rows: list[Row]) -> list[Row]:
    """Whole speakers of each real source, in the order of their sha256, until there are enough words."""
    chosen: list[Row] = []
    for source, wanted in REAL_TEST_WORDS.items():
        by_speaker: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            if row["source"] == source and row["speaker"] not in MIXED_SPEAKERS:
                by_speaker[row["speaker"]].append(row)
        words = 0
        for speaker in sorted(by_speaker, key=_order):
            if words >= wanted:
                break
            chosen += by_speaker[speaker]
            words += sum(len(row["text"].split()) for row in by_speaker[speaker])
    return chosen


def _with_dev_speakers(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """(train, dev): dev has `DEV_UTTERANCES` of each source of several speakers, whose speakers are not in train.

    A sentence of dev that another speaker says stays in train if it has fewer than four words: "yes" is no leak.
    """
    held_out: set[str] = set()
    dev: list[Row] = []
    for source, count in DEV_SPEAKERS.items():
        speakers = {row["speaker"] for row in rows if row["source"] == source}
        speakers -= {*MIXED_SPEAKERS, WORDLESS_SPEAKER}
        chosen = set(sorted(speakers, key=lambda speaker: _order(f"dev:{speaker}"))[:count])
        dev += _first([row for row in rows if row["speaker"] in chosen], DEV_UTTERANCES)
        held_out |= chosen
    texts = {_key(row["text"]) for row in dev if len(row["text"].split()) > 3}
    return [row for row in rows if row["speaker"] not in held_out and _key(row["text"]) not in texts], dev


def _first(rows: list[Row], count: int) -> list[Row]:
    return sorted(rows, key=lambda row: _order(row["id"]))[:count]


def _rehearsal(rows: list[Row]) -> list[Row]:
    """Recordings of each source that name no term of the lexicon: which of them a run will not teach is its own."""
    lexicon = load([Path("lexicons/clinical.yaml")])
    chosen: list[Row] = []
    for source, seconds in REHEARSAL_S.items():
        total = 0.0
        for row in _first([row for row in rows if row["source"] == source and row["duration"] < 10], len(rows)):
            if total >= seconds:
                break
            if not terms.occurring(lexicon, [row["text"]]):
                total += row["duration"]
                chosen.append(row)
    return chosen


def _noise(material: Path) -> list[Row]:
    """A noise manifest: what ships for training, and the clips of ESC-10 of folds without a clip that tests."""
    shipped = Path("assets/noise/manifest.jsonl")
    rows = [row for row in read_lines(shipped) if row["kind"] == "noise"]
    tested = {fold[0] for row in rows if row["split"] == "test" and (fold := ESC_FOLD.search(row["id"]))}
    kept = [{**row, "audio": str((shipped.parent / row["audio"]).resolve())} for row in rows if row["split"] == "train"]
    ids = {row["id"].partition("-")[2] for row in kept}
    for row in read_lines(material / "noise" / "manifest.jsonl"):
        path = material / "noise" / row["audio_filepath"]
        fold = ESC_FOLD.search(path.stem)
        if path.name.startswith("esc10_") and fold and fold[0] not in tested and fold.string[fold.start() :] not in ids:
            pinned = {"kind": "noise", "split": "train", "sha256": file_sha256(path)}
            kept.append({"id": path.stem, "audio": str(path), **pinned})
    return kept


def _clinical(material: Path) -> list[Row]:
    return [row for row in read_lines(material / "text" / "sentences.jsonl") if row["split"] == "train"]


def _general(material: Path) -> list[Row]:
    """Everyday, proverb and book sentences; where a clause was cut off, its comma before the point goes."""
    return [{**row, "text": _tidy(row["text"])} for row in read_lines(material / "text" / "general.jsonl")]


def _tidy(text: str) -> str:
    text = "".join(character for character in text if character.isprintable())
    return re.sub(r"[,;:\s]+([.?!,])", r"\1", re.sub(r"\s+", " ", text)).strip()


def _with_numbers() -> list[Row]:
    """Sentences with numbers, doses, dates and acronyms: written with digits, spoken in words."""
    drawn = {}
    for number in range(SENTENCES_WITH_NUMBERS):
        name = f"numerals-{number:05}"
        made = sentence(np.random.default_rng(list(name.encode())))
        row = {"id": name, "text": made.written, "spoken": made.spoken, "source": "numerals"}
        drawn.setdefault(made.written, row)
    return list(drawn.values())


def _write_parts(rows: list[Row]) -> None:
    """Write what is to be spoken in parts of `PART_SENTENCES`; `_unspoken` has mixed the texts."""
    for start in range(0, len(rows), PART_SENTENCES):
        _write(Path(f".local/base/parts/{start // PART_SENTENCES:03}.jsonl"), rows[start : start + PART_SENTENCES])
    print(f"{len(rows)} sentences to be spoken, in parts of {PART_SENTENCES}")


def _prose(wordnet: Path) -> list[Row]:
    """The sentences and phrases that WordNet's entries give as examples."""
    files = sorted(wordnet.glob("data.*"))
    if not files:
        raise SystemExit(f"{wordnet}: no data.* of WordNet; install Debian's wordnet-base or name it with --prose")
    found = {
        example
        for file in files
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines()
        for example in re.findall(r'"([^"]+)"', line.partition("|")[2])
        if PROSE.fullmatch(example)
    }
    return [{"id": f"wn-{_order(text)[:12]}", "text": as_written(text), "source": "wordnet"} for text in found]


def _unspoken(rows: list[Row], known: set[str], drugs: set[str], lengths: range) -> list[Row]:
    """Transcripts of the sentences that nobody has spoken yet and that name no drug, in the order of `_first`."""
    chosen: dict[str, Row] = {}
    for row in _first(rows, len(rows)):
        words = _key(row["text"]).split()
        if len(words) in lengths and not drugs & set(words) and " ".join(words) not in known:
            chosen.setdefault(" ".join(words), row)
    return [
        {
            "id": row["id"],
            "text": row["text"],
            "spoken": row.get("spoken", row["text"]),
            "term_ids": [],
            "carrier": row["text"],
            "split": "train",
            "source": row["source"],
        }
        for row in chosen.values()
    ]


def _drugs(lexicon: Path) -> set[str]:
    """Words of the lexicon's drugs and their variants, which the base must not know."""
    if not lexicon.is_file():
        return set()
    content = yaml.safe_load(lexicon.read_text(encoding="utf-8"))
    terms = content["terms"] if isinstance(content, dict) else content
    names = [n for t in terms if t["category"] == "drug" for n in (t["text"], *t.get("variants", ()))]
    return {word for name in names for word in _key(name).split() if len(word) > 3}


def _terms_of(lexicon: Path) -> re.Pattern[str]:
    """Finds any term of the lexicon in a `_key`, so that the many new texts make no more terms known to the base."""
    names = {_key(form) for term in load([lexicon]) for form in (term.text, *term.variants)}
    longest_first = sorted(names, key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, longest_first))})s?\b")


def _ship(rows: list[Row], part: str, *, encode: bool) -> None:
    folder = Path("assets/general")
    lines = []
    for row in progress(rows, part, total=len(rows)):
        name = f"{part}/{row['source']}/{row['id']}.opus"
        if encode and not (folder / name).is_file():
            _encode(row["path"], folder / name)
        shown = {key: row[key] for key in ("duration", "text", "speaker", "source")}
        lines.append({"id": row["id"], "audio_filepath": name, **shown})
    _write(folder / f"{part}.jsonl", lines)
    print(f"{part}: {len(rows)} utterances, {sum(len(r['text'].split()) for r in rows)} words, "
          f"{sum(r['duration'] for r in rows) / 60:.1f} min")  # fmt: skip


def _write(path: Path, rows: list[Row]) -> None:
    lines = [json.dumps({key: value for key, value in row.items() if key != "path"}) for row in rows]
    write_text(path, "".join(f"{line}\n" for line in lines))


def _encode(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(source)) as reader, av.open(str(target), "w", format="ogg") as writer:
        stream = writer.add_stream("libopus", rate=16_000, layout="mono")
        stream.bit_rate = 14_000
        stream.options = {"application": "voip", "frame_duration": "60"}
        resampler = av.AudioResampler(format="s16", layout="mono", rate=16_000)
        for frame in reader.decode(audio=0):
            for out in resampler.resample(frame):
                writer.mux(stream.encode(out))
        for out in resampler.resample(None):
            writer.mux(stream.encode(out))
        writer.mux(stream.encode(None))


if __name__ == "__main__":
    main()
