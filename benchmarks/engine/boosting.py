"""Phrase boosting: how many terms are heard with it and how many are made up, beside NeMo's tree, and what it costs.

    python benchmarks/engine/boosting.py RUN [results/boosting.json] [--repeats 15]

RUN is a run folder with test sets and a tuned model. Its lexicon's terms and their variants are the phrases. Both
programs decode the same frames, those of the engine's encoder. NeMo's tree knows no case, so it is also given each
phrase with a capital. The cost is that of decoding with random weights of Parakeet TDT's shape and a SentencePiece
model of 1,024 pieces, the blank weighed so that about half of all steps say a token, in turns and in one thread.
"""

import argparse
import io
import json
import re
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import sentencepiece
import torch
from nemo.utils import logging as nemo_log
from omegaconf import OmegaConf, open_dict
from torch.nn.utils.rnn import pad_sequence

from shoptalk.core import device, files
from shoptalk.core.examples import read_manifest
from shoptalk.core.protocols import Phrase
from shoptalk.core.recordings import load
from shoptalk.core.records import Term
from shoptalk.core.sets import TESTS
from shoptalk.core.tables import read_text
from shoptalk.core.text import words
from shoptalk.engine import boosting, greedy
from shoptalk.engine.beam import decode_nbest
from shoptalk.engine.boosting import BatchBoost, compile_phrases
from shoptalk.engine.recognizer import Engine
from shoptalk.engine.steps import Steps
from shoptalk.engine.transducer import Transducer
from shoptalk.engine.weights import Weights, open_checkpoint
from shoptalk.integrations import nemo
from shoptalk.scoring import wer
from shoptalk.scoring.term_scores import tabulate

ROOT = Path(__file__).parents[2]
BASE = ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"
WORDS = ROOT / "models/shoptalk-base-en-tiny/training-text.txt.xz"
WEIGHTS, ALPHAS = (1.0, 2.0, 3.0, 4.0), (0.25, 0.5, 1.0)
WIDTH = 4
BATCH = 16
SEED = 7

Texts = list[str]


