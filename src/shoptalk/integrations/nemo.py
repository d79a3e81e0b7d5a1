"""The integration of NVIDIA NeMo: build, restore, check, run and save a FastConformer-TDT model."""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shoptalk.core import checkpoint
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.disk import naming_full_disk
from shoptalk.core.errors import HubUnreachableError, ModelError
from shoptalk.core.files import write_file
from shoptalk.core.protocols import Options, refuse_extras
from shoptalk.core.quiet import quiet
from shoptalk.core.recipe import ModelSection
from shoptalk.core.records import Recognition, Samples
from shoptalk.core.tokens import FRAME_S, HOP_S, SUBSAMPLING, placed, words
from shoptalk.integrations.nemo_confidence import token_confidences

WINDOW_S = 0.025
HUB_TIMEOUT_S = 10.0
MODULES = "nemo.collections.asr.modules"

Model = Any  # nemo.collections.asr.models.EncDecRNNTBPEModel, whose package is imported inside functions


def build(shape: ModelSection, tokenizer_model: Path, *, sigma: float, omega: float) -> Model:
    """A model from scratch with Parakeet TDT's modules at the widths of `shape`, random weights.

    `tokenizer_model` is a SentencePiece file; NeMo wants it alone in a folder with its ``vocab.txt``.
    """
    asr = _asr()
    from omegaconf import OmegaConf

    return asr.models.EncDecRNNTBPEModel(cfg=OmegaConf.create(_config(shape, tokenizer_model.parent, sigma, omega)))


def restore(source: str | Path, *, sha256: str | None = None) -> Model:
    """A model from a `.nemo` path or from a hub name, checked before it is opened; on CPU, in float32.

    Raises `ModelError` if the file is missing, `UnsafeCheckpointError` if it could run code, `HubUnreachableError`
    within seconds if a hub name is given where no hub can be reached.
    """
    path = locate(source)
    checkpoint.inspect(path, sha256=sha256)
    model = _asr().models.EncDecRNNTBPEModel.restore_from(str(path), map_location="cpu")
    check_is_tdt(model)
    return model


def locate(source: str | Path) -> Path:
    """The `.nemo` file of a path or of a hub name; errors as of `restore`."""
    path = Path(source)
    if path.suffix == ".nemo" or path.exists():
        return path
    if str(source).count("/") == 1:
        return _from_hub(str(source))
    raise ModelError(f"{source}: neither a `.nemo` file nor a hub name such as nvidia/parakeet-tdt-0.6b-v2")


def check_is_tdt(model: Model) -> None:
    """`ModelError` unless the loss is TDT and the blank stands right behind the tokens.

    NeMo's ``change_vocabulary`` silently replaces the TDT loss by plain RNN-T and moves the blank index.
    """
    name = model.cfg.get("loss", {}).get("loss_name")
    durations = list(model.cfg.get("model_defaults", {}).get("tdt_durations", []))
    vocabulary = model.tokenizer.vocab_size
    if name != "tdt" or not durations:
        raise ModelError(f"the model's loss is {name!r} with durations {durations}; start from a TDT checkpoint")
    if model.joint.num_extra_outputs != len(durations) or model.decoder.blank_idx != vocabulary:
        raise ModelError(
            f"blank index {model.decoder.blank_idx} and {model.joint.num_extra_outputs} extra outputs do not fit "
            f"{vocabulary} tokens and {len(durations)} durations; the vocabulary was changed after training"
        )
    if getattr(model.loss, "_blank", vocabulary) != vocabulary:
        raise ModelError(f"the loss takes token {model.loss._blank} for the blank, it is {vocabulary}")


def is_masked_subsampling(layer: Any) -> bool:
    """Whether a layer is the convolutions of a FastConformer's subsampling, which mask the padding."""
    from nemo.collections.asr.parts.submodules.subsampling import MaskedConvSequential

    return isinstance(layer, MaskedConvSequential)


def encoder_width(model: Model) -> int:
    """Channels of the encoder's frames."""
    return int(model.encoder._feat_out)


def give_logits(model: Model) -> None:
    """Let the joint give logits, as a loss that normalises wants them."""
    model.joint.log_softmax = False


def decode_without_graphs(model: Model) -> None:
    """Let NeMo decode without CUDA graphs, which hold memory that a training needs."""
    model.disable_cuda_graphs()


def give_log_probabilities(model: Model) -> None:
    """Let the joint give what NeMo's decoding wants: log-probabilities on a CPU, logits on a GPU."""
    model.joint.log_softmax = None


def durations(model: Model) -> tuple[int, ...]:
    """The durations of a TDT model, in encoder frames."""
    return tuple(model.cfg.model_defaults.tdt_durations)


