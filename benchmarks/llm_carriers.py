"""Which embedded model writes usable carriers fastest: same prompts, one thread, figures into results/llm.json.

    python benchmarks/llm_carriers.py [--seconds 120] [MODEL ...]
    python benchmarks/llm_carriers.py --read MODEL 3 17 29     # after reading: the numbers that make no clinical sense

A carrier is usable if `carriers.screen` lets it pass. The first fifty are kept in the results to be read by eye.
Seconds are CPU seconds of one thread, so that other work on the machine does not count.
"""

import argparse
import json
import time
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

from shoptalk.core import device
from shoptalk.core.models import store
from shoptalk.corpus import carriers, lexicon
from shoptalk.integrations.llm_embedded import EmbeddedLlm

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results" / "llm.json"
MODELS = ("smollm2-135m-instruct", "qwen2.5-coder-0.5b-instruct", "qwen2.5-coder-1.5b-instruct")
SEED = 7
TO_READ = 50


def measure(name: str, path: Path, seconds: float) -> dict[str, Any]:
    """Prompts 0, 1, 2 … until fifty carriers are usable or the time is up."""
    terms = lexicon.load([ROOT / "lexicons/clinical.yaml"])
    examples = carriers.read_banks([ROOT / "lexicons/carriers-clinical.jsonl"])
    llm = EmbeddedLlm(path, name=name, threads=1)
    usable: dict[str, carriers.Carrier] = {}
    reasons: Counter[str] = Counter()
    begin, number = time.process_time(), 0
    while len(usable) < TO_READ and time.process_time() - begin < seconds:
        prompt = carriers.make_prompt(number, terms, examples, seed=SEED)
        answer = llm.complete(prompt.messages, seed=SEED + number, max_tokens=carriers.MAX_TOKENS)
        for carrier in carriers.parse(answer, prompt, source=f"llm:{name}"):
            reason = carriers.screen(carrier, terms, examples)
            reasons[reason or "usable"] += 1
            if not reason:
                usable.setdefault(carrier.id.rpartition("-")[2], carrier)
        number += 1
    spent = time.process_time() - begin
    sentences = [carrier.text for carrier in usable.values()]
    openings = Counter(carriers.opening(text) for text in sentences)
    return {
        "prompts": number,
        "cpu_seconds": round(spent, 1),
        "usable": len(sentences),
        "usable_per_cpu_minute": round(60 * len(sentences) / spent, 1),
        "sentences_written": reasons.total(),
        "reasons": dict(reasons.most_common()),
        "most_common_opening_share": round(openings.most_common(1)[0][1] / len(sentences), 3) if sentences else None,
        "sentences": sentences[:TO_READ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(MODELS))
    parser.add_argument("--seconds", type=float, default=120.0, help="per model")
    parser.add_argument("--read", action="store_true", help="record MODEL and its implausible sentences, from 1")
    options = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {"models": {}}
    if options.read:
        name, *numbers = options.models
        entry = results["models"][name]
        entry["implausible"] = [int(number) for number in numbers]
        entry["plausible_share"] = round(1 - len(numbers) / len(entry["sentences"]), 3)
        entry["plausible_per_cpu_minute"] = round(entry["usable_per_cpu_minute"] * entry["plausible_share"], 1)
    else:
        for name in options.models:
            figures = measure(name, store.path(name), options.seconds)
            results["models"][name] = _circumstances(name, options.seconds) | figures
            print(name, {key: v for key, v in results["models"][name].items() if key != "sentences"}, flush=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def _circumstances(name: str, seconds: float) -> dict[str, Any]:
    return {
        "command": f"python benchmarks/llm_carriers.py {name} --seconds {seconds:g}",
        "date": date.today().isoformat(),
        **device.machine(),
        "threads": 1,
    }


if __name__ == "__main__":
    main()
