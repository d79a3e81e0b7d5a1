"""One recogniser in its own process, driven by `cpu.py` line by line: JSON comes in, JSON goes out.

    python benchmarks/engine/peers.py VARIANT MODEL THREADS

A request names recordings in an `.npz` file and a batch size; the answer tells texts, tokens, seconds, and resident
memory, the highest so far and now. MODEL is a `.nemo`, or the folder that `onnx_export.export` wrote. Nothing is
imported before it is needed, so an interpreter that holds one recogniser and NumPy serves for it.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Samples = np.ndarray[Any, Any]
VARIANTS = {
    "shoptalk fp32": "nemo", "shoptalk bf16": "nemo", "shoptalk int8": "nemo", "NeMo": "nemo",
    "onnx-asr fp32": "onnx-asr", "onnx-asr int8": "onnx-asr", "sherpa-onnx fp32": "sherpa-onnx",
    "sherpa-onnx int8": "sherpa-onnx",
}  # fmt: skip
"""Each with the form of the model that it opens."""

NEMO_WHOLE_S = 120
NEMO_REACH = [128, 128]


class Heard(NamedTuple):
    texts: list[str]
    tokens: int


class Peer(NamedTuple):
    """What hears a list of recordings, and what only computes features and encoder, where that can be reached."""

    hear: Callable[[Sequence[Samples]], Heard]
    encode: Callable[[Sequence[Samples]], object] | None = None


def shoptalk(precision: str, model: Path, threads: int) -> Peer:
    import torch

    torch.set_num_threads(threads)
    from shoptalk.engine import recognizer

    counted: list[int] = []
    decode = recognizer.decode

    def counting(*given: Any, **named: Any) -> Any:
        found = decode(*given, **named)
        counted.append(sum(len(one.tokens) for one in found))
        return found

    recognizer.decode = counting
    engine = recognizer.Engine(model, precision=precision)  # type: ignore[arg-type]

    def hear(spoken: Sequence[Samples]) -> Heard:
        counted.clear()
        return Heard([one.text for one in engine.recognize(spoken)], sum(counted))

    return Peer(hear, engine.encode)


def nemo(_: str, model: Path, threads: int) -> Peer:
    """With times and confidences, as the toolkit asks for them; long audio with local attention, as NeMo advises."""
    import torch

    torch.set_num_threads(threads)
    from shoptalk.integrations import nemo

    restored = nemo.restore(model)
    recognizer = nemo.NemoRecognizer(restored, batch=32)
    counted: list[int] = []
    decode = restored.decoding.rnnt_decoder_predictions_tensor

    def counting(*given: Any, **named: Any) -> Any:
        found = decode(*given, **named)
        counted.append(sum(len(one.y_sequence) for one in found))
        return found

    restored.decoding.rnnt_decoder_predictions_tensor = counting

    def hear(spoken: Sequence[Samples]) -> Heard:
        counted.clear()
        if max(one.size for one in spoken) > NEMO_WHOLE_S * 16_000:  # the last load, so it need not change back
            restored.change_attention_model("rel_pos_local_attn", NEMO_REACH)
            restored.eval()  # the new layers come in training mode, with dropout
        return Heard([one.text for one in recognizer.recognize(spoken)], sum(counted))

    def encode(spoken: Sequence[Samples]) -> object:
        signal_BT, samples_B = (torch.from_numpy(one) for one in _padded(spoken))
        with torch.inference_mode():
            return restored.forward(input_signal=signal_BT, input_signal_length=samples_B)

    return Peer(hear, encode)


def onnx_asr(precision: str, model: Path, threads: int) -> Peer:
    import onnx_asr
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    quantization = None if precision == "fp32" else precision
    loaded = onnx_asr.load_model(
        "nemo-conformer-tdt", model, quantization=quantization, sess_options=options, providers=["CPUExecutionProvider"]
    )

    def hear(spoken: Sequence[Samples]) -> Heard:
        found = list(loaded.asr.recognize_batch(*_padded(spoken)))
        return Heard([one.text.strip() for one in found], sum(len(one.tokens or ()) for one in found))

    return Peer(hear, lambda spoken: loaded.asr._encode(*loaded.asr._preprocessor(*_padded(spoken))))


def sherpa_onnx(precision: str, model: Path, threads: int) -> Peer:
    import sherpa_onnx

    end = ".onnx" if precision == "fp32" else f".{precision}.onnx"
    loaded = sherpa_onnx.OfflineRecognizer.from_transducer(
        **{name: str(model / f"{name}{end}") for name in ("encoder", "decoder", "joiner")},
        tokens=str(model / "tokens.txt"), model_type="nemo_transducer", num_threads=threads,
    )  # fmt: skip

    def hear(spoken: Sequence[Samples]) -> Heard:
        streams = []
        for one in spoken:
            streams.append(loaded.create_stream())
            streams[-1].accept_waveform(16_000, one)  # computes the features
        loaded.decode_streams(streams)
        results = [stream.result for stream in streams]
        return Heard([one.text.strip() for one in results], sum(len(one.tokens) for one in results))

    return Peer(hear)


def _padded(spoken: Sequence[Samples]) -> tuple[Samples, Samples]:
    signal_BT = np.zeros((len(spoken), max(one.size for one in spoken)), np.float32)
    for row, one in zip(signal_BT, spoken, strict=True):
        row[: one.size] = one
    return signal_BT, np.array([one.size for one in spoken])


def _batches(spoken: Sequence[Samples], batch: int) -> Iterator[Sequence[Samples]]:
    for start in range(0, len(spoken), batch):
        yield spoken[start : start + batch]


def memory() -> dict[str, int]:
    """Resident bytes of this process, at most and now; not `ru_maxrss`, which keeps what the parent had at the fork."""
    lines = [line.split() for line in Path("/proc/self/status").read_text().splitlines()]
    names = {"VmHWM:": "peak", "VmRSS:": "resident"}
    return {names[line[0]]: int(line[1]) * 1024 for line in lines if line and line[0] in names}


def main() -> None:
    name, precision, *_ = [*sys.argv[1].split(), ""]
    makers = {"shoptalk": shoptalk, "NeMo": nemo, "onnx-asr": onnx_asr, "sherpa-onnx": sherpa_onnx}
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    peer = makers[name](precision, Path(sys.argv[2]), int(sys.argv[3]))
    for line in sys.stdin:
        request = json.loads(line)
        with np.load(request["audio"]) as stored:
            spoken = [stored[name] for name in stored.files]
        batches = list(_batches(spoken, request["batch"]))
        answer: dict[str, Any] = {}
        begin = time.perf_counter()
        if not request.get("encode"):
            heard = [peer.hear(batch) for batch in batches]
            answer["texts"] = [text for one in heard for text in one.texts]
            answer["tokens"] = sum(one.tokens for one in heard)
        elif peer.encode:
            for batch in batches:
                peer.encode(batch)
        answer["seconds"] = time.perf_counter() - begin if peer.encode or "texts" in answer else None
        out.write(json.dumps(answer | memory()) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
