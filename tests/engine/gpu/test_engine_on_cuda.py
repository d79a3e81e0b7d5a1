"""The engine on a GPU against the engine on a CPU, on real recordings; what tensors allow runs on a CPU as well."""

import json
from difflib import SequenceMatcher
from pathlib import Path

import pytest
import torch

from shoptalk.core import audio
from shoptalk.core.errors import ModelError
from shoptalk.core.protocols import Options, Phrase
from shoptalk.core.records import Recognition, Samples
from shoptalk.core.runtime import current
from shoptalk.engine.encoder import exact_convolutions
from shoptalk.engine.greedy import decode
from shoptalk.engine.recognizer import Engine

ROOT = Path(__file__).parents[3]
GENERAL = ROOT / "assets/general"
TINY = ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"
CUDA = current(device="cuda")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")


@pytest.fixture(scope="module")
def speech() -> list[Samples]:
    lines = (GENERAL / "test.jsonl").read_text(encoding="utf-8").splitlines()[::30]
    return [audio.decode(GENERAL / json.loads(line)["audio_filepath"]) for line in lines]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(TINY)


@pytest.fixture(scope="module")
def expected(engine: Engine, speech: list[Samples]) -> list[Recognition]:
    return engine.recognize(speech)


def agreement(hypotheses: list[Recognition], references: list[Recognition]) -> float:
    """Part of the reference's words that the hypotheses have in the same order."""
    matched = total = 0
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        words, wanted = hypothesis.text.split(), reference.text.split()
        matched += sum(block.size for block in SequenceMatcher(None, words, wanted).get_matching_blocks())
        total += len(wanted)
    return matched / total


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_cuda)])
def test_padded_batches_give_the_tokens_of_packed_ones(device: str, engine: Engine, speech: list[Samples]) -> None:
    """A GPU pads its batches, a CPU packs them; the first is run on both."""
    other = engine if device == "cpu" else Engine(TINY, runtime=current(device=device))
    for start in range(0, len(speech), 8):
        some = speech[start : start + 8]
        samples_B = torch.tensor([len(samples_T) for samples_T in some])
        signal_BS = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(part) for part in some], batch_first=True)
        with torch.inference_mode():
            features_BTM, frames_B = other.features(signal_BS.to(device), samples_B)
            lengths_B = other.encoder.subsampling.frames(frames_B)
            padded_BTD = other.encoder.padded(features_BTM, frames_B, lengths_B).cpu()
            hypotheses = decode(other.steps, padded_BTD, lengths_B)
            references = decode(engine.steps, *engine.encode(some))
        for hypothesis, reference in zip(hypotheses, references, strict=True):
            assert (hypothesis.tokens, hypothesis.frames) == (reference.tokens, reference.frames)
            assert hypothesis.spans == reference.spans
            assert hypothesis.confidences == pytest.approx(reference.confidences, abs=2e-3)


@needs_cuda
def test_a_gpu_gives_the_texts_and_times_of_a_cpu(speech: list[Samples], expected: list[Recognition]) -> None:
    for recognition, reference in zip(Engine(TINY, runtime=CUDA).recognize(speech), expected, strict=True):
        assert recognition.text == reference.text
        for word, wanted in zip(recognition.words, reference.words, strict=True):
            assert (word.word, word.start_s, word.end_s) == (wanted.word, wanted.start_s, wanted.end_s)
            assert word.confidence == pytest.approx(wanted.confidence, abs=5e-3)


@needs_cuda
def test_bfloat16_gives_nearly_the_same_words(speech: list[Samples], expected: list[Recognition]) -> None:
    near = Engine(TINY, runtime=CUDA, precision="bf16").recognize(speech)
    assert agreement(near, expected) > 0.95


@needs_cuda
def test_local_attention_gives_the_texts_of_a_cpu(speech: list[Samples]) -> None:
    recordings = [speech[0], max(speech, key=len)]
    references = Engine(TINY, reach=32).recognize(recordings)
    recognitions = Engine(TINY, reach=32, runtime=CUDA).recognize(recordings)
    for recognition, reference in zip(recognitions, references, strict=True):
        assert recognition.text == reference.text


@needs_cuda
def test_beams_and_phrases_give_the_texts_of_a_cpu(engine: Engine, speech: list[Samples]) -> None:
    options = [Options((Phrase("restricted area"),), alternatives=2)] * 6
    references = engine.recognize(speech[:6], options)
    recognitions = Engine(TINY, runtime=CUDA).recognize(speech[:6], options)
    for recognition, reference in zip(recognitions, references, strict=True):
        assert recognition.text == reference.text
        assert [other.text for other in recognition.alternatives] == [other.text for other in reference.alternatives]


def test_eight_bits_are_refused_on_a_gpu_by_name() -> None:
    with pytest.raises(ModelError, match="int8 is for a CPU.*bf16"):
        Engine(TINY, precision="int8", runtime=CUDA)


def test_convolutions_are_exact_inside_and_as_they_were_behind() -> None:
    before = torch.backends.cudnn.allow_tf32
    with pytest.raises(ZeroDivisionError), exact_convolutions():
        assert not torch.backends.cudnn.allow_tf32
        raise ZeroDivisionError
    assert torch.backends.cudnn.allow_tf32 == before