class Recording(NamedTuple):
    set: str
    text: str
    encoded_TD: torch.Tensor


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("target", type=Path, nargs="?", default=Path("results/boosting.json"))
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    nemo_log.setLevel(nemo_log.ERROR)
    terms = list(files.read(arguments.run / "10-lexicon.jsonl", Term))
    phrases = sorted({text for term in terms for text in (term.text, *term.variants)})
    models = {"base": BASE, "tuned": arguments.run / "60-train/tuned.nemo"}
    result = {
        "command": f"python benchmarks/engine/boosting.py RUN --repeats {arguments.repeats}",
        "run": arguments.run.name,
        "date": f"{date.today()}",
        "machine": device.machine(),
        "phrases": len(phrases),
        "beam_width": WIDTH,
        "heard": {name: heard(path, arguments.run, terms, phrases) for name, path in models.items()},
        "cost": cost(arguments.repeats),
    }
    files.write_text(arguments.target, json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def heard(model: Path, run: Path, terms: Sequence[Term], phrases: Sequence[str]) -> dict[str, Any]:
    """Way of decoding → what it heard."""
    engine = Engine(model)
    recordings = list(read(run, engine))
    ways: dict[str, Callable[[], Texts]] = {}
    for name, weight in {"": None, **{f", weight {weight:g}": weight for weight in WEIGHTS}}.items():
        list_ = [Phrase(text, weight) for text in phrases] if weight else []
        ways[f"greedy{name}"] = partial(by_engine, engine, recordings, list_, beam=False)
        ways[f"beam{name}"] = partial(by_engine, engine, recordings, list_, beam=True)
    theirs, both_cases = nemo.restore(model), sorted({*phrases, *(text[0].upper() + text[1:] for text in phrases)})
    for name, alpha in {"": 0.0, **{f", alpha {alpha:g}": alpha for alpha in ALPHAS}}.items():
        ways[f"NeMo greedy{name}"] = partial(by_nemo, theirs, recordings, both_cases, alpha, beam=False)
        ways[f"NeMo beam{name}"] = partial(by_nemo, theirs, recordings, both_cases, alpha, beam=True)
    return {name: figures(terms, recordings, way()) for name, way in ways.items()}


def read(run: Path, engine: Engine) -> Iterator[Recording]:
    for name in TESTS:
        path = run / f"50-dataset/test-{name}.jsonl"
        rows = read_manifest(path)
        samples = [load(row) for row in rows]
        for start in range(0, len(rows), BATCH):
            encoded_BTD, frames_B = engine.encode(samples[start : start + BATCH])
            for row, encoded_TD, frames in zip(rows[start:], encoded_BTD, frames_B.tolist(), strict=False):
                yield Recording(name, row.text, encoded_TD[:frames])


def batches(recordings: Sequence[Recording]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    for start in range(0, len(recordings), BATCH):
        rows = [one.encoded_TD for one in recordings[start : start + BATCH]]
        yield pad_sequence(rows, batch_first=True), torch.tensor(list(map(len, rows)))


@torch.inference_mode()
def by_engine(engine: Engine, recordings: Sequence[Recording], phrases: Sequence[Phrase], *, beam: bool) -> Texts:
    automaton, decode = compile_phrases(phrases, engine.tokenizer), engine.tokenizer.decode
    found: Texts = []
    for encoded_BTD, frames_B in batches(recordings):
        boost = BatchBoost.of([automaton] * len(frames_B), vocabulary=engine.steps.blank) if automaton else None
        if beam:
            many = decode_nbest(engine.steps, encoded_BTD, frames_B, width=WIDTH, alternatives=1, boost=boost)
            found += [decode(some[0].decoded.tokens) for some in many]
        else:
            found += [decode(one.tokens) for one in greedy.decode(engine.steps, encoded_BTD, frames_B, boost=boost)]
    return found


@torch.inference_mode()
def by_nemo(model: Any, recordings: Sequence[Recording], phrases: Sequence[str], alpha: float, *, beam: bool) -> Texts:
    """NeMo's tree with its defaults; `alpha` is what its scores are multiplied by."""
    section = {"boosting_tree_alpha": alpha, "boosting_tree": {"key_phrases_list": phrases, "use_triton": False}}
    decoding = OmegaConf.create(OmegaConf.to_container(model.cfg.decoding))
    with open_dict(decoding):
        decoding.strategy = "malsd_batch" if beam else "greedy_batch"
        most = {"max_symbols_per_step": 10, "beam_size": WIDTH} if beam else {"max_symbols": 10}
        decoding["beam" if beam else "greedy"] = {**most, **(section if alpha else {})}
    model.change_decoding_strategy(decoding, verbose=False)
    found: Texts = []
    for encoded_BTD, frames_B in batches(recordings):
        hypotheses = model.decoding.rnnt_decoder_predictions_tensor(
            encoder_output=encoded_BTD.transpose(1, 2), encoded_lengths=frames_B, return_hypotheses=True
        )
        found += [one.text for one in hypotheses]
    return found


def figures(terms: Sequence[Term], recordings: Sequence[Recording], texts: Texts) -> dict[str, Any]:
    """Recall of the terms of each set, precision over all, and the word error rate of each."""
    found: dict[str, Any] = {}
    heard_in_all = right_in_all = 0
    for name in TESTS:
        pairs = [(one.text, text) for one, text in zip(recordings, texts, strict=True) if one.set == name]
        table = tabulate(terms, pairs)
        said, recognised, right = (int(n.sum()) for n in (table.reference_K, table.heard_K, table.found_K))
        inserted = recognised - right
        counts = wer.count_all((words(reference), words(text)) for reference, text in pairs)[:, :3].sum(axis=0)
        total = sum(len(words(reference)) for reference, _ in pairs)
        found[name] = {"terms": said, "found": right, "inserted": inserted, "wer": round(int(counts.sum()) / total, 4)}
        found[name]["deleted"] = int(counts[1])
        heard_in_all, right_in_all = heard_in_all + right + inserted, right_in_all + right
    found["precision"] = round(right_in_all / heard_in_all, 4) if heard_in_all else None
    return found


def cost(repeats: int) -> dict[str, Any]:
    """Seconds to decode a batch with and without phrases, and to compile them."""
    tokenizer, steps = small_tokenizer(), random_steps()
    rng = np.random.default_rng(SEED)
    encoded_BTD = torch.from_numpy(rng.normal(0, 1, (BATCH, 125, 1024)).astype(np.float32))  # 10 s each
    frames_B = torch.full((BATCH,), 125)
    lists = {f"{count}": make_phrases(count, rng) for count in (50, 500, 5000)}
    ways: dict[str, Callable[[], object]] = {"none": partial(greedy.decode, steps, encoded_BTD, frames_B)}
    compiling = {}
    for name, phrases in lists.items():
        begin = time.process_time()
        boosting._compiled.cache_clear()
        boost = BatchBoost.of([compile_phrases(phrases, tokenizer)] * BATCH, vocabulary=1024)
        compiling[name] = round(time.process_time() - begin, 4)
        ways[name] = partial(greedy.decode, steps, encoded_BTD, frames_B, boost=boost)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    with torch.inference_mode():
        for _ in range(repeats):
            for name, way in ways.items():
                begin = time.process_time()
                way()
                seconds[name].append(time.process_time() - begin)
        tokens = {name: sum(len(one.tokens) for one in way()) for name, way in ways.items()}
    return {
        "phrases": {
            name: {
                "decode_s": round(min(values), 4),
                "median_s": round(statistics.median(values), 4),
                "tokens": tokens[name],
                "more": round(min(values) / min(seconds["none"]) - 1, 4),
                "more_median": round(statistics.median(values) / statistics.median(seconds["none"]) - 1, 4),
                "compile_s": compiling.get(name),
            }
            for name, values in seconds.items()
        }
    }


def small_tokenizer() -> sentencepiece.SentencePieceProcessor:
    content = io.BytesIO()
    lines = read_text(WORDS).splitlines()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=content, vocab_size=1024, model_type="bpe", minloglevel=2,
        bos_id=-1, eos_id=-1, character_coverage=1.0,
    )  # fmt: skip
    return sentencepiece.SentencePieceProcessor(model_proto=content.getvalue())


def make_phrases(count: int, rng: np.random.Generator) -> list[Phrase]:
    """Words of six letters and more, three fifths alone and two fifths in pairs."""
    pool = sorted({word for word in re.findall(r"[A-Za-z]{6,}", read_text(WORDS))})
    single = rng.choice(pool, count * 3 // 5, replace=False).tolist()
    pairs = rng.choice(pool, (count - len(single), 2)).tolist()
    return [Phrase(text) for text in chain(single, map(" ".join, pairs))]


def random_steps() -> Steps:
    """Parakeet TDT 0.6B's prediction network and joint with random weights."""
    shape = replace(open_checkpoint(BASE)[0], predictor=640, predictor_layers=2, joint=640, vocabulary=1024,
                    durations=(0, 1, 2, 3, 4), d_model=1024)  # fmt: skip
    rng = np.random.default_rng(SEED)

    def normal(*size: int) -> torch.Tensor:
        return torch.from_numpy(rng.normal(0, 0.05, size).astype(np.float32))

    tensors = {"decoder.prediction.embed.weight": normal(1025, 640)}
    for layer, kind in ((layer, kind) for layer in range(2) for kind in ("ih", "hh")):
        tensors[f"decoder.prediction.dec_rnn.lstm.weight_{kind}_l{layer}"] = normal(2560, 640)
        tensors[f"decoder.prediction.dec_rnn.lstm.bias_{kind}_l{layer}"] = normal(2560)
    for name, inputs, outputs in (("pred", 640, 640), ("enc", 1024, 640), ("joint_net.2", 640, 1030)):
        tensors |= {f"joint.{name}.weight": normal(outputs, inputs), f"joint.{name}.bias": normal(outputs)}
    tensors["joint.joint_net.2.bias"][1024] = BLANK
    return Steps(Transducer(shape, Weights(Path("random"), tensors)))


BLANK = 4.5
"""What the blank's logit is raised by."""


if __name__ == "__main__":
    main()
