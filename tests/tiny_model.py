"""A FastConformer-TDT with Parakeet's structure and a few thousand random weights, made by NeMo itself."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DURATIONS = [0, 1, 2, 3, 4]
PIECES = 48
WIDTH = 16
_LINES = """the patient takes metformin twice a day and feels well
blood pressure is one hundred and forty over ninety
we will start apixaban and stop warfarin next week
no fever, no cough, and the chest is clear to the bases
please repeat the potassium and the creatinine on friday""".splitlines()


def build(folder: Path, changes: Mapping[str, Mapping[str, Any]] | None = None) -> Any:
    """A fresh `EncDecRNNTBPEModel` in eval mode; its tokenizer files lie in `folder`.

    `changes` replaces keys of the config's sections, e.g. ``{"encoder": {"xscaling": True}}``.
    """
    import torch
    from nemo.collections.asr.models import EncDecRNNTBPEModel
    from omegaconf import OmegaConf

    _train_tokenizer(folder)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        config = OmegaConf.merge(_config(folder), changes or {})
        model = EncDecRNNTBPEModel(cfg=config)
    return model.eval()


def _train_tokenizer(folder: Path) -> None:
    import sentencepiece

    content = io.BytesIO()  # a model_prefix would be written into the model
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(_LINES),
        model_writer=content,
        vocab_size=PIECES,
        model_type="bpe",
        bos_id=-1,
        eos_id=-1,
        minloglevel=2,
    )
    (folder / "tokenizer.model").write_bytes(content.getvalue())
    processor = sentencepiece.SentencePieceProcessor(model_proto=content.getvalue())
    pieces = [processor.id_to_piece(number) for number in range(processor.vocab_size())]
    (folder / "tokenizer.vocab").write_text("".join(f"{piece}\t0\n" for piece in pieces), encoding="utf-8")
    (folder / "vocab.txt").write_text("\n".join(pieces[1:]) + "\n", encoding="utf-8")


def _config(folder: Path) -> dict[str, Any]:
    modules = "nemo.collections.asr.modules."
    return {
        "sample_rate": 16_000,
        "tokenizer": {"dir": str(folder), "type": "bpe"},
        "model_defaults": {
            "enc_hidden": WIDTH,
            "pred_hidden": WIDTH,
            "joint_hidden": WIDTH,
            "tdt_durations": DURATIONS,
            "num_tdt_durations": len(DURATIONS),
        },
        "preprocessor": {
            "_target_": modules + "AudioToMelSpectrogramPreprocessor",
            "sample_rate": 16_000,
            "normalize": "per_feature",
            "window_size": 0.025,
            "window_stride": 0.01,
            "window": "hann",
            "features": 80,
            "n_fft": 512,
            "dither": 0.0,
            "pad_to": 0,
        },
        "spec_augment": {"_target_": modules + "SpectrogramAugmentation", "freq_masks": 2, "time_masks": 2},
        "encoder": {
            "_target_": modules + "ConformerEncoder",
            "feat_in": 80,
            "feat_out": -1,
            "n_layers": 1,
            "d_model": WIDTH,
            "n_heads": 4,
            "subsampling": "dw_striding",
            "subsampling_factor": 8,
            "subsampling_conv_channels": 8,
            "ff_expansion_factor": 2,
            "self_attention_model": "rel_pos",
            "conv_kernel_size": 9,
            "conv_norm_type": "batch_norm",
            "use_bias": False,
        },
        "decoder": {
            "_target_": modules + "RNNTDecoder",
            "normalization_mode": None,
            "random_state_sampling": False,
            "blank_as_pad": True,
            "prednet": {"pred_hidden": WIDTH, "pred_rnn_layers": 1, "dropout": 0.0},
        },
        "joint": {
            "_target_": modules + "RNNTJoint",
            "log_softmax": None,
            "num_extra_outputs": len(DURATIONS),
            "jointnet": {"joint_hidden": WIDTH, "activation": "relu", "dropout": 0.0},
        },
        "decoding": {
            "strategy": "greedy_batch",
            "model_type": "tdt",
            "durations": DURATIONS,
            "greedy": {"max_symbols": 10, "use_cuda_graph_decoder": False},
        },
        "loss": {
            "loss_name": "tdt",
            "tdt_kwargs": {"fastemit_lambda": 0.0, "durations": DURATIONS, "sigma": 0.02, "omega": 0.1},
        },
    }
