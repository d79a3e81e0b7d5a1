"""What the config of a FastConformer-TDT checkpoint says of its shape; what the engine cannot run is a `ModelError`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.checkpoint import NemoInfo
from shoptalk.core.errors import ModelError
from shoptalk.core.tokens import SUBSAMPLING

PREEMPHASIS = 0.97
"""NeMo's default, where the config names none."""
LOG_GUARD = 2.0**-24
"""NeMo's default, where the config names none."""
MAX_SYMBOLS = 10
"""Tokens on one frame before decoding is moved on, where the config names no number."""


@dataclass(frozen=True)
class Shape:
    """Widths, counts and switches, by NeMo's meaning."""

    mels: int
    n_fft: int
    hop: int
    """Samples from one mel frame to the next."""
    preemphasis: float
    log_guard: float
    layers: int
    d_model: int
    heads: int
    kernel: int
    """Frames of the depthwise convolution."""
    channels: int
    """Of the subsampling."""
    scaled_input: bool
    """Whether the encoder's input is multiplied by the root of its width (NeMo's xscaling)."""
    reach: int | None
    """Frames of attention to each side; None: all."""
    predictor: int
    """Width of the predictor."""
    predictor_layers: int
    joint: int
    """Width of the joiner."""
    activation: str
    """Of the joiner: relu, tanh or sigmoid."""
    vocabulary: int
    durations: tuple[int, ...]
    max_symbols: int

    @classmethod
    def of(cls, info: NemoInfo) -> "Shape":
        """The shape of a checked `.nemo`."""
        config = info.config
        front = _section(info, config, "preprocessor")
        encoder = _section(info, config, "encoder")
        decoder = _section(info, config, "decoder")
        joint = _section(info, config, "joint")
        _require(info, "preprocessor", front, _FRONT)
        _require(info, "encoder", encoder, _ENCODER)
        _require(info, "decoder", decoder, _DECODER)
        predictor = _section(info, decoder, "prednet")
        joint_net = _section(info, joint, "jointnet")
        if not info.durations:
            raise ModelError(f"{info.path}: not a Token-and-Duration Transducer (loss.tdt_kwargs.durations is empty)")
        greedy = config.get("decoding", {}).get("greedy") or {}
        try:
            return cls(
                mels=int(front["features"]),
                n_fft=int(front.get("n_fft") or 512),
                hop=round(float(front["window_stride"]) * SAMPLE_RATE_HZ),
                preemphasis=float(front.get("preemph", PREEMPHASIS) or 0.0),
                log_guard=float(front.get("log_zero_guard_value", LOG_GUARD)),
                layers=int(encoder["n_layers"]),
                d_model=int(encoder["d_model"]),
                heads=int(encoder["n_heads"]),
                kernel=int(encoder["conv_kernel_size"]),
                channels=int(encoder["subsampling_conv_channels"]),
                scaled_input=bool(encoder.get("xscaling", True)),
                reach=_reach(info, encoder),
                predictor=int(predictor["pred_hidden"]),
                predictor_layers=int(predictor["pred_rnn_layers"]),
                joint=int(joint_net["joint_hidden"]),
                activation=str(joint_net["activation"]).lower(),
                vocabulary=info.vocabulary,
                durations=info.durations,
                max_symbols=int(greedy.get("max_symbols") or greedy.get("max_symbols_per_step") or MAX_SYMBOLS),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{info.path}: its config lacks what a FastConformer-TDT has ({error!r})") from None


_FRONT: Mapping[str, tuple[Any, ...]] = {
    "sample_rate": (SAMPLE_RATE_HZ, SAMPLE_RATE_HZ),
    "normalize": ("per_feature", "per_feature"),
    "frame_splicing": (1, 1),
    "exact_pad": (False, False),
    "mag_power": (2.0, 2.0),
    "log": (True, True),
    "log_zero_guard_type": ("add", "add"),
}
"""Key of the preprocessor: what NeMo takes where it is not given, and the values that the engine runs."""
_ENCODER: Mapping[str, tuple[Any, ...]] = {
    "subsampling": ("striding", "dw_striding"),
    "subsampling_factor": (4, SUBSAMPLING),
    "causal_downsampling": (False, False),
    "feat_out": (-1, -1),
    "reduction": (None, None),
    "conv_norm_type": ("batch_norm", "batch_norm"),
    "conv_context_size": (None, None),
    "self_attention_model": ("rel_pos", "rel_pos", "rel_pos_local_attn"),
    "att_context_style": ("regular", "regular"),
    "global_tokens": (0, 0),
}
"""The same for the encoder."""
_DECODER: Mapping[str, tuple[Any, ...]] = {
    "blank_as_pad": (True, True),
    "normalization_mode": (None, None),
}
"""The same for the decoder."""


def _require(info: NemoInfo, where: str, section: Mapping[str, Any], known: Mapping[str, tuple[Any, ...]]) -> None:
    """`ModelError` for the first key whose value the engine does not run."""
    for key, (default, *values) in known.items():
        value = section.get(key, default)
        if value not in values:
            wanted = " or ".join(map(repr, values))
            raise ModelError(f"{info.path}: {where}.{key} is {value!r}; the engine runs {wanted}, run it with NeMo")


def _reach(info: NemoInfo, encoder: Mapping[str, Any]) -> int | None:
    """Frames of attention to each side; None for all."""
    context = encoder.get("att_context_size") or [-1, -1]
    if context == [-1, -1]:
        return None
    is_pair = isinstance(context, list) and len(context) == 2 and isinstance(context[0], int)
    if not is_pair or not context[0] == context[1] > 0:
        raise ModelError(f"{info.path}: encoder.att_context_size is {context!r}; the engine runs [-1, -1] and [n, n]")
    return int(context[0])


def _section(info: NemoInfo, config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = config.get(name)
    if not isinstance(section, dict):
        raise ModelError(f"{info.path}: its config has no section {name}; this is no transducer")
    return section
