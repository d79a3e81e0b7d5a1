"""Stage 60: the trainer, from a base (or from nothing) to a tuned `.nemo`; it reads top to bottom."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import jiwer
import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from shoptalk.core import device, runtime, text
from shoptalk.core.errors import AudioError, ManifestError, TrainingError
from shoptalk.core.examples import listed, read_manifest
from shoptalk.core.files import partial_path, put_in_place, write_text
from shoptalk.core.noise import NoiseSet
from shoptalk.core.progress import counted
from shoptalk.core.recipe import Recipe, TrainSection
from shoptalk.core.recordings import load, recording_s
from shoptalk.core.records import Example
from shoptalk.core.tokens import FRAME_S, SUBSAMPLING
from shoptalk.integrations import nemo
from shoptalk.tuning import lines, tracking
from shoptalk.tuning.cpu_speed import quicken
from shoptalk.tuning.data import HOPS_PER_S, Recordings, Rounds, recordings
from shoptalk.tuning.features import FeatureCache, FeatureCaches, make, opened, remove_others
from shoptalk.tuning.module import TuningModule, centre_input
from shoptalk.tuning.rerecording import Rerecord, rerecorder
from shoptalk.tuning.selection import DATA, Selection, left_out, select
from shoptalk.tuning.tokenizer import train_tokenizer

Say = Callable[[str], None]


@dataclass(frozen=True)
class TrainingData:
    """Manifests of one training: the domain's speech, the rehearsed speech, the dev sets that choose a checkpoint."""

    domain: Sequence[Path]
    rehearsal: Sequence[Path]
    dev: Sequence[Path]
    noise: Sequence[Path] = ()
    """Files of ambient noise for `train.feature_noise`."""
    rerecording: NoiseSet | None = None
    """Noise and rooms for `train.rerecorded`; None: no recording is augmented anew."""


