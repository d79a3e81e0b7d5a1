"""What the engine does without a service: all clips at once, in a process of its own, driven by `__main__.py`.

    python benchmarks/service/offline.py MODEL CLIPS_FOLDER BATCH ROUNDS [KEY=VALUE ...]

Prints JSON: the texts, and the seconds of each round. Nothing but the recognition is timed.
"""

import json
import os
import sys
import time
from pathlib import Path

from shoptalk.core import audio, config
from shoptalk.stages.recognizers import open_engine


def main() -> None:
    model, folder, batch, rounds, *settings = sys.argv[1:]
    engine = open_engine(Path(model), config.changed(tuple(settings)).engine, batch=int(batch))
    clips = [audio.decode(path) for path in sorted(Path(folder).glob("*.wav"))]
    engine.recognize(clips[: int(batch)])
    seconds: list[float] = []
    cpu_s: list[float] = []
    texts: list[str] = []
    for _ in range(int(rounds)):
        begun, cpu_begun = time.perf_counter(), time.process_time()
        texts = [recognition.text for recognition in engine.recognize(clips)]
        seconds.append(time.perf_counter() - begun)
        cpu_s.append(time.process_time() - cpu_begun)
    print(json.dumps({"texts": texts, "seconds": seconds, "cpu_s": cpu_s, "threads": os.cpu_count()}))


if __name__ == "__main__":
    main()
