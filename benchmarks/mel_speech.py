"""Speech as features without Kokoro's vocoder, against speech that is heard: time, and what a recogniser makes of both.

    python benchmarks/mel_speech.py [results/mel_speech.json] [--sentences 40]

Needs the decoder of `python scripts/speak_features.py fit`. Sentence by sentence in turn, one thread: Kokoro whole,
then its features; then the base that ships reads both. Test voices and sentences: neither decoder nor base heard them.
"""

import argparse
import json
import os
import time
from datetime import date
from pathlib import Path
from typing import Any

DECODER = Path(".local/base/mel-decoder.pt")
BASE = Path("models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo")
TEST = Path("assets/general/test.jsonl")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", type=Path, nargs="?", default=Path("results/mel_speech.json"))
    parser.add_argument("--sentences", type=int, default=40)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported
    if not DECODER.is_file():
        raise SystemExit(f"{DECODER} is not there; make it with scripts/speak_features.py fit")
    from shoptalk.core import device

    result = {
        "command": f"python benchmarks/mel_speech.py --sentences {arguments.sentences}",
        "date": f"{date.today()}",
        "machine": device.machine(),
        "load_average": round(os.getloadavg()[0], 2),
        **measure(arguments.sentences),
    }
    arguments.target.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def measure(sentences: int) -> dict[str, Any]:
    import numpy as np
    import torch

    from shoptalk.core.examples import read_manifest
    from shoptalk.core.models import store
    from shoptalk.integrations import nemo
    from shoptalk.integrations.kokoro import BeforeVocoder, load
    from shoptalk.scoring.wer import count_words, total
    from shoptalk.tuning.mel_decoder import MelDecoder, seen

    model = nemo.restore(BASE)
    featurize = nemo.featurizer(model)
    decoder = MelDecoder.restore(torch.load(DECODER, weights_only=True))
    voices = store.path("kokoro-voices")
    whole, before = load(), BeforeVocoder(voices)
    rows = [row for row in read_manifest(TEST) if row.source == "synthetic"][:sentences]
    seconds, features = {"sound": 0.0, "features": 0.0}, {"sound": [], "features": []}
    rng = np.random.default_rng(7)
    spoken_s = 0.0
    for number, row in enumerate([rows[0], *rows]):  # the first warms up
        voice = {"voice": row.speaker, "speed": 1.0}
        begin = time.perf_counter()
        samples_T = whole.speak_untrimmed(row.text, **voice, pronunciations={})
        heard_TM = featurize(samples_T)
        middle = time.perf_counter()
        known = before.of(row.text, **voice)
        drawn_TM = decoder.speak(seen(known.hidden_CK, known.pitch_K), known.timbre_S, rng)
        end = time.perf_counter()
        if number:
            spoken_s += samples_T.size / 16_000
            seconds["sound"] += middle - begin
            seconds["features"] += end - middle
            features["sound"].append(heard_TM)
            features["features"].append(drawn_TM)
    errors = {
        kind: total(count_words(row.text, text) for row, text in zip(rows, _read(model, made), strict=True))
        for kind, made in features.items()
    }
    return {
        "sentences": len(rows),
        "words": errors["sound"].reference,
        "audio_s": round(spoken_s, 1),
        "real_time_factor": {kind: round(one / spoken_s, 3) for kind, one in seconds.items()},
        "times_as_fast": round(seconds["sound"] / seconds["features"], 1),
        "wer": {kind: round(one.rate, 4) for kind, one in errors.items()},
    }


def _read(model: Any, features: list[Any]) -> list[str]:
    """What the model hears in features (T, M) before normalisation."""
    import numpy as np
    import torch

    from shoptalk.tuning.data import collate

    texts = []
    model.eval()
    for one_TM in features:
        batch = collate([one_TM], [[0]], [np.zeros(0, np.int64)])
        with torch.inference_mode():
            encoded, frames = model.encoder(audio_signal=batch.features, length=batch.frames)
            (heard,) = model.decoding.rnnt_decoder_predictions_tensor(
                encoder_output=encoded, encoded_lengths=frames, return_hypotheses=True
            )
        texts.append(heard.text)
    return texts


if __name__ == "__main__":
    main()
