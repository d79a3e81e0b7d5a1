"""The engine as a `Recognizer`: a FastConformer-TDT checkpoint that hears audio of any length, without NeMo."""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
import sentencepiece
import torch

from shoptalk.core import confidence
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.bundle import open_bundle
from shoptalk.core.protocols import Options, Vad, options_of_each
from shoptalk.core.records import Alternative, Recognition, Samples, Word
from shoptalk.core.runtime import Runtime, set_threads
from shoptalk.core.runtime import current as current_runtime
from shoptalk.core.tokens import FRAME_S, words
from shoptalk.engine.beam import Scored, decode_nbest
from shoptalk.engine.boosting import BatchBoost, compile_phrases
from shoptalk.engine.encoder import Encoder
from shoptalk.engine.features import Features
from shoptalk.engine.greedy import Decoded, decode
from shoptalk.engine.holes import fill
from shoptalk.engine.int8 import quantize
from shoptalk.engine.long_form import CONTEXT_S, LONGEST_S, merge, windows
from shoptalk.engine.steps import Steps
from shoptalk.engine.transducer import Transducer
from shoptalk.engine.weights import open_checkpoint

SHORTEST = SAMPLE_RATE_HZ // 10
"""Samples below which a recording is filled up with silence: one encoder frame and its surroundings."""
CLIPS_A_WORKER = 4
"""With fewer recordings for each thread, all threads work on one batch after the other."""
ONE_PASS_S = 24 * 60.0
"""Longest audio that is heard in one pass where attention is local."""

BEAM = 4
"""Hypotheses where phrases or alternatives are asked for, at least: with greedy decoding phrases gain little."""

Precision = Literal["fp32", "bf16", "int8"]