def save(model: Model, path: Path, *, half: bool = False) -> None:
    """Write a `.nemo` that stock NeMo restores; whole or not at all. `half` stores the weights as float16."""
    # Only what is written is halved: `model.half()` and back would round the model's own weights and tables.
    hook = model.register_state_dict_post_hook(_halve) if half else None
    try:
        with write_file(path) as partial:
            model.save_to(str(partial))
    finally:
        if hook:
            hook.remove()


def _halve(module: Any, weights: dict[str, Any], prefix: str, metadata: Any) -> None:
    weights.update({key: value.half() for key, value in weights.items() if value.is_floating_point()})


class NemoRecognizer:
    """Greedy TDT decoding by NeMo behind the `Recognizer` protocol; one owner, not thread-safe (NeMo #13988)."""

    def __init__(self, model: Model, *, batch: int):
        model.eval()
        model.preprocessor.featurizer.dither = 0.0  # the same audio gives the same words
        model.preprocessor.featurizer.pad_to = 0
        self._model = model
        self._batch = batch
        self._device = next(model.parameters()).device

    def recognize(self, audio: Sequence[Samples], options: Sequence[Options] = ()) -> list[Recognition]:
        """One `Recognition` for each audio, in order; batches are made of audio of like length."""
        refuse_extras(options, "NeMo, as it is run here,")
        order = sorted(range(len(audio)), key=lambda i: audio[i].size)
        recognitions: list[Recognition | None] = [None] * len(audio)
        for start in range(0, len(order), self._batch):
            chosen = order[start : start + self._batch]
            for index, result in zip(chosen, self._batch_of([audio[i] for i in chosen]), strict=True):
                recognitions[index] = result
        return [result for result in recognitions if result is not None]

    def _batch_of(self, audio: Sequence[Samples]) -> Iterator[Recognition]:
        import torch

        shortest = round(WINDOW_S * SAMPLE_RATE_HZ) * 4
        lengths = torch.tensor([max(samples.size, shortest) for samples in audio])
        signal_BT = torch.zeros(len(audio), int(lengths.max()))
        for row, samples in zip(signal_BT, audio, strict=True):
            row[: samples.size] = torch.from_numpy(np.ascontiguousarray(samples))
        with torch.inference_mode():
            encoded, frames = self._model.forward(
                input_signal=signal_BT.to(self._device), input_signal_length=lengths.to(self._device)
            )
            hypotheses = self._model.decoding.rnnt_decoder_predictions_tensor(
                encoder_output=encoded, encoded_lengths=frames, return_hypotheses=True
            )
        confidences = token_confidences(self._model, encoded, hypotheses)
        lengths_s = [samples.size / SAMPLE_RATE_HZ for samples in audio]
        yield from map(self._recognition, hypotheses, confidences, lengths_s)

    def _recognition(self, hypothesis: Any, confidences: Sequence[float], length_s: float) -> Recognition:
        tokens = [int(token) for token in hypothesis.y_sequence]
        starts = [int(frame) for frame in hypothesis.timestamp]
        spans = [int(span) for span in hypothesis.token_duration] if hypothesis.token_duration is not None else []
        spans = spans if len(spans) == len(tokens) else [1] * len(tokens)
        pieces = self._model.tokenizer.ids_to_tokens(tokens)
        timed_words = list(words(pieces, starts, spans, confidences, frame_s=FRAME_S))
        text = self._model.tokenizer.ids_to_text(tokens).strip()
        return Recognition(text=text, words=placed(timed_words, until_s=length_s))


def _from_hub(name: str) -> Path:
    """The `.nemo` file of a hub repository; fails within seconds where no hub can be reached."""
    from httpx2 import HTTPError
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.constants import HF_HUB_CACHE

    try:
        files = [sibling.rfilename for sibling in HfApi().model_info(name, timeout=HUB_TIMEOUT_S).siblings or ()]
        nemo = next((file for file in files if file.endswith(".nemo")), None)
        if nemo is None:
            raise ModelError(f"{name} holds no .nemo file; name a NeMo checkpoint")
        with naming_full_disk(Path(HF_HUB_CACHE)):
            return Path(hf_hub_download(name, nemo))
    except (OSError, HTTPError) as error:
        raise HubUnreachableError(
            f"{name} cannot be fetched ({type(error).__name__}); download the .nemo where the hub can be reached and "
            "give its path, or start from models/shoptalk-base-en-tiny"
        ) from None


def _asr() -> Any:
    """NeMo's speech package, with its start-up chatter silenced; its own logger tells errors alone from then on."""
    with quiet(logging.WARNING):
        import nemo.collections.asr as asr
        from nemo.utils import logging as nemo_logging
    nemo_logging.setLevel(logging.ERROR)
    return asr


