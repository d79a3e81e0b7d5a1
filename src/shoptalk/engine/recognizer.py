"""The engine as a `Recognizer`: a FastConformer-TDT checkpoint that transcribes audio of any length, without NeMo.

Shapes: B recordings, S samples, T frames, M mel bins, D width of the encoder.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import sentencepiece
import torch
from torch.nn.utils.rnn import pad_sequence

from shoptalk.core import confidence
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.bundle import open_bundle
from shoptalk.core.errors import DeviceError, ModelError
from shoptalk.core.protocols import PLAIN, Options, PendingWindow, Step, Vad, in_windows, options_of_each
from shoptalk.core.records import Alternative, Recognition, Samples, Word
from shoptalk.core.runtime import GpuUse, Runtime, set_threads
from shoptalk.core.runtime import current as current_runtime
from shoptalk.core.tokens import FRAME_S, placed, words
from shoptalk.engine.beam import Scored, decode_nbest
from shoptalk.engine.boosting import BatchBoost, compile_phrases
from shoptalk.engine.encoder import Encoder
from shoptalk.engine.features import Features
from shoptalk.engine.gpu.memory import in_fitting_batches, named
from shoptalk.engine.gpu.transfer import to_device, to_host
from shoptalk.engine.gpu.use import Batch, GpuPaths
from shoptalk.engine.greedy import Decoded, decode
from shoptalk.engine.int8 import quantize
from shoptalk.engine.invented import Question, answers, where_words_stand
from shoptalk.engine.long_form import LONGEST_S
from shoptalk.engine.steps import Steps
from shoptalk.engine.transducer import Transducer
from shoptalk.engine.under_way import UnderWay
from shoptalk.engine.weights import open_checkpoint

SHORTEST = SAMPLE_RATE_HZ // 10
"""Samples below which a recording is filled up with silence: one encoder frame and its surroundings."""
CLIPS_A_WORKER = 4
"""With fewer recordings for each thread, all threads work on one batch after the other."""
ONE_PASS_S = 24 * 60.0
"""Longest audio that is encoded in one pass where attention is local."""
BEAM = 4
"""Least width of the beam where phrases or alternatives are asked for: with greedy decoding phrases gain little."""

Precision = Literal["fp32", "bf16", "int8"]


@dataclass(frozen=True)
class VadUse:
    """A VAD, and what it is asked for."""

    vad: Vad
    fill_gaps: bool = True
    """Speech that gives no word is transcribed again, and told as a gap if it still gives none."""
    require_speech: bool = True
    """Words around which there is no speech are left out."""


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
        vad: VadUse | None = None,
        sha256: str | None = None,
        runtime: Runtime | None = None,
    ):
        """Open a bundle or a `.nemo`; `bundle.open_bundle` and `weights.open_checkpoint` name the errors.

        `batch` is how many recordings are encoded together. `reach` lets attention see so many frames to each side,
        whatever the checkpoint's config says; audio of up to 24 minutes is then encoded in one pass. With a `beam` of 1
        decoding is greedy. Without a `vad` gaps are not filled, and words need no speech. `sha256` is the `.nemo`'s.
        `runtime` is what the process was set to, the device, and which of a GPU's paths are taken (`GpuPaths` names
        the errors); without it the process is taken as it stands, on the CPU. `DeviceError` for a GPU that is not
        there, `GpuMemoryError` if the model does not fit into its memory.
        """
        runtime = runtime or current_runtime()
        self.device = torch.device(runtime.device)
        if precision == "int8" and self.device.type != "cpu":
            raise ModelError(f"int8 is for a CPU, not for {self.device}; choose engine.precision bf16 or fp32")
        if precision == "int8" and runtime.gpu != GpuUse():
            raise ModelError("int8 goes with none of a GPU's paths; choose engine.precision bf16 or fp32")
        if self.device.type == "cuda" and not torch.cuda.is_available():
            raise DeviceError("PyTorch sees no CUDA device here; set engine.device to cpu, or install its CUDA build")
        self._precision: Precision = precision
        self.dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self._reach = reach
        self._gpu = runtime.gpu
        self._batch = batch
        self.beam = beam
        self.swap(path, sha256=sha256)
        self._gap_vad = vad.vad if vad and vad.fill_gaps else None
        self.speech_vad = vad.vad if vad and vad.require_speech else None
        self._threads = runtime.threads
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="engine")

    def swap(self, path: Path, *, sha256: str | None = None) -> None:
        """Take another bundle or `.nemo` in the place of this one; graphs are captured anew.

        Both lie in memory until the new one is there: if it cannot be opened, the old one stays. The errors are those
        of opening an engine. Streams of the old model cannot go on.
        """
        bundle = open_bundle(path) if path.is_dir() else None
        shape, weights, tokenizer = open_checkpoint(bundle.nemo if bundle else path, sha256=sha256)
        cure = "the model needs a GPU with more of it, or engine.device=cpu"
        with torch.inference_mode(), named(cure):
            featurizer = weights.below("preprocessor.featurizer")
            features = Features(shape, featurizer.take("window"), featurizer.take("fb")).to(self.device)
            encoder = Encoder(shape, weights.below("encoder"))
            encoder.reach = self._reach or encoder.reach
            transducer = Transducer(shape, weights)
            if self._precision == "int8":
                quantize(encoder)
            encoder.to(self.device, self.dtype)
            speech = self._gpu.fp8_recordings
            calibration = (
                padded_features(features, speech[start : start + self._batch], self.device, self.dtype)
                for start in range(0, len(speech), self._batch)
            )
            paths = GpuPaths(encoder, transducer, self._gpu, calibration=calibration)
        self.name = bundle.name if bundle else path.stem
        self._temperature = bundle.temperature if bundle else None
        self.tokenizer = sentencepiece.SentencePieceProcessor(model_proto=tokenizer)
        self.features = features
        self.encoder = encoder
        self.steps = Steps(transducer)
        self._paths = paths

    def recognize(self, audio: Sequence[Samples], options: Sequence[Options] = ()) -> list[Recognition]:
        """One `Recognition` for each audio, in order; windows of long audio share batches with the rest.

        `BoostError` for a phrase that cannot be boosted. Words and their times cost nothing, so they are always there;
        `tokens.placed` says what holds for them.
        """
        return in_windows(self, audio, options_of_each(options, audio))

    def begin(self, samples_T: Samples, options: Options = PLAIN) -> tuple[UnderWay, list[PendingWindow]]:
        """A recording and its windows; `BoostError` for a phrase that cannot be boosted."""
        if options.phrases:
            compile_phrases(options.phrases, self.tokenizer)
        longest_s = ONE_PASS_S if self.encoder.reach else LONGEST_S
        recording = UnderWay(
            samples_T,
            options,
            longest_s=longest_s,
            gap_vad=self._gap_vad,
            needs_speech=self.speech_vad is not None,
        )
        return recording, recording.first_windows

    def recognize_windows(self, windows: Sequence[PendingWindow]) -> list[Recognition]:
        """One `Recognition` for each window, in order; those of like length are encoded together.

        `GpuMemoryError` where memory of the GPU does not suffice for one window alone.
        """
        return self._transcribe([window.samples_T for window in windows], [window.options for window in windows])

    def go_on(self, news: Sequence[tuple[UnderWay, Mapping[int, Recognition]]]) -> list[Step]:
        """The VAD listens for all of the recordings together: so it takes a fraction of the time."""
        asked: list[list[PendingWindow]] = []
        questions: list[Question] = []
        owners: list[int] = []
        for place, (recording, recognitions) in enumerate(news):
            asked.append(recording.take(recognitions))
            own_questions = recording.questions()
            questions += own_questions
            owners += [place] * len(own_questions)
        silent: list[set[int]] = [set() for _ in news]
        if self.speech_vad:
            for place, places in zip(owners, answers(questions, self.speech_vad), strict=True):
                silent[place] |= places

        steps: list[Step] = []
        for (recording, _), windows, own_silent in zip(news, asked, silent, strict=True):
            words = [self.tempered(word) for word in recording.settle(own_silent)]
            recognition = recording.recognition()
            finished = self._finished(recognition, recording.samples_T) if recognition is not None else None
            steps.append(Step(windows, words, finished))
        return steps

    def _transcribe(self, audio: Sequence[Samples], options: Sequence[Options]) -> list[Recognition]:
        """Those that are decoded greedily on the device where the engine does so, the others on the host.

        `GpuMemoryError` where memory of the GPU does not suffice for one recording alone.
        """
        by_length = sorted(range(len(audio)), key=lambda place: -audio[place].size)
        on_device: list[int] = []
        on_host: list[int] = []
        for place in by_length:
            is_greedy = self.beam == 1 and not options[place].phrases and not options[place].alternatives
            (on_device if is_greedy and self._paths.decodes else on_host).append(place)
        by_place = self._transcribe_on_device(audio, on_device)
        by_place |= self._transcribe_on_host(audio, options, on_host)
        return [by_place[place] for place in range(len(audio))]

    def _transcribe_on_device(self, audio: Sequence[Samples], places: Sequence[int]) -> dict[int, Recognition]:
        """Places of like length in batches, each decoded while the features of the next one are made."""

        def run(batches: list[list[int]]) -> Iterable[list[Recognition]]:
            features = (self._features_of([audio[place] for place in batch]) for batch in batches)
            for decoded in self._paths.decode(features):
                yield [self._recognition(row) for row in decoded]

        return self._in_batches(places, self._batch, run)

    def _transcribe_on_host(
        self, audio: Sequence[Samples], options: Sequence[Options], places: Sequence[int]
    ) -> dict[int, Recognition]:
        """Places of like length in batches, as many batches at a time as there are threads for."""
        workers = 1
        if self.device.type == "cpu" and self._gpu == GpuUse():  # graphs have one input, which threads would share
            workers = max(1, min(self._threads, len(places) // CLIPS_A_WORKER))
        share = -(-len(places) // workers)  # rounded up
        threads = self._threads // workers

        def transcribe(batch: Sequence[int]) -> list[Recognition]:
            set_threads(threads)
            return self._transcribe_batch([audio[place] for place in batch], [options[place] for place in batch])

        def run(batches: list[list[int]]) -> Iterable[list[Recognition]]:
            return self._pool.map(transcribe, batches) if workers > 1 else map(transcribe, batches)

        try:
            return self._in_batches(places, min(self._batch, share), run)
        finally:
            set_threads(self._threads)

    def _in_batches(
        self, places: Sequence[int], size: int, run: Callable[[list[list[int]]], Iterable[list[Recognition]]]
    ) -> dict[int, Recognition]:
        size = max(1, size)
        batches = [places[start : start + size] for start in range(0, len(places), size)]
        by_place: dict[int, Recognition] = {}
        for batch, recognitions in in_fitting_batches(batches, run, self._paths.forget):
            by_place.update(zip(batch, recognitions, strict=True))
        return by_place

    @torch.inference_mode()
    def _transcribe_batch(self, audio: Sequence[Samples], options: Sequence[Options]) -> list[Recognition]:
        """Rows with phrases are decoded without them first: where that gives no words, phrases give none either."""
        encoded_BTD, frames_B = self.encode(audio)
        plain_options = [replace(own, phrases=()) for own in options]
        recognitions = self._decoded(encoded_BTD, frames_B, plain_options)
        boosted = [row for row, own in enumerate(options) if own.phrases and recognitions[row].words]
        if boosted:
            with_phrases = self._decoded(encoded_BTD[boosted], frames_B[boosted], [options[row] for row in boosted])
            for row, recognition in zip(boosted, with_phrases, strict=True):
                recognitions[row] = where_words_stand(recognition, recognitions[row])
        return recognitions

    def _decoded(
        self, encoded_BTD: torch.Tensor, frames_B: torch.Tensor, options: Sequence[Options]
    ) -> list[Recognition]:
        """Rows with phrases or alternatives by a beam, the others greedily where no beam is set."""
        searched: list[int] = []
        greedy: list[int] = []
        for row, own in enumerate(options):
            if own.alternatives or own.phrases or self.beam > 1:
                searched.append(row)
            else:
                greedy.append(row)

        recognitions: dict[int, Recognition] = {}
        if searched:
            beams = self._search(encoded_BTD[searched], frames_B[searched], [options[row] for row in searched])
            for row, beam in zip(searched, beams, strict=True):
                recognitions[row] = self._with_alternatives(beam, options[row].alternatives)
        if greedy:
            decoded = decode(self.steps, encoded_BTD[greedy], frames_B[greedy])
            for row, row_decoded in zip(greedy, decoded, strict=True):
                recognitions[row] = self._recognition(row_decoded)
        return [recognitions[row] for row in range(len(options))]

    def _search(
        self, encoded_BTD: torch.Tensor, frames_B: torch.Tensor, options: Sequence[Options]
    ) -> list[list[Scored]]:
        """The likeliest texts of each row, as many as any row wants; the beam is twice as wide as that."""
        alternatives = max(own.alternatives for own in options)
        wants_more = any(own.phrases or own.alternatives for own in options)
        width = max(self.beam, BEAM if wants_more else 1, 2 * alternatives)
        return decode_nbest(
            self.steps,
            encoded_BTD,
            frames_B,
            width=width,
            alternatives=alternatives + 1,
            boost=self._boost(options),
            spell=lambda tokens: self.tokenizer.decode([*tokens]),
        )

    def _with_alternatives(self, beam: Sequence[Scored], count: int) -> Recognition:
        """The best of a beam with `count` others, each with its probability relative to the best."""
        best = beam[0]
        alternatives = []
        for other in beam[1 : count + 1]:
            probability = round(math.exp(other.score - best.score), 4)
            alternatives.append(Alternative(text=self._recognition(other.decoded).text, probability=probability))
        return self._recognition(best.decoded).model_copy(update={"alternatives": tuple(alternatives)})

    def _boost(self, options: Sequence[Options]) -> BatchBoost | None:
        if not any(own.phrases for own in options):
            return None
        automata = [compile_phrases(own.phrases, self.tokenizer) for own in options]
        return BatchBoost.of(automata, vocabulary=self.steps.blank)

    @torch.inference_mode()
    def encode(self, audio: Sequence[Samples]) -> tuple[torch.Tensor, torch.Tensor]:
        """The encoder's padded frames (B, T, D) of a batch in float32 on the CPU, and how many count (B,)."""
        encoded_BTD, lengths_B = self._paths.encode(*self._features_of(audio))
        return to_host(encoded_BTD).float(), lengths_B

    @torch.inference_mode()
    def _features_of(self, audio: Sequence[Samples]) -> Batch:
        return padded_features(self.features, audio, self.device, self.dtype)

    def _recognition(self, decoded: Decoded) -> Recognition:
        pieces = [self.tokenizer.id_to_piece(token) for token in decoded.tokens]
        plain = words(pieces, decoded.frames, decoded.spans, decoded.confidences, frame_s=FRAME_S)
        text = self.tokenizer.decode(decoded.tokens).strip()
        return Recognition(text=text, words=tuple(plain))

    def _finished(self, recognition: Recognition, samples_T: Samples) -> Recognition:
        """With words placed and confidences calibrated; without alternatives where no speech gave a word."""
        in_time = placed(recognition.words, until_s=samples_T.size / SAMPLE_RATE_HZ)
        own_words = tuple(self.tempered(word) for word in in_time)
        alternatives = recognition.alternatives if own_words or recognition.gaps else ()
        return recognition.model_copy(update={"words": own_words, "alternatives": alternatives})

    def tempered(self, word: Word) -> Word:
        """A word with a calibrated confidence, where the bundle says how."""
        if self._temperature is None or word.confidence is None:
            return word
        calibrated = float(confidence.tempered(self._temperature, word.confidence))
        return word.model_copy(update={"confidence": round(calibrated, 4)})


def padded_features(features: Features, audio: Sequence[Samples], device: torch.device, dtype: torch.dtype) -> Batch:
    """Features (B, T, M) of recordings, padded, and how many of their frames count (B,), on the host."""
    signals = [_filled_up(samples_S) for samples_S in audio]
    samples_B = torch.tensor([len(signal_S) for signal_S in signals])
    if device.type == "cpu":
        # one by one: sums over padded frames would differ in their last bits by what stands beside a recording
        rows = [features(signal_S[None], samples_B[row : row + 1])[0][0] for row, signal_S in enumerate(signals)]
        return pad_sequence(rows, batch_first=True).to(dtype), features.frames(samples_B)
    signal_BS = to_device(signals, device)
    features_BTM, frames_B = features(signal_BS, samples_B)
    return features_BTM.to(dtype), frames_B


def _filled_up(samples_S: Samples) -> torch.Tensor:
    """Samples as a tensor; a recording below `SHORTEST` with silence behind it."""
    missing = max(0, SHORTEST - samples_S.size)
    return torch.from_numpy(np.pad(samples_S, (0, missing)) if missing else np.ascontiguousarray(samples_S))
