"""Speak sentences as log-mel features, without Kokoro's vocoder, for the training of a base.

    python scripts/speak_features.py fit .local/base/transcripts.jsonl
    python scripts/speak_features.py speak .local/base/to-hear.jsonl .local/base/parts/???.jsonl

`fit` lets Kokoro speak the first sentences of a list of transcripts whole, and trains the decoder from its hidden
states to features (`tuning/mel_decoder.py`). `speak` writes features for lists of transcripts, one after the
other, with the times of their words where text and speech have the same. Both go on where they were interrupted;
what is there is not made again.
"""

import argparse
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shoptalk.core import files
from shoptalk.core.errors import TermError
from shoptalk.core.examples import read_manifest, write_resumed
from shoptalk.core.models import store
from shoptalk.core.progress import counted, progress
from shoptalk.core.recipe import SpeechSection
from shoptalk.core.records import Example, Transcript
from shoptalk.core.tokens import HOP_S
from shoptalk.corpus.voices import draw_voice
from shoptalk.integrations import nemo
from shoptalk.integrations.kokoro import BeforeVocoder, load_published
from shoptalk.stages.processes import Processes
from shoptalk.tuning import mel_decoder
from shoptalk.tuning.mel_decoder import MelDecoder, Pair

FOLDER = Path(".local/base")
DECODER = FOLDER / "mel-decoder.pt"
BASE = Path("models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo")
"""Its front end makes the features; any base with 80 mels has the same."""
SEED = 7
FIT_SENTENCES = 320
HELD_OUT = 32
FIT_STEPS = 1_200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("fit", "speak"))
    parser.add_argument("manifests", type=Path, nargs="+")
    arguments = parser.parse_args()
    BeforeVocoder(store.path("kokoro-voices"))  # fetches and makes what the processes share
    make = {"fit": fit, "speak": speak}[arguments.what]
    for manifest in arguments.manifests:
        make(manifest)


def fit(transcripts: Path) -> None:
    if DECODER.is_file():
        return
    sentences = list(files.read(transcripts, Transcript))[:FIT_SENTENCES]
    made = Processes().map(_spoken_whole, sentences, start=_start_whole, arguments=())
    paths = list(progress(made, "spoken whole", total=len(sentences)))
    featurize = nemo.featurizer(nemo.restore(BASE))
    pairs = [_pair(path, featurize) for path in paths]
    with counted("mel decoder", total=FIT_STEPS) as advance:
        decoder = mel_decoder.fit(pairs[HELD_OUT:], steps=FIT_STEPS, seed=SEED, progress=lambda _: advance(1))
    torch.save(decoder.state_dict(), DECODER)
    errors, spreads, mean_M = [], [], decoder.mean_M.numpy()
    for pair in pairs[:HELD_OUT]:
        with torch.inference_mode():
            guess_TM = decoder(torch.from_numpy(pair.seen_CT)[None], torch.from_numpy(pair.timbre_S)[None])[0][0].T
        frames = min(len(guess_TM), len(pair.features_TM))
        errors.append(np.square(pair.features_TM[:frames] - guess_TM[:frames].numpy()))
        spreads.append(np.square(pair.features_TM[:frames] - mean_M))
    explained = 1 - np.concatenate(errors).mean() / np.concatenate(spreads).mean()
    print(f"{DECODER}: explains {100 * explained:.1f} % of the variance in {HELD_OUT} recordings that it did not see")


def speak(transcripts: Path) -> None:
    wanted = list(files.read(transcripts, Transcript))
    target = transcripts.with_name(f"{transcripts.stem}-features.jsonl")
    if target.is_file():
        _check_is_of(wanted, target)
        return

    def spoken(done: frozenset[str]) -> Iterator[Example]:
        left = [transcript for transcript in wanted if transcript.id not in done]
        made = Processes().map(_features, left, start=_start_features, arguments=(transcripts.stem,))
        for made_of_it in progress(made, transcripts.stem, total=len(wanted), done=len(done)):
            if made_of_it:
                yield made_of_it

    signature = hashlib.sha256(transcripts.read_bytes() + DECODER.read_bytes()).hexdigest()[:16]
    write_resumed(target, spoken, signature=signature)
    hours = sum(example.duration_s for example in read_manifest(target)) / 3600
    print(f"{target}: {len(wanted)} sentences, {hours:.1f} hours")


def _check_is_of(wanted: Sequence[Transcript], made: Path) -> None:
    """What was made of other texts than these is not taken for theirs."""
    text_of = {transcript.id: transcript.text for transcript in wanted}
    for example in read_manifest(made):
        if text_of.get(example.id) != example.text:
            raise SystemExit(f"{made}: {example.id} is of another list of texts; remove the file to make it again")


_state: dict[str, Any] = {}
"""What the processes of a pool keep between their items."""


def _start_whole() -> None:
    _state.update(acoustics=BeforeVocoder(store.path("kokoro-voices")), tts=load_published())


def _spoken_whole(transcript: Transcript) -> Path:
    path = FOLDER / "pairs" / f"{transcript.id}.npz"
    if not path.is_file():
        voice, speed = draw_voice(transcript.id, "train", SpeechSection(), seed=SEED)
        before = _state["acoustics"].of(transcript.spoken, voice=voice, speed=speed)
        samples_T = _state["tts"].speak_untrimmed(transcript.spoken, voice=voice, speed=speed, pronunciations={})
        seen = mel_decoder.seen(before.hidden_CK, before.pitch_K)
        with files.write_file(path) as partial, partial.open("wb") as out:
            np.savez(out, samples=samples_T, seen=seen, timbre=before.timbre_S)
    return path


def _pair(path: Path, featurize: Any) -> Pair:
    held = np.load(path)
    return Pair(held["seen"], held["timbre"], featurize(held["samples"]))


def _start_features(part: str) -> None:
    torch.set_num_threads(1)
    decoder = MelDecoder.restore(torch.load(DECODER, weights_only=True))
    folder = FOLDER / "features" / part
    folder.mkdir(parents=True, exist_ok=True)
    _state.update(folder=folder, acoustics=BeforeVocoder(store.path("kokoro-voices")), decoder=decoder)


def _features(transcript: Transcript) -> Example | None:
    """None: Kokoro has nothing to say for this text, or more than it can say at a time."""
    voice, speed = draw_voice(transcript.id, "train", SpeechSection(), seed=SEED)
    try:
        before = _state["acoustics"].of(transcript.spoken, voice=voice, speed=speed)
    except TermError as error:
        print(f"{transcript.id} is left out: {error}", flush=True)
        return None
    rng = np.random.default_rng([SEED, *transcript.id.encode()])
    features_TM = _state["decoder"].speak(mel_decoder.seen(before.hidden_CK, before.pitch_K), before.timbre_S, rng)
    kept = mel_decoder.loud_part(features_TM)
    features_TM = features_TM[kept].astype(np.float16)
    path = _state["folder"] / f"{transcript.id}.npy"
    np.save(path, features_TM)
    cut_s = kept.start * HOP_S
    words = tuple((word.word, round(word.start_s - cut_s, 3), round(word.end_s - cut_s, 3)) for word in before.words)
    if transcript.text != transcript.spoken:
        words = ()  # digits and the words that they are read as differ in number
    return Example(
        id=transcript.id,
        audio=path,
        duration_s=round(len(features_TM) * HOP_S, 2),
        text=transcript.text,
        speaker=voice,
        speed=speed,
        source="synthetic",
        words=words,
    )


if __name__ == "__main__":
    main()