def _config(shape: ModelSection, tokenizer_folder: Path, sigma: float, omega: float) -> dict[str, Any]:
    """The parts of Parakeet TDT's configuration, smaller."""
    spans = list(shape.durations)
    return {
        "sample_rate": SAMPLE_RATE_HZ,
        "compute_eval_loss": False,
        "log_prediction": False,
        "model_defaults": {
            "enc_hidden": shape.d_model,
            "pred_hidden": shape.predictor,
            "joint_hidden": shape.joint,
            "tdt_durations": spans,
            "num_tdt_durations": len(spans),
        },
        "tokenizer": {"dir": str(tokenizer_folder), "type": "bpe"},
        **_modules(shape),
        "decoding": {
            "strategy": "greedy_batch",
            "model_type": "tdt",
            "durations": spans,
            "greedy": {"max_symbols": 10},
            "beam": {"beam_size": 2, "return_best_hypothesis": True},
        },
        "loss": {
            "loss_name": "tdt",
            "tdt_kwargs": {"fastemit_lambda": 0.0, "clamp": -1.0, "durations": spans, "sigma": sigma, "omega": omega},
        },
    }


def _modules(shape: ModelSection) -> dict[str, Any]:
    """The parts that NeMo makes by the class that they name."""
    return {
        "preprocessor": {
            "_target_": f"{MODULES}.AudioToMelSpectrogramPreprocessor",
            "sample_rate": SAMPLE_RATE_HZ,
            "normalize": "per_feature",
            "window_size": WINDOW_S,
            "window_stride": HOP_S,
            "window": "hann",
            "features": shape.mels,
            "n_fft": 512,
            "frame_splicing": 1,
            "dither": 1e-5,
            "pad_to": 0,
        },
        "spec_augment": {
            "_target_": f"{MODULES}.SpectrogramAugmentation",
            "freq_masks": 2,
            "time_masks": 2,
            "freq_width": 20,
            "time_width": 0.05,
        },
        "encoder": {
            "_target_": f"{MODULES}.ConformerEncoder",
            "feat_in": shape.mels,
            "feat_out": -1,
            "n_layers": shape.layers,
            "d_model": shape.d_model,
            "use_bias": True,
            "subsampling": "dw_striding",
            "subsampling_factor": SUBSAMPLING,
            "subsampling_conv_channels": shape.subsampling_channels,
            "causal_downsampling": False,
            "ff_expansion_factor": 4,
            "self_attention_model": "rel_pos",
            "n_heads": shape.heads,
            "att_context_size": [-1, -1],
            "xscaling": False,
            "untie_biases": True,
            "pos_emb_max_len": 5000,
            "conv_kernel_size": 9,
            "conv_norm_type": "batch_norm",
            "conv_context_size": None,
            "dropout": shape.dropout,
            "dropout_pre_encoder": shape.dropout,
            "dropout_emb": 0.0,
            "dropout_att": shape.dropout,
        },
        "decoder": {
            "_target_": f"{MODULES}.RNNTDecoder",
            "normalization_mode": None,
            "random_state_sampling": False,
            "blank_as_pad": True,
            "prednet": {"pred_hidden": shape.predictor, "pred_rnn_layers": 1, "t_max": None, "dropout": shape.dropout},
        },
        "joint": {
            "_target_": f"{MODULES}.RNNTJoint",
            "log_softmax": None,
            "preserve_memory": False,
            "fuse_loss_wer": False,
            "fused_batch_size": None,
            "jointnet": {"joint_hidden": shape.joint, "activation": "relu", "dropout": shape.dropout},
            "num_extra_outputs": len(shape.durations),
        },
    }


def featurizer(model: Model) -> Callable[[Samples], npt.NDArray[np.float32]]:
    """The model's log-mel front end without dither, padding and normalisation: samples (T,) → features (T / hop, M)."""
    import copy

    import torch

    front = copy.deepcopy(model.preprocessor.featurizer).cpu().eval()
    front.dither, front.pad_to, front.normalize = 0.0, 0, ""

    def featurize(samples_T: Samples) -> npt.NDArray[np.float32]:
        signal_1T = torch.from_numpy(np.ascontiguousarray(samples_T))[None]
        with torch.inference_mode():
            # Not `front(...)`: NeMo wraps `forward` on the instance, and the copy's wrapper still calls the original,
            # which normalises.
            features_1MT, frames_1 = type(front).forward(front, signal_1T, torch.tensor([samples_T.size]))
        return np.asarray(features_1MT[0, :, : int(frames_1[0])].T.numpy(), np.float32)

    return featurize
