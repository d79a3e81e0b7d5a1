"""Split a folder of speech material into the general set that ships and the training manifests of the base.

    python scripts/prepare_speech.py MATERIAL

MATERIAL is a folder with real/{train,dev}.jsonl, synthetic/{train,test}.jsonl and text/sentences.jsonl. Makes
`assets/general/{test,rehearsal}.jsonl` with audio (Opus, 14 kbit/s), and `.local/base/{synthetic,real,dev}.jsonl`,
whose lines point into MATERIAL. From text/sentences.jsonl it takes what `recipes/base-speech.yaml` is to speak beside
that, `.local/base/transcripts.jsonl`. The test part holds whole speakers and characters that train nothing; a sentence
of the test part is in no training text. Every draw is by sha256 of a name, so the split is the same wherever it is
made.

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
import yaml
from tqdm import tqdm

from shoptalk.core import terms
from shoptalk.core.files import write_text
from shoptalk.corpus.lexicon import load

Row = dict[str, Any]

REAL_TEST_WORDS = {"fotaq": 3_600, "speechocean762": 2_000}
REHEARSAL_S = {"synthetic": 2_000.0, "fotaq": 1_000.0, "speechocean762": 550.0, "dctts_pm": 50.0}
DEV_UTTERANCES = 60
SPOKEN_SENTENCES = 620
SPOKEN_WORDS = range(5, 21)
HEARD_SENTENCES = {"clinical": 7_000, "prose": 6_000}
HEARD_WORDS = range(3, 23)
PROSE = re.compile(r"[A-Za-z][A-Za-z ,.'?!;:-]+")
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
    prose = _unspoken(_prose(arguments.prose), known, drugs, HEARD_WORDS)[: HEARD_SENTENCES["prose"]]
    _write(Path(".local/base/to-hear.jsonl"), _first(more + prose, len(more + prose)))
    for name, rows in base.items():
        _write(Path(f".local/base/{name}.jsonl"), [{**row, "audio_filepath": str(row["path"])} for row in rows])


def _rows(manifest: Path, *, real: bool = False) -> Iterable[Row]:
    for line in manifest.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
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


def _clinical(material: Path) -> list[Row]:
    lines = (material / "text" / "sentences.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["split"] == "train"]


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
        {"id": row["id"], "text": row["text"], "spoken": row["text"], "term_ids": [], "carrier": row["text"],
         "split": "train", "source": row["source"]}
        for row in chosen.values()
    ]  # fmt: skip


def _drugs(lexicon: Path) -> set[str]:
    """Words of the lexicon's drugs and their variants, which the base must not know."""
    if not lexicon.is_file():
        return set()
    content = yaml.safe_load(lexicon.read_text(encoding="utf-8"))
    terms = content["terms"] if isinstance(content, dict) else content
    names = [n for t in terms if t["category"] == "drug" for n in (t["text"], *t.get("variants", ()))]
    return {word for name in names for word in _key(name).split() if len(word) > 3}


def _ship(rows: list[Row], part: str, *, encode: bool) -> None:
    folder = Path("assets/general")
    lines = []
    for row in tqdm(rows, desc=part, disable=not encode):
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
