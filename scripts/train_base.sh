#!/usr/bin/env bash
# Trains shoptalk-base-en-tiny again from nothing: scripts/train_base.sh MATERIAL (what that is: models/README.md).
# Some thirty hours on two cores, most of it the last three steps; each step goes on where it was interrupted when the command is given again.
set -euo pipefail
cd "$(dirname "$0")/.."
material=${1:?usage: scripts/train_base.sh MATERIAL (a folder of speech, see models/README.md)}
if [ ! -d /usr/share/wordnet ] && [ "$(id -u)" -eq 0 ] && command -v apt-get > /dev/null; then
    apt-get install -qq -y --no-install-recommends wordnet-base < /dev/null > /dev/null
fi
PATH=$PWD/.venv/bin:$PATH

python scripts/prepare_speech.py "$material" --lists-only # .local/base/*.jsonl
python scripts/align_speech.py .local/base/synthetic.jsonl # the times of its words
shoptalk lexicon --recipe recipes/base-speech.yaml --run runs/base-speech
shoptalk speech --recipe recipes/base-speech.yaml --run runs/base-speech # 620 more sentences
python scripts/align_speech.py runs/base-speech/30-speech.jsonl --to .local/base/more.jsonl
shoptalk train --recipe recipes/base-tiny-start.yaml --run runs/base-tiny-start
python scripts/speak_features.py fit .local/base/transcripts.jsonl
python scripts/speak_features.py speak .local/base/to-hear.jsonl # 13,000 sentences as features
shoptalk train --recipe recipes/base-tiny.yaml --run runs/base-tiny
python scripts/speak_features.py speak .local/base/parts/???.jsonl # 120,000 more, in parts
shoptalk train --recipe recipes/base-tiny-more.yaml --run runs/base-tiny-more
python scripts/export_base.py runs/base-tiny-more --to .local/base/plateau.nemo
shoptalk train --recipe recipes/base-tiny-decay.yaml --run runs/base-tiny-decay
python scripts/package_base.py runs/base-tiny-decay tiny # models/…, results/base.json
