"""Names of the test sets, and the fixed lists of stage 50: which there are, and what pins them."""

import hashlib
import json
from collections.abc import Iterable

from shoptalk.core.records import Example

TAUGHT, UNTAUGHT, GENERAL = "taught", "untaught", "general"
TESTS = (TAUGHT, UNTAUGHT, GENERAL)
"""The fixed test sets: trained terms, held-out terms, general speech; each has its manifest ``test-NAME.jsonl``."""
NOISY, SILENCE, LONG = "noisy", "silence", "long"
"""The sets that stage 70 makes: trained terms under noise, recordings without speech, long recordings.

The first two are not scored as sets: the one is a curve over SNR, in the other nobody speaks. In the third the
sentences of the others come again.
"""
TEST_LISTS = "test-lists.json"
"""In product 50: the sha256 of each fixed list, written before anything is trained."""


def digest(examples: Iterable[Example]) -> str:
    """sha256 of what is asked of a test set: ids, texts, terms and voices, not the bytes of the audio."""
    content = [[example.id, example.text, example.term_ids, example.voice] for example in examples]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()


def noisy_id(clean: str, snr_db: float) -> str:
    """The id of a sentence under noise."""
    return f"{clean}@{snr_db:g}dB"


def clean_id(noisy: str) -> str:
    """The id of the same sentence without noise."""
    return noisy.rpartition("@")[0]


def condition_set(condition: str) -> str:
    """The set of sentences with trained terms under a condition of `draws.CONDITIONS`."""
    return f"{TAUGHT}-{condition}"
