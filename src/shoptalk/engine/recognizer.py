"""The engine as a `Recognizer`: a FastConformer-TDT checkpoint that hears audio of any length, without NeMo."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
import sentencepiece
import torch

from shoptalk.audio import SAMPLE_RATE_HZ
from shoptalk.confidence import tempered
from shoptalk.cpu import keep_memory
from shoptalk.engine.encoder import Encoder
from shoptalk.engine.features import Features
from shoptalk.engine.greedy import Decoded, decode
from shoptalk.engine.holes import fill
from shoptalk.engine.int8 import quantize
from shoptalk.engine.long_form import CONTEXT_S, LONGEST_S, merge, windows
from shoptalk.engine.shape import FRAME_S
from shoptalk.engine.steps import Steps
from shoptalk.engine.transducer import Transducer
from shoptalk.engine.weights import open_checkpoint
from shoptalk.pieces import words
from shoptalk.protocols import Vad
from shoptalk.records import Heard, Samples, Word

SHORTEST = SAMPLE_RATE_HZ // 10
"""Samples below which a recording is filled up with silence: one encoder frame and its surroundings."""
CLIPS_A_WORKER = 4
"""With fewer recordings for each thread, all threads work on one batch after the other."""
ONE_PASS_S = 24 * 60.0
"""Longest audio that is heard in one pass where attention is local."""

Precision = Literal["fp32", "bf16", "int8"]


class Engine:
    """A model that was loaded; not thread-safe: it has one owner, and works with as many threads as torch has then."""

    def __init__(
        self,
        path: Path,
        *,
        batch: int = 16,
        precision: Precision = "fp32",
        reach: int | None = None,
        vad: Vad | None = None,
        temperature: float | None = None,
        sha256: str | None = None,
        device: str = "cpu",
    ):
        """A `.nemo`, checked before it is opened (`weights.open_checkpoint` names the errors).

        `reach` lets attention see so many frames to each side, whatever the checkpoint's config says; audio of up to 24
        minutes is then heard in one pass. With a `vad`, speech that gives no word is heard again and told if it
        stays unheard. `temperature` makes confidences believable (`Bundle.temperature`).
        """
        shape, weights, tokenizer = open_checkpoint(path, sha256=sha256)
        keep_memory()
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
        self.device = torch.device(device)
        self._batch, self._vad, self._temperature = batch, vad, temperature
        self._threads = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="engine")

    def recognize(self, audio: Sequence[Samples]) -> list[Heard]:
        """One `Heard` for each audio, in order; the windows of long audio are heard in batches with the rest."""
        longest_s = ONE_PASS_S if self.encoder.reach else LONGEST_S
        cut = [list(windows(samples_T, longest_s=longest_s, context_s=CONTEXT_S)) for samples_T in audio]
        heard = iter(self._recognize([window.samples_T for some in cut for window in some]))
        found = []
        for samples_T, some in zip(audio, cut, strict=True):
            one = next(heard) if len(some) == 1 else merge((window, next(heard)) for window in some)
            found.append(fill(samples_T, one, self._vad, self._recognize) if self._vad else one)
        return found

    def _recognize(self, audio: Sequence[Samples]) -> list[Heard]:
        """Audio in batches of like length, as many at a time as there are threads for."""
        workers = max(1, min(self._threads, len(audio) // CLIPS_A_WORKER)) if self.device.type == "cpu" else 1
        order = sorted(range(len(audio)), key=lambda i: -audio[i].size)
        size = min(self._batch, -(-len(audio) // workers))
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        threads = self._threads // workers

        def heard(batch: Sequence[int]) -> list[Heard]:
            torch.set_num_threads(threads)
            return [self._heard(one) for one in self.decode([audio[i] for i in batch])]

        try:
            results = list(self._pool.map(heard, batches)) if workers > 1 else list(map(heard, batches))
        finally:
            torch.set_num_threads(self._threads)
        by_number = {
            i: one for batch, some in zip(batches, results, strict=True) for i, one in zip(batch, some, strict=True)
        }
        return [by_number[i] for i in range(len(audio))]

    @torch.inference_mode()
    def decode(self, audio: Sequence[Samples]) -> list[Decoded]:
        """The tokens of a batch of recordings."""
        return decode(self.steps, *self.encode(audio))

    @torch.inference_mode()
    def encode(self, audio: Sequence[Samples]) -> tuple[torch.Tensor, torch.Tensor]:
        """The encoder's frames (B, T, D) of a batch in float32, padded, and how many count (B,)."""
        samples_B = torch.tensor([max(samples_S.size, SHORTEST) for samples_S in audio])
        signal_BS = torch.zeros(len(audio), int(samples_B.max()))
        for row_S, samples_S in zip(signal_BS, audio, strict=True):
            row_S[: samples_S.size] = torch.from_numpy(np.ascontiguousarray(samples_S))
        features_BTM, frames_B = self.features(signal_BS.to(self.device), samples_B)
        encoded_BTD, lengths_B = self.encoder(features_BTM.to(self.dtype), frames_B)
        return encoded_BTD.float(), lengths_B

    def _heard(self, decoded: Decoded) -> Heard:
        pieces = [self.tokenizer.id_to_piece(token) for token in decoded.tokens]
        found = words(pieces, decoded.frames, decoded.spans, decoded.confidences, frame_s=FRAME_S)
        return Heard(text=self.tokenizer.decode(decoded.tokens).strip(), words=tuple(map(self._tempered, found)))

    def _tempered(self, word: Word) -> Word:
        if self._temperature is None or word.confidence is None:
            return word
        return word.model_copy(update={"confidence": round(float(tempered(self._temperature, word.confidence)), 4)})