class ASRTrainer:
    """Tunes a FastConformer-TDT by a recipe; interrupted work goes on from its last checkpoint.

    One process calls `prepare`, which writes what all processes of a training share; then each calls `fit`, which
    only reads it. `signature` stands for all that the training depends on: what lies in `folder` under another one is
    removed.
    """

    def __init__(
        self, recipe: Recipe, data: TrainingData, folder: Path, *, init: str, signature: str = "", say: Say = print
    ):
        self.recipe = recipe
        self.config: TrainSection = recipe.train
        self.data = data
        self.folder = folder
        self.init = init
        self.signature = signature
        self.say = say

    def prepare(self) -> None:
        """Write what is not there yet: the tokenizer of a new model, and the features; each is whole or absent."""
        self.forget_other_work()
        if self.config.model:
            train_tokenizer(self._texts(), self._tokenizer.parent, vocabulary=self.config.model.vocabulary)
        model = self.restore()
        self._check_lines(model)
        self._make_features(model)
        self._tell_data(model)

    def fit(self) -> Path:
        """Train, and return the path of the `.nemo` with the weights that scored best on dev.

        `TrainingError` where `prepare` was not called, or with another signature.
        """
        self._check_prepared()
        with runtime.seeded(self.recipe.seed):
            return self._fit()

    def _fit(self) -> Path:
        model = self.restore()
        nemo.check_is_tdt(model)
        nemo.decode_without_graphs(model)
        tokens = model.tokenizer.vocab_size
        self.say(f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters, {tokens} tokens")
        rounds = self.rounds(model)
        if self.config.model:
            centre_input(model, next(iter(rounds)))
        module = TuningModule(model, self.config, durations=nemo.durations(model), blank=tokens, seed=self.recipe.seed)
        accelerator = device.accelerator()
        if device.quickens_training(accelerator):
            quicken(module)
        rounds.ahead = device.prepares_batches_ahead(accelerator, rounds.bytes_ahead)
        keeper = Keeper(self.folder, rounds, self._written_dev(model), self.config, self.say)
        trainer = Trainer(
            accelerator=accelerator.kind,  # not "auto": it takes Apple's GPU, for which there is no TDT loss
            devices=self.config.devices,
            strategy=self.strategy(),
            precision=device.training_precision(self.config.precision, device.processor(), accelerator),
            max_steps=self.config.steps,
            gradient_clip_val=self.config.gradient_clip,
            logger=tracking.loggers(self.recipe, self.folder / "logs"),
            log_every_n_steps=20,
            callbacks=[keeper],
            reload_dataloaders_every_n_epochs=1,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            enable_progress_bar=False,
            enable_checkpointing=False,
            enable_model_summary=False,
        )
        trainer.fit(module, train_dataloaders=rounds, ckpt_path=keeper.last if keeper.last.exists() else None)
        return self.save(model, keeper)

    def _check_lines(self, model: nemo.Model) -> None:
        """`ManifestError` for lines whose audio or text cannot be used."""
        trained = [*self.data.domain, *(self.data.rehearsal if self._rehearses else [])]
        shortest_s = FRAME_S * max(1.0, *self.config.feature_speeds)
        lines.check(trained, shortest_s=shortest_s, spelling=_spelling(model), say=self.say)
        lines.check(self.data.dev, shortest_s=FRAME_S, spelling=_spelling(model), say=self.say)
        problems = [problem for entry in self.dev() if (problem := _problem_of_decoding(entry))]
        if problems:
            raise ManifestError(f"dev recordings that cannot be scored:\n{listed(problems)}")

    def _tell_data(self, model: nemo.Model) -> None:
        """Say what is left out or odd, and write it to `DATA`; `TrainingError` if nothing of a pool can be used."""
        spelling = _spelling(model)
        content: dict[str, Any] = {"max_utterance_s": self.config.max_utterance_s}
        for pool, manifests in self._pools():
            selection = self._selection(model, manifests)
            for told in left_out(selection, pool, manifests, self.config.max_utterance_s):
                self.say(told)
            crowded = sum(_crowded(cache, spelling) for cache in selection.caches)
            if crowded:
                self.say(f"{pool}: {crowded} texts have more tokens than their audio has frames; is it the right text?")
            content[pool] = {**selection.as_json(), "more_tokens_than_frames": crowded}
        written = json.dumps(content, indent=1) + "\n"
        if not ((self.folder / DATA).is_file() and (self.folder / DATA).read_text() == written):
            write_text(self.folder / DATA, written)

    def _make_features(self, model: nemo.Model) -> None:
        """Features of all recordings and of the noise; caches of other recordings are removed."""
        featurize, mels, speeds = nemo.featurizer(model), model.cfg.preprocessor.features, self.config.feature_speeds
        lists = [entries for _, manifests in self._pools() for entries in self._lists(manifests)]
        with counted("features", total=sum(map(len, lists))) as advance:
            for entries in lists:
                wrong = make(self._features, entries, speeds, mels=mels, featurize=featurize, progress=advance)
                if wrong:
                    self.say(f"{len(wrong)} recordings cannot be used:\n{listed(wrong)}")
        noise = self._noise()
        if noise:
            wrong = make(self._features, noise, (1.0,), mels=mels, featurize=featurize, progress=lambda _: None)
            if wrong:
                raise TrainingError(f"noise that cannot be used; replace it:\n{listed(wrong)}")
        remove_others(self._features, [(entries, speeds) for entries in lists] + [(noise, (1.0,))], mels=mels)

    def strategy(self) -> Any:
        """One process, or on a CPU several that share the batches of each step among them."""
        if not device.forks_training(device.accelerator(), self.config.devices):
            return "auto"
        from lightning.pytorch.strategies import DDPStrategy

        # Forked, they inherit the features that are already mapped. While frames lead, half of the model is unused.
        return DDPStrategy(
            start_method="fork", process_group_backend="gloo", find_unused_parameters=bool(self.config.aligned_rounds)
        )

    def forget_other_work(self) -> None:
        """Remove what another recipe or other data left here; a folder without a note is taken as it is."""
        if not self.signature:
            return
        note = self.folder / "signature"
        if note.is_file() and note.read_text() == self.signature:
            return
        if note.is_file():
            self.say(f"{self.folder} holds another training; starting anew")
            shutil.rmtree(self.folder)
        write_text(note, self.signature)

    def _check_prepared(self) -> None:
        note = self.folder / "signature"
        if self.signature and not (note.is_file() and note.read_text() == self.signature):
            raise TrainingError(f"{self.folder} was not prepared for this training; prepare it first, in one process")

    @property
    def _features(self) -> Path:
        return self.folder / "features"

    @property
    def _tokenizer(self) -> Path:
        return self.folder / "tokenizer" / "tokenizer.model"

    @property
    def _rehearses(self) -> bool:
        return bool(self.data.rehearsal and self.config.rehearsal)

    def _texts(self) -> list[str]:
        texts: list[str] = []
        for path in (*self.data.domain, *self.data.rehearsal):
            texts += [entry.text for entry in read_manifest(path)]
        return texts

    def restore(self) -> nemo.Model:
        """The model to start from: a `.nemo`, a hub name, or a new one of the recipe's shape."""
        if self.config.model is None:
            return nemo.restore(self.init)
        if not self._tokenizer.is_file():
            raise TrainingError(f"{self._tokenizer} is not there; prepare the training first")
        return nemo.build(self.config.model, self._tokenizer, sigma=self.config.sigma, omega=self.config.omega)

    def rounds(self, model: nemo.Model) -> Rounds:
        """Batches of the domain's and of rehearsed speech, their features mapped from the run folder."""
        share_of = {"domain": 1 - self.config.rehearsal if self.data.rehearsal else 1.0}
        share_of["rehearsal"] = self.config.rehearsal
        pools = [self._pool(model, pool, manifests, share_of[pool]) for pool, manifests in self._pools()]
        entries = self._noise()
        noise = opened(self._features, entries, (1.0,), mels=model.cfg.preprocessor.features) if entries else None
        return Rounds(
            pools,
            self.config,
            noise=noise,
            snr_db=self.recipe.augment.snr_db,
            seed=self.recipe.seed,
            rerecord=self._rerecord(model, pools),
        )

    def _rerecord(self, model: nemo.Model, pools: Sequence[Recordings]) -> Rerecord | None:
        """What augments recordings anew, if the recipe wants it; babble is made of the domain's speech."""
        if not self.config.rerecorded or self.data.rerecording is None:
            return None
        speech, seed = pools[0].cache.entries, self.recipe.seed
        return rerecorder(self.recipe.augment, self.data.rerecording, nemo.featurizer(model), speech, seed=seed)

    def _noise(self) -> list[Example]:
        """The recordings of noise, if the recipe adds any."""
        if not self.config.feature_noise:
            return []
        return [Example(id=path.name, audio=path, duration_s=recording_s(path), text="") for path in self.data.noise]

    def _lists(self, manifests: Sequence[Path]) -> list[list[Example]]:
        """The recordings of each manifest that has any; each such list has a cache of features of its own."""
        lists = [entries for path in manifests if (entries := read_manifest(path))]
        if not lists:
            raise TrainingError(f"{', '.join(map(str, manifests))}: nothing to train on")
        return lists

    def _pools(self) -> list[tuple[str, Sequence[Path]]]:
        """The name and the manifests of each pool that is drawn from."""
        pools = [("domain", self.data.domain)]
        if self._rehearses:
            pools.append(("rehearsal", self.data.rehearsal))
        return pools

    def _selection(self, model: nemo.Model, manifests: Sequence[Path]) -> Selection:
        """The features of the recordings that can be used."""
        mels, speeds = model.cfg.preprocessor.features, self.config.feature_speeds
        caches = [opened(self._features, entries, speeds, mels=mels) for entries in self._lists(manifests)]
        return select(caches, max_frames=round(self.config.max_utterance_s * HOPS_PER_S))

    def _pool(self, model: nemo.Model, pool: str, manifests: Sequence[Path], share: float) -> Recordings:
        selection = self._selection(model, manifests)
        left_out(selection, pool, manifests, self.config.max_utterance_s)
        caches = selection.caches
        return recordings(
            caches[0] if len(caches) == 1 else FeatureCaches(caches),
            share=share,
            tokenize=_spelling(model).tokens,
            blank=model.tokenizer.vocab_size,
            timed=self.config.aligned_rounds > 0,
        )

    def dev(self) -> list[Example]:
        """The dev recordings: a fixed subset of `train.dev_utterances`, evenly spaced over the manifests."""
        entries: list[Example] = []
        for path in self.data.dev:
            entries += read_manifest(path)
        if not entries:
            raise TrainingError("no dev recordings; without them no checkpoint can be called best")
        chosen = np.linspace(0, len(entries) - 1, min(len(entries), self.config.dev_utterances)).round().astype(int)
        return [entries[i] for i in chosen]

    def _written_dev(self, model: nemo.Model) -> list[Example]:
        """The dev recordings with their texts as the tokenizer can write them: so the training texts are written."""
        fold = _spelling(model).fold
        return [entry.model_copy(update={"text": fold(entry.text)[0]}) for entry in self.dev()]

    def save(self, model: nemo.Model, keeper: "Keeper") -> Path:
        """Put the best weights into the model and write it as `.nemo`."""
        model.load_state_dict(torch.load(keeper.best, weights_only=True))
        path = self.folder / "tuned.nemo"
        nemo.save(model, path)
        return path


def _spelling(model: nemo.Model) -> lines.Spelling:
    return lines.Spelling(model.tokenizer.text_to_ids, unknown=model.tokenizer.tokenizer.unk_id())


def _problem_of_decoding(entry: Example) -> str:
    """Why an example cannot be decoded whole; empty if it can."""
    try:
        load(entry)
    except AudioError as error:
        return str(error)
    return ""


def _crowded(cache: FeatureCache, spelling: lines.Spelling) -> int:
    """How many texts have more tokens than their audio has encoder frames."""
    frames_E = (cache.lengths.min(axis=1) // SUBSAMPLING).tolist()
    pairs = zip(cache.entries, frames_E, strict=True)
    return sum(len(spelling.tokens(entry.text)) > frames for entry, frames in pairs)


class Keeper(Callback):
    """Shows progress; at the end of each round scores on dev and keeps the last state to resume from and the best."""

    def __init__(self, folder: Path, rounds: Rounds, dev: Sequence[Example], config: TrainSection, say: Say):
        self.last = folder / "last.ckpt"
        self.best = folder / "best.pt"
        self._history = folder / "history.json"
        self._rounds = rounds
        self._dev = dev
        self._config = config
        self._say = say
        self._audio: list[Any] = []
        self._frames = 0  # of this process, in this round
        self._shown = ExitStack()
        self._advance: Callable[[int], object] | None = None
        self._step = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            self._step = trainer.global_step
            count = counted("train", total=self._config.steps, done=self._step)
            self._advance = self._shown.enter_context(count)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._frames += sum(batch.frames_on_host())
        if self._advance and trainer.global_step > self._step:
            self._advance(trainer.global_step - self._step)
            self._step = trainer.global_step

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._shown.close()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._rounds.round = trainer.global_step // self._config.eval_every_steps
        self._rounds.rank, self._rounds.processes = trainer.global_rank, trainer.world_size

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module = cast(TuningModule, pl_module)
        module.check_losses()
        weights = module.weights()
        wer_of = self._dev_wer(module, weights, trainer)
        wer = wer_of.pop("all")
        module.log("dev_wer", wer, rank_zero_only=True)
        loss = float(trainer.callback_metrics.get("loss", np.nan))
        if trainer.is_global_zero:
            self._note(trainer, weights, {"dev_wer": wer, **wer_of}, loss)
        _whole(self.last, trainer.save_checkpoint, trainer)  # last of all: what it does not know of is done again
        if trainer.is_global_zero:
            parts = "".join(f", {key.removeprefix('dev_wer_')} {100 * value:.1f} %" for key, value in wer_of.items())
            self._say(f"step {trainer.global_step}: loss {loss:.3f}, dev WER {100 * wer:.1f} %{parts}")

    def _note(
        self, trainer: Trainer, weights: Mapping[str, torch.Tensor], wer_of: Mapping[str, float], loss: float
    ) -> None:
        history = [row for row in self.history() if row["step"] < trainer.global_step]
        if all(wer_of["dev_wer"] < row["dev_wer"] for row in history):
            copies = {key: weight.detach().clone() for key, weight in weights.items()}
            _whole(self.best, lambda path: torch.save(copies, path), trainer)
        hours_before = history[-1].get("hours", 0.0) if history else 0.0
        hours = hours_before + self._frames / HOPS_PER_S / 3600 * trainer.world_size
        self._frames = 0
        history.append({"step": trainer.global_step, **wer_of, "loss": round(loss, 4), "hours": round(hours, 3)})
        write_text(self._history, json.dumps(history, indent=1))

    def history(self) -> list[dict[str, float]]:
        """Step, dev WER (all, and of each source), loss and hours of audio at the end of each round so far."""
        return json.loads(self._history.read_text()) if self._history.is_file() else []

    def _dev_wer(self, module: TuningModule, weights: Mapping[str, torch.Tensor], trainer: Trainer) -> dict[str, float]:
        """WER with the weights that would be saved, of "all" dev recordings and of each source if there are several.

        Each process recognises its part of the recordings.
        """
        model, part = module.model, self._dev[trainer.global_rank :: trainer.world_size]
        self._audio = self._audio or [load(entry) for entry in part]
        trained = {key: value.clone() for key, value in model.state_dict().items()}
        model.load_state_dict(weights)
        nemo.give_log_probabilities(model)
        recognized = nemo.NemoRecognizer(model, batch=device.dev_batch(module.device.type)).recognize(self._audio)
        nemo.give_logits(model)
        model.load_state_dict(trained)
        model.train()
        sources = sorted({entry.source for entry in self._dev})
        counts = [0] * 2 * len(sources)  # errors and words of each source
        for entry, recognition in zip(part, recognized, strict=True):
            place = 2 * sources.index(entry.source)
            errors, words = errors_and_words(entry.text, recognition.text)
            counts[place] += errors
            counts[place + 1] += words
        counts = sum_over_processes(counts, trainer.strategy)
        errors_of, words_of = counts[::2], counts[1::2]
        wer_of = {"all": round(sum(errors_of) / sum(words_of), 5)}
        if len(sources) > 1:
            for source, errors, words in zip(sources, errors_of, words_of, strict=True):
                wer_of[f"dev_wer_{source}"] = round(errors / max(1, words), 5)
        return wer_of


def errors_and_words(reference: str, hypothesis: str) -> tuple[int, int]:
    """Wrong words, and words of the reference."""
    counts = jiwer.process_words(" ".join(text.words(reference)), " ".join(text.words(hypothesis)))
    errors = counts.substitutions + counts.deletions + counts.insertions
    return errors, counts.substitutions + counts.deletions + counts.hits


def sum_over_processes(counts: Sequence[int], strategy: Any) -> list[int]:
    """The sums of counts over all processes of a Lightning strategy.

    They are added on the strategy's own device, because NCCL adds nothing else.
    """
    sums: torch.Tensor = strategy.reduce(torch.tensor(counts, device=strategy.root_device), reduce_op="sum")
    return [int(value) for value in sums]


def _whole(path: Path, write: Callable[[Path], object], trainer: Trainer) -> None:
    """Let `write` make a file that is whole or absent; where all processes must call it, the first renames."""
    partial = partial_path(path)
    write(partial)
    if trainer.is_global_zero:
        put_in_place(partial, path)
