"""How fast Kokoro speaks on one thread: the published graph against the one that is chosen; writes results/tts.json.

Run: python benchmarks/tts_speed.py [results/tts.json]. The two graphs take turns, sentence by sentence, so that a busy
machine slows both alike; CPU time is given beside wall time for the same reason.
"""

import json
import os
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
import onnxruntime

from shoptalk.core import device
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.integrations import kokoro

SENTENCES = (
    "The patient was started on metformin five hundred milligrams twice daily.",
    "No chest pain today, and the blood pressure is well controlled.",
    "We will hold apixaban for two days before the colonoscopy.",
    "She reports mild headache and nausea since the dose was increased.",
)
VOICES = ("af_kore", "bm_lewis", "am_adam*0.4+af_bella*0.6")


def commit() -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "uncommitted"


def chosen() -> str:
    return device.kokoro_graph(device.processor())


def main(target: Path) -> None:
    speakers = {"published": kokoro.load_published(), chosen(): kokoro.load()}
    spent = {name: np.zeros(3) for name in speakers}  # wall, CPU, audio seconds
    agreement = []
    for speaker in speakers.values():
        speaker.speak("Warm up.", voice=VOICES[0], speed=1.0, pronunciations={})
    for number, sentence in enumerate(SENTENCES):
        voice, heard = VOICES[number % len(VOICES)], []
        for name, speaker in speakers.items():
            wall, cpu = time.perf_counter(), time.process_time()
            heard.append(speaker.speak(sentence, voice=voice, speed=1.0, pronunciations={}))
            audio_s = heard[-1].size / SAMPLE_RATE_HZ
            spent[name] += time.perf_counter() - wall, time.process_time() - cpu, audio_s
        if heard[0].size == heard[1].size:
            agreement.append(float(np.corrcoef(heard[0], heard[1])[0, 1]))
    result = {
        "command": "python benchmarks/tts_speed.py",
        "date": date.today().isoformat(),
        "commit": commit(),
        **device.machine(),
        "load_average": os.getloadavg()[0],
        "onnxruntime": onnxruntime.__version__,
        "threads": 1,
        "graph": chosen(),
        "real_time_factor": {
            name: {"wall": round(wall / audio_s, 3), "cpu": round(cpu / audio_s, 3), "audio_s": round(audio_s, 1)}
            for name, (wall, cpu, audio_s) in spent.items()
        },
        "correlation_of_samples": [round(value, 4) for value in agreement],
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results/tts.json"))
