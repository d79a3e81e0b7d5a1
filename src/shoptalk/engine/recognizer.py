"""The engine as a `Recognizer`: a FastConformer-TDT checkpoint that hears audio, without NeMo."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import sentencepiece
import torch

from shoptalk.audio import SAMPLE_RATE_HZ
from shoptalk.cpu import keep_memory
from shoptalk.engine.encoder import Encoder
from shoptalk.engine.features import Features
from shoptalk.engine.greedy import Decoded, decode
from shoptalk.engine.shape import FRAME_S
from shoptalk.engine.transducer import Transducer
from shoptalk.engine.weights import open_checkpoint
from shoptalk.pieces import words
from shoptalk.records import Heard, Samples

SHORTEST = SAMPLE_RATE_HZ // 10
"""Samples below which a recording is filled up with silence: one encoder frame and its surroundings."""


class Engine:
    """A model that was loaded, on one device; not thread-safe while it grows its tables: it has one owner."""

    def __init__(self, path: Path, *, batch: int, sha256: str | None = None, device: str = "cpu"):
        shape, weights, tokenizer = open_checkpoint(path, sha256=sha256)
        keep_memory()
        with torch.inference_mode():
            front = weights.below("preprocessor.featurizer")
            self.features = Features(shape, front.take("window"), front.take("fb")).to(device)
            self.encoder = Encoder(shape, weights.below("encoder")).to(device)
            self.transducer = Transducer(shape, weights).to(device)
        self.tokenizer = sentencepiece.SentencePieceProcessor(model_proto=tokenizer)
        self.device = torch.device(device)
        self._batch = batch

    def recognize(self, audio: Sequence[Samples]) -> list[Heard]:
        """One `Heard` for each audio, in order; batches are made of audio of like length."""
        order = sorted(range(len(audio)), key=lambda i: audio[i].size)
        heard: dict[int, Heard] = {}
        for start in range(0, len(order), self._batch):
            chosen = order[start : start + self._batch]
            heard.update(zip(chosen, map(self._heard, self.decode([audio[i] for i in chosen])), strict=True))
        return [heard[number] for number in range(len(audio))]

    @torch.inference_mode()
    def decode(self, audio: Sequence[Samples]) -> list[Decoded]:
        """The tokens of a batch of recordings."""
        return decode(self.transducer, *self.encode(audio))

    @torch.inference_mode()
    def encode(self, audio: Sequence[Samples]) -> tuple[torch.Tensor, torch.Tensor]:
        """The encoder's frames (B, T, D) of a batch, padded, and how many count (B,)."""
        samples_B = torch.tensor([max(samples_S.size, SHORTEST) for samples_S in audio])
        signal_BS = torch.zeros(len(audio), int(samples_B.max()))
        for row_S, samples_S in zip(signal_BS, audio, strict=True):
            row_S[: samples_S.size] = torch.from_numpy(np.ascontiguousarray(samples_S))
        return self.encoder(*self.features(signal_BS.to(self.device), samples_B))

    def _heard(self, decoded: Decoded) -> Heard:
        pieces = [self.tokenizer.id_to_piece(token) for token in decoded.tokens]
        found = words(pieces, decoded.frames, decoded.spans, decoded.confidences, frame_s=FRAME_S)
        return Heard(text=self.tokenizer.decode(decoded.tokens).strip(), words=tuple(found))
