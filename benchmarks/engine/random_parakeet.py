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

import numpy as np
import torch

from shoptalk.core import audio, checkpoint
from shoptalk.core.examples import read_manifest
from shoptalk.core.recipe import ModelSection
from shoptalk.core.recordings import load
from shoptalk.core.records import Samples
from shoptalk.core.tables import read_text
from shoptalk.engine.greedy import decode
from shoptalk.engine.recognizer import Engine
from shoptalk.tuning.tokenizer import train_tokenizer

TARGET = Path(".local/engine-cpu/parakeet.nemo")
TEXTS = Path("models/shoptalk-base-en-tiny/training-text.txt.xz")
SPEECH = Path("assets/general/test.jsonl")
SEED = 7
TOKENS_A_SECOND = 3.5
"""Pieces of a vocabulary of 1024 in read English: 2.5 words a second, 1.4 pieces a word."""
CLIP_S, CLIPS, DIRECTIONS = 10, 10, 16
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

    from shoptalk.integrations import nemo

    tokenizer = train_tokenizer(read_text(TEXTS).splitlines(), folder / "tokenizer", vocabulary=1024)
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

    Frames of a random encoder differ by a thirtieth of their size. So the joint sees only the directions in which they
    differ most, made equally wide; each output loses its mean over frames; the blank's bias is found by bisection.
    """
    clips = _clips()
    encoded_BTD, frames_B = engine.encode(clips)
    steps, all_ND = engine.steps, encoded_BTD.flatten(0, 1)
    joint, mean_D = steps.project_encoded, all_ND.mean(dim=0)
    _, spread_K, axes_DK = torch.svd_lowrank(all_ND - mean_D, q=DIRECTIONS, niter=8)
    mixed_JK = torch.randn(joint.out_features, DIRECTIONS, generator=torch.Generator().manual_seed(SEED))
    joint.weight.copy_(mixed_JK * (len(all_ND) / DIRECTIONS) ** 0.5 / spread_K @ axes_DK.t())
    joint.bias.copy_(-joint.weight @ mean_D)
    start_NJ = steps.start(1).predicted_BJ.repeat(len(all_ND), axis=0)
    projected_NJ = steps.project(encoded_BTD).reshape(len(all_ND), -1)
    steps.out_bias_O -= steps.logits(projected_NJ, start_NJ).mean(axis=0)
    low, high = -20.0, 20.0
    for _ in range(20):
        steps.out_bias_O[steps.blank] = (low + high) / 2
        said = [len(one.tokens) for one in decode(steps, encoded_BTD, frames_B)]
        enough = sum(said) > TOKENS_A_SECOND * CLIP_S * len(clips)
        low, high = ((low + high) / 2, high) if enough else (low, (low + high) / 2)
    print(f"tokens in each clip of {CLIP_S} s: {said}", flush=True)
    return {
        "joint.enc.weight": joint.weight, "joint.enc.bias": joint.bias,
        "joint.joint_net.2.bias": torch.from_numpy(steps.out_bias_O),
    }  # fmt: skip


def _clips() -> list[Samples]:
    """Joined from recordings all over the test set."""
    rows = read_manifest(SPEECH)
    joined_S = np.concatenate([load(row) for row in rows[:: len(rows) // 60]])
    size = CLIP_S * audio.SAMPLE_RATE_HZ
    return list(joined_S[: joined_S.size // size * size].reshape(-1, size)[:CLIPS])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", type=Path, nargs="?", default=TARGET)
    print(make(parser.parse_args().target))