class Engine:
    """A model that was loaded; not thread-safe: it has one owner."""

    def __init__(
        self,
        path: Path,
        *,
        batch: int = 16,
        precision: Precision = "fp32",
        reach: int | None = None,
        beam: int = 1,
        vad: Vad | None = None,
        sha256: str | None = None,
        runtime: Runtime | None = None,
    ):
        """A bundle or a `.nemo`, checked before it is opened (`bundle.open_bundle`, `weights.open_checkpoint` name the
        errors; `sha256` is the `.nemo`'s).

        `reach` lets attention see so many frames to each side, whatever the checkpoint's config says; audio of up to 24
        minutes is then heard in one pass. `beam` hypotheses are held of each recording; with 1 decoding is greedy. With
        a `vad`, speech that gives no word is heard again, and told if it stays unheard. `runtime` is what the process
        was set to, and the device; without it the process is taken as it stands, on the CPU.
        """
        runtime = runtime or current_runtime()
        device = torch.device(runtime.device)
        bundle = open_bundle(path) if path.is_dir() else None
        self.name = bundle.name if bundle else path.stem
        self._temperature = bundle.temperature if bundle else None
        shape, weights, tokenizer = open_checkpoint(bundle.nemo if bundle else path, sha256=sha256)
        with torch.inference_mode():
            front = weights.below("preprocessor.featurizer")
            self.features = Features(shape, front.take("window"), front.take("fb")).to(device)
            self.encoder = Encoder(shape, weights.below("encoder"))
            self.steps = Steps(Transducer(shape, weights))
            if precision == "int8":
                quantize(self.encoder)
            self.dtype = torch.bfloat16 if precision == "bf16" else torch.float32
            self.encoder.to(device, self.dtype)
        self.encoder.reach = reach or self.encoder.reach
        self.tokenizer = sentencepiece.SentencePieceProcessor(model_proto=tokenizer)
        self.device = device
        self._batch, self._beam, self._vad = batch, beam, vad
        self._threads = runtime.threads
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="engine")

    def recognize(self, audio: Sequence[Samples], options: Sequence[Options] = ()) -> list[Recognition]:
        """One `Recognition` for each audio, in order; the windows of long audio are heard in batches with the rest.

        `BoostError` for a phrase that cannot be boosted. Words and their times cost nothing, so they are always there.
        """
        options = options_of_each(options, audio)
        longest_s = ONE_PASS_S if self.encoder.reach else LONGEST_S
        cut = [list(windows(samples_T, longest_s=longest_s, context_s=CONTEXT_S)) for samples_T in audio]
        each = [own for own, some in zip(options, cut, strict=True) for _ in some]
        heard = iter(self._recognize([window.samples_T for some in cut for window in some], each))
        found = []
        for samples_T, own, some in zip(audio, options, cut, strict=True):
            one = next(heard) if len(some) == 1 else merge((window, next(heard)) for window in some)
            found.append(fill(samples_T, one, self._vad, self._with_phrases(own)) if self._vad else one)
        return found

    def _with_phrases(self, own: Options) -> Callable[[Sequence[Samples]], list[Recognition]]:
        return lambda audio: self._recognize(audio, [Options(own.phrases)] * len(audio))

    def _recognize(self, audio: Sequence[Samples], options: Sequence[Options]) -> list[Recognition]:
        """Audio in batches of like length, as many at a time as there are threads for."""
        workers = max(1, min(self._threads, len(audio) // CLIPS_A_WORKER)) if self.device.type == "cpu" else 1
        order = sorted(range(len(audio)), key=lambda i: -audio[i].size)
        size = max(1, min(self._batch, -(-len(audio) // workers)))
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        threads = self._threads // workers

        def heard(batch: Sequence[int]) -> list[Recognition]:
            set_threads(threads)
            return self._batch_heard([audio[i] for i in batch], [options[i] for i in batch])

        try:
            results = list(self._pool.map(heard, batches)) if workers > 1 else list(map(heard, batches))
        finally:
            set_threads(self._threads)
        found = dict(zip(chain(*batches), chain(*results), strict=True))
        return [found[i] for i in range(len(audio))]

    @torch.inference_mode()
    def _batch_heard(self, audio: Sequence[Samples], options: Sequence[Options]) -> list[Recognition]:
        encoded_BTD, frames_B = self.encode(audio)
        searched = [row for row, own in enumerate(options) if own.alternatives or own.phrases or self._beam > 1]
        found: dict[int, Recognition] = {}
        if searched:
            chosen = [options[row] for row in searched]
            most = max(own.alternatives for own in chosen)
            least = BEAM if any(own.phrases or own.alternatives for own in chosen) else 1
            beams = decode_nbest(
                self.steps, encoded_BTD[searched], frames_B[searched], width=max(self._beam, least, 2 * most),
                alternatives=most + 1, boost=self._boost(chosen), spell=lambda tokens: self.tokenizer.decode([*tokens]),
            )  # fmt: skip
            found = {row: self._likeliest(beam, options[row]) for row, beam in zip(searched, beams, strict=True)}
        if rows := [row for row in range(len(audio)) if row not in found]:
            decoded = decode(self.steps, encoded_BTD[rows], frames_B[rows])
            found.update(zip(rows, map(self._heard, decoded), strict=True))
        return [found[row] for row in range(len(audio))]

    def _likeliest(self, beam: Sequence[Scored], own: Options) -> Recognition:
        best, others = beam[0], beam[1 : own.alternatives + 1]
        alternatives = tuple(
            Alternative(text=self._heard(one.decoded).text, probability=round(math.exp(one.score - best.score), 4))
            for one in others
        )
        return self._heard(best.decoded).model_copy(update={"alternatives": alternatives})

    def _boost(self, options: Sequence[Options]) -> BatchBoost | None:
        if not any(own.phrases for own in options):
            return None
        automata = [compile_phrases(own.phrases, self.tokenizer) if own.phrases else None for own in options]
        return BatchBoost.of(automata, vocabulary=self.steps.blank)

    @torch.inference_mode()
    def encode(self, audio: Sequence[Samples]) -> tuple[torch.Tensor, torch.Tensor]:
        """The encoder's frames (B, T, D) of a batch in float32, padded, and how many count (B,)."""
        samples_B = torch.tensor([max(samples_S.size, SHORTEST) for samples_S in audio])
        signal_BS = torch.zeros(len(audio), int(samples_B.max()))
        for row_S, samples_S in zip(signal_BS, audio, strict=True):
            row_S[: samples_S.size] = torch.from_numpy(np.ascontiguousarray(samples_S))
        features_BTM, frames_B = self.features(signal_BS.to(self.device), samples_B)
        encoded_BTD, lengths_B = self.encoder(features_BTM.to(self.dtype), frames_B)
        return encoded_BTD.float().cpu(), lengths_B

    def _heard(self, decoded: Decoded) -> Recognition:
        pieces = [self.tokenizer.id_to_piece(token) for token in decoded.tokens]
        found = words(pieces, decoded.frames, decoded.spans, decoded.confidences, frame_s=FRAME_S)
        return Recognition(text=self.tokenizer.decode(decoded.tokens).strip(), words=tuple(map(self.tempered, found)))

    def tempered(self, word: Word) -> Word:
        """A word with a believable confidence, where the bundle says how."""
        if self._temperature is None or word.confidence is None:
            return word
        return word.model_copy(
            update={"confidence": round(float(confidence.tempered(self._temperature, word.confidence)), 4)}
        )
