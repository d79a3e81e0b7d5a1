"""All that can be measured of the engine on this machine, in one command; writes results/engine.json.

    python benchmarks/engine [--only-sum]

Runs `cpu.py` (speed beside NeMo, onnx-asr and sherpa-onnx) and `accuracy.py` (the word error rate of every way of
hearing), and sums up what they and `gpu.py`, on a machine with a GPU, wrote. `--only-sum` sums up what is there.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = Path("results")
LOAD = "16 x 10 s"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only-sum", action="store_true")
    if not parser.parse_args().only_sum:
        for script in ("cpu.py", "accuracy.py"):
            subprocess.run([sys.executable, str(HERE / script)], check=True)
    cpu = json.loads((RESULTS / "engine-cpu.json").read_text())
    accuracy = json.loads((RESULTS / "engine-accuracy.json").read_text())
    gpu = RESULTS / "engine_gpu.json"
    found = {
        "command": "python benchmarks/engine",
        "date": f"{date.today()}",
        "machine": cpu["machine"],
        "cpu": {**fastest(cpu["base"]), "cores": cpu["threads"], "isa": cpu["isa"], "load": LOAD, "model": "base tiny"}
        | {"parakeet_shape": fastest(cpu["parakeet"])},
        "gpu": json.loads(gpu.read_text()) if gpu.is_file() else None,
        "wer": errors(accuracy),
    }
    (RESULTS / "engine.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def fastest(variants: Mapping[str, Any]) -> dict[str, Any]:
    """The fastest way of the engine and the fastest peer on one load, audio-seconds in a second."""
    rates = {name: one["loads"][LOAD]["rtfx"] for name, one in variants.items() if "loads" in one}
    own = max((name for name in rates if name.startswith("shoptalk")), key=lambda name: rates[name])
    peer = max((name for name in rates if not name.startswith("shoptalk")), key=lambda name: rates[name])
    return {"rtfx": rates[own], "variant": own, "rtfx_best_peer": rates[peer], "best_peer": peer, "all": rates}


def errors(accuracy: Mapping[str, Any]) -> dict[str, Any]:
    """Word error rates in percent with bounds: unheard voices, and the same joined to long recordings."""
    voices, joined = accuracy["voices"], accuracy["joined"]
    return {
        **{way: voices[way]["wer"] for way in ("nemo", "fp32", "bf16", "int8", "beam of 4")},
        "alone": joined["alone"]["wer"],
        "long_form": joined["windows"]["wer"],
        "one_pass": joined["local_attention"]["wer"],
        "streaming": joined["streaming"]["wer"],
    }


if __name__ == "__main__":
    main()
