"""Phoneme errors of eSpeak alone and of drug stems with eSpeak, against the pronunciations of the shipped lexicon.

    python benchmarks/pronunciation.py [results/pronunciation.json]

The rules of `corpus/stems.py` were written while one half of the lexicon's drugs was looked at (`looked_at`). The other
half (`held_out`) was not, but that the first lines of the file, with some of them, had been read before. The sha256 of
the id draws the half. Sounds are compared as Kokoro is told them, once without stress and once with it. The reference
is the IPA of `lexicons/clinical.yaml`: one transcription by hand, in the symbols of eSpeak.
"""

import argparse
import hashlib
import json
import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from rapidfuzz.distance import Levenshtein

from shoptalk.core import device, files
from shoptalk.core.records import Term
from shoptalk.corpus import lexicon, stems
from shoptalk.integrations import espeak
from shoptalk.integrations.kokoro_phonemes import from_ipa, from_text

LEXICON = Path(__file__).parents[1] / "lexicons" / "clinical.yaml"
STRESSES = "ˈˌ"
ALIKE = {"T": "t", "ᵊ": "ə"}
"""Sounds that no dictionary tells apart: a flap, and a schwa before l, m and n."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", type=Path, nargs="?", default=Path("results/pronunciation.json"))
    arguments = parser.parse_args()
    halves: dict[str, list[Term]] = {"looked_at": [], "held_out": []}
    for term in lexicon.load([LEXICON]):
        if term.ipa and term.category == "drug":
            halves[half_of(term)].append(term)
    result = {
        "command": "python benchmarks/pronunciation.py",
        "date": f"{date.today()}",
        "machine": device.machine(),
        "load_average": round(os.getloadavg()[0], 2),
        "lexicon_sha256": files.file_digest(LEXICON),
        "rules": len(stems.STEMS),
        **{name: measured(terms) for name, terms in halves.items()},
    }
    files.write_text(arguments.target, json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    print(json.dumps(result, indent=1, ensure_ascii=False))


def half_of(term: Term) -> str:
    digest = int(hashlib.sha256(term.id.encode()).hexdigest(), 16)
    return "held_out" if digest % 2 else "looked_at"


def measured(terms: Sequence[Term]) -> dict[str, Any]:
    """The error rates of the terms that a rule knows; the others are spoken by eSpeak either way."""
    known = [term for term in terms if stems.stem_of(term.text)]
    references = [as_spoken(term.ipa[0]) for term in known]
    by_espeak = [alike(from_text(term.text, "en-us", {})) for term in known]
    by_stems = [as_spoken(stems.pronounce(term.text, espeak.ipa) or "") for term in known]
    return {
        "drugs": len(terms),
        "with_a_stem": len(known),
        "espeak": error_rates(references, by_espeak),
        "stems_and_espeak": error_rates(references, by_stems),
        "worse_by_stems": worse(known, references, by_espeak, by_stems),
    }


def as_spoken(ipa: str) -> str:
    return alike(from_ipa(ipa, "en-us"))


def alike(sounds: str) -> str:
    for symbol, other in ALIKE.items():
        sounds = sounds.replace(symbol, other)
    return sounds


def error_rates(references: Sequence[str], hypotheses: Sequence[str]) -> dict[str, Any]:
    """Phoneme error rate without and with stress marks, and how many terms have the stress on the right vowel."""
    plain_pairs = [(without_stress(a), without_stress(b)) for a, b in zip(references, hypotheses, strict=True)]
    marked_pairs = list(zip(references, hypotheses, strict=True))
    return {
        "phoneme_error_rate": rate(plain_pairs),
        "with_stress": rate(marked_pairs),
        "primary_stress_right": sum(stressed_vowel(a) == stressed_vowel(b) for a, b in marked_pairs),
        "wholly_right": sum(a == b for a, b in marked_pairs),
    }


def rate(pairs: Sequence[tuple[str, str]]) -> float:
    errors = sum(Levenshtein.distance(reference, hypothesis) for reference, hypothesis in pairs)
    return round(errors / sum(len(reference) for reference, _ in pairs), 4)


def without_stress(sounds: str) -> str:
    return sounds.translate(dict.fromkeys(map(ord, STRESSES)))


def stressed_vowel(sounds: str) -> int:
    """How many vowels follow the primary stress: stems are counted from the end."""
    return sum(sound in "AIOQWYaeiouæɑəɔɛɜɪʊʌ" for sound in sounds.rpartition("ˈ")[2])


def worse(
    terms: Sequence[Term], references: Sequence[str], by_espeak: Sequence[str], by_stems: Sequence[str]
) -> list[str]:
    """The drugs that have more errors by their stem than by eSpeak, stress included."""
    names = []
    for term, reference, plain, stem in zip(terms, references, by_espeak, by_stems, strict=True):
        if Levenshtein.distance(reference, stem) > Levenshtein.distance(reference, plain):
            names.append(term.text)
    return names


if __name__ == "__main__":
    main()
