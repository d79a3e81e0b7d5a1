"""A `.nemo` with the shape of Parakeet TDT 0.6B V2 and random weights, which talks at the rate of speech.

    python benchmarks/engine/random_parakeet.py [.local/engine-cpu/parakeet.nemo]

Where the real weights cannot be had, speed can still be measured: an encoder costs what its shape costs. What decoding
costs depends on how much is said, so the joint is set such that recordings of speech give `TOKENS_A_SECOND`. The tokens
mean nothing.
"""

import argparse
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

import torch

from shoptalk import audio, checkpoint, manifest
from shoptalk.engine.greedy import decode
from shoptalk.engine.recognizer import Engine
from shoptalk.recipe import ModelSection
from shoptalk.tuning.tokenizer import train_tokenizer

TARGET = Path(".local/engine-cpu/parakeet.nemo")
TEXTS = Path("models/shoptalk-base-en-tiny/training-text.txt")
SPEECH = Path("assets/general/test.jsonl")
SEED = 7
TOKENS_A_SECOND = 3.5
"""Pieces of a vocabulary of 1024 in read English: 2.5 words a second, 1.4 pieces a word."""
RECORDINGS = 6
SHAPE = ModelSection(
    d_model=1024, layers=24, heads=8, subsampling_channels=256, mels=128, predictor=640, joint=640, vocabulary=1024
)


def make(target: Path = TARGET) -> Path:
    """Build, let talk and write; what is there already stays."""
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        built = _build(Path(folder))
        _talk(built).replace(target)
    return target


def _build(folder: Path) -> Path:
    """NeMo's own modules and initialisation."""
    from omegaconf import OmegaConf

    from shoptalk.doors import nemo

    tokenizer = train_tokenizer(TEXTS.read_text(encoding="utf-8").splitlines(), folder / "tokenizer", vocabulary=1024)
    changes = {"encoder": {"use_bias": False}, "decoder": {"prednet": {"pred_rnn_layers": 2}}}
    config = OmegaConf.merge(nemo._config(SHAPE, tokenizer.parent, sigma=0.02, omega=0.1), changes)
    torch.manual_seed(SEED)
    model = nemo._asr().models.EncDecRNNTBPEModel(cfg=config)
    nemo.save(model, folder / "built.nemo")
    return folder / "built.nemo"


def _talk(built: Path) -> Path:
    """Set what decides when something is said, and write again."""
    info = checkpoint.inspect(built)
    weights = checkpoint.read_weights(info) | _deciding(Engine(built, batch=4))
    members = {name: checkpoint.read_member(info, name) for name in info.members if name != checkpoint.WEIGHTS}
    written = BytesIO()
    torch.save(weights, written)
    members[checkpoint.WEIGHTS] = written.getvalue()
    talking = built.with_name("talking.nemo")
    with tarfile.open(talking, "w") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, BytesIO(content))
    return talking


@torch.inference_mode()
def _deciding(engine: Engine) -> dict[str, torch.Tensor]:
    """Weights under which frames differ in what they say, and the blank is said so often that speech is left.

    Frames of a random encoder differ by a thirtieth of their size, so the joint takes them without their mean and
    larger; each output loses its mean over frames; and the blank's bias is found by bisection.
    """
    rows = [row for row in manifest.read_lines(SPEECH) if 5 < row["duration"] < 9][:RECORDINGS]
    spoken = [audio.decode(SPEECH.parent / row["audio_filepath"]) for row in rows]
    encoded_BTD, frames_B = engine.encode(spoken)
    seconds, steps = sum(one.size for one in spoken) / audio.SAMPLE_RATE_HZ, engine.steps
    all_ND = torch.cat([one_TD[:frames] for one_TD, frames in zip(encoded_BTD, frames_B, strict=True)])
    joint = steps.project_encoded
    joint.weight /= torch.nn.functional.linear(all_ND, joint.weight).std(dim=0).mean()
    joint.bias.copy_(-torch.nn.functional.linear(all_ND.mean(dim=0), joint.weight))
    start_NJ = steps.start(1).predicted_BJ.repeat(len(all_ND), axis=0)
    steps.out_bias_O -= steps.logits(steps.project(all_ND), start_NJ).mean(axis=0)
    low, high = -20.0, 20.0
    for _ in range(20):
        steps.out_bias_O[steps.blank] = (low + high) / 2
        rate = sum(len(one.tokens) for one in decode(steps, encoded_BTD, frames_B)) / seconds
        low, high = ((low + high) / 2, high) if rate > TOKENS_A_SECOND else (low, (low + high) / 2)
    print(f"{rate:.1f} tokens a second")
    return {
        "joint.enc.weight": joint.weight, "joint.enc.bias": joint.bias,
        "joint.joint_net.2.bias": torch.from_numpy(steps.out_bias_O),
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", type=Path, nargs="?", default=TARGET)
    print(make(parser.parse_args().target))
