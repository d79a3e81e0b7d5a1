"""Whether examples from a domain's own texts make a small model write better carriers: two arms, one thread each.

    python benchmarks/llm_domain_texts.py TEXT … [--model MODEL] [--count 40] [--arms none texts]
    python benchmarks/llm_domain_texts.py --read none 3 17 29     # after reading: the numbers that fail the rubric

Both arms write for the clinical lexicon, without a bank. One is shown sentences of other trades, the other what is
retrieved from TEXT. Seconds are CPU seconds, so that other work on the machine does not count; loading the model does
not count, reading the texts does. Figures and the sentences that were read go to results/llm-texts.json.
"""

import argparse
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from shoptalk.core import device
from shoptalk.core.models import store
from shoptalk.core.records import Term
from shoptalk.corpus import lexicon
from shoptalk.corpus.domain_texts import DomainTexts, read_texts
from shoptalk.corpus.planned_carriers import Writer, write_planned
from shoptalk.corpus.proposals import CLINIC_CATEGORIES, CLINIC_CONTEXTS, CLINICAL, Proposed
from shoptalk.corpus.transcripts import place_of_term
from shoptalk.integrations.llm_embedded import EmbeddedLlm

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results" / "llm-texts.json"
SEED = 7


def measure(llm: EmbeddedLlm, terms: list[Term], paths: list[Path], count: int) -> dict[str, Any]:
    """So many carriers, shared out among the clinic's categories."""
    share, rest = divmod(count, len(CLINIC_CATEGORIES))
    counts = {category: share + (place < rest) for place, category in enumerate(CLINIC_CATEGORIES)}
    refused: Counter[str] = Counter()
    begin = time.process_time()
    texts = DomainTexts(read_texts(paths))
    writer = Writer(llm, Proposed(CLINICAL, {}, CLINIC_CONTEXTS), terms, (), texts, SEED, refused)
    carriers = list(write_planned(writer, counts, done=()))
    spent = time.process_time() - begin
    return {
        "texts": len(texts),
        "cpu_seconds": round(spent, 1),
        "usable": len(carriers),
        "usable_per_cpu_minute": round(60 * len(carriers) / spent, 2),
        "refused": dict(refused.most_common()),
        "place_of_term": dict(Counter(place_of_term(carrier.text) for carrier in carriers)),
        "median_words": sorted(len(carrier.text.split()) for carrier in carriers)[len(carriers) // 2],
        "sentences": [carrier.text for carrier in carriers],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="*", help="plain texts or JSONL of the domain")
    parser.add_argument("--model", default="qwen2.5-coder-1.5b-instruct")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--arms", nargs="+", default=["none", "texts"], choices=["none", "texts"])
    parser.add_argument("--read", choices=["none", "texts"], help="record the numbers, from 1, that fail the rubric")
    options = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {"arms": {}}
    if options.read:
        entry = results["arms"][options.read]
        entry["implausible"] = [int(number) for number in options.texts]
        entry["plausible_share"] = round(1 - len(options.texts) / len(entry["sentences"]), 3)
        entry["plausible_per_cpu_minute"] = round(entry["usable_per_cpu_minute"] * entry["plausible_share"], 2)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    else:
        llm = EmbeddedLlm(store.path(options.model), name=options.model, temperature=0.6, threads=1)
        terms = lexicon.load([ROOT / "lexicons/clinical.yaml"])
        names = " ".join(Path(text).name for text in options.texts)
        results |= {"command": f"python benchmarks/llm_domain_texts.py {names}", **device.machine(), "model": llm.name}
        for arm in options.arms:
            paths = [Path(text) for text in options.texts] if arm == "texts" else []
            results["arms"][arm] = measure(llm, terms, paths, options.count)
            print(arm, {key: value for key, value in results["arms"][arm].items() if key != "sentences"}, flush=True)
            RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
