"""The engine by each of a GPU's paths against the plain engine; without a GPU the same code runs, uncaptured.

The kernels run in Triton's interpreter there, so that few recordings must do.
"""

import io
import json
import logging
import sys
import tarfile
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.engine.gpu import recorded_graphs

from shoptalk.core import audio
from shoptalk.core.errors import DeviceError, GpuMemoryError, MissingToolError, ModelError
from shoptalk.core.protocols import Options, Phrase
from shoptalk.core.records import Recognition, Samples
from shoptalk.core.runtime import GpuUse, current, using_threads
from shoptalk.engine.encoder import Encoder
from shoptalk.engine.gpu import memory
from shoptalk.engine.gpu.fp8 import Float8Linear
from shoptalk.engine.recognizer import Engine

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

ROOT = Path(__file__).parents[3]
GENERAL = ROOT / "assets/general"
TINY = ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"
GRAPHS, DECODING = GpuUse(cuda_graphs=True), GpuUse(device_decoding=True)
BOTH = GpuUse(cuda_graphs=True, device_decoding=True)
ON_CPU = pytest.mark.skipif(DEVICE == "cuda", reason="stands in for a GPU")


def opened(use: GpuUse, **keys: Any) -> Engine:
    return Engine(TINY, runtime=current(device=DEVICE, gpu=use), **keys)


@pytest.fixture(scope="module")
def speech() -> list[Samples]:
    """Eleven recordings."""
    lines = (GENERAL / "test.jsonl").read_text(encoding="utf-8").splitlines()[:330:30]
    return [audio.decode(GENERAL / json.loads(line)["audio_filepath"]) for line in lines]


@pytest.fixture(scope="module")
def short() -> list[Samples]:
    """The two shortest recordings."""
    lines = [json.loads(line) for line in (GENERAL / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    lines.sort(key=lambda line: float(line["duration"]))
    return [audio.decode(GENERAL / line["audio_filepath"]) for line in lines[:2]]


@pytest.fixture(scope="module")
def plain() -> Engine:
    return Engine(TINY)


def assert_same(recognitions: Sequence[Recognition], references: Sequence[Recognition]) -> None:
    for recognition, reference in zip(recognitions, references, strict=True):
        assert recognition.text == reference.text
        assert recognition.alternatives == reference.alternatives
        for word, wanted in zip(recognition.words, reference.words, strict=True):
            assert (word.word, word.start_s, word.end_s) == (wanted.word, wanted.start_s, wanted.end_s)
            assert word.confidence == pytest.approx(wanted.confidence, abs=5e-3)


@pytest.mark.parametrize("use", [GRAPHS, DECODING, BOTH], ids=["graphs", "device decoding", "both"])
def test_each_path_gives_the_words_and_times_of_the_plain_engine(
    use: GpuUse, plain: Engine, speech: list[Samples]
) -> None:
    """Rows with phrases or alternatives among the others, and long audio; batches of three."""
    recordings = [*speech[:7], torch.cat([torch.from_numpy(part) for part in speech]).numpy()]
    options = [Options()] * len(recordings)
    options[2] = Options((Phrase("restricted area"),))
    options[4] = Options(alternatives=2)
    runtime = replace(current(device=DEVICE, gpu=use), threads=2)  # which must not share what graphs read
    with using_threads(0):
        recognitions = Engine(TINY, runtime=runtime, batch=3).recognize(recordings, options)
    assert_same(recognitions, plain.recognize(recordings, options))


@pytest.mark.parametrize(
    "use",
    [
        GpuUse(attention_kernel=True),
        GpuUse(attention_kernel=True, cuda_graphs=True, device_decoding=True),
        GpuUse(fused_kernels=True),
        GpuUse(fused_kernels=True, cuda_graphs=True, device_decoding=True),
    ],
    ids=["attention", "attention, graphs, decoding", "fused", "all"],
)
def test_the_kernels_give_the_words_and_times_of_the_plain_engine(
    use: GpuUse, plain: Engine, short: list[Samples]
) -> None:
    pytest.importorskip("triton", reason="Triton is for Linux")
    recordings = short if DEVICE == "cuda" or not use.device_decoding else short[:1]
    recognitions = opened(use).recognize(recordings)
    assert_same(recognitions, plain.recognize(recordings))
    assert any(recognition.words for recognition in recognitions)


def test_local_attention_goes_with_the_kernel_only(plain: Engine, short: list[Samples]) -> None:
    pytest.importorskip("triton", reason="Triton is for Linux")
    with pytest.raises(ModelError, match="add engine.attention_kernel"):
        opened(GRAPHS, reach=8)
    use = GpuUse(attention_kernel=True, cuda_graphs=True)
    assert_same(opened(use, reach=8).recognize(short[:1]), Engine(TINY, reach=8).recognize(short[:1]))


def test_scales_of_8_bit_floats_come_from_the_recordings_given(plain: Engine, speech: list[Samples]) -> None:
    quiet = tuple(samples_T / 100 for samples_T in speech[:2])
    engine = opened(GpuUse(fp8_recordings=(*speech[:5],), cuda_graphs=True, device_decoding=True), batch=4)
    other = opened(GpuUse(fp8_recordings=quiet))
    layers = [module for module in engine.encoder.modules() if isinstance(module, Float8Linear)]
    others = [module for module in other.encoder.modules() if isinstance(module, Float8Linear)]
    assert len(layers) == len(others) == 4 * engine.encoder.shape.layers
    assert any(layer.input_scale != its for layer, its in zip(layers, (one.input_scale for one in others), strict=True))
    pairs = zip(engine.recognize(speech[5:]), plain.recognize(speech[5:]), strict=True)
    words = [(set(near.text.split()), set(reference.text.split())) for near, reference in pairs]
    assert sum(len(near & reference) for near, reference in words) > 0.7 * sum(len(wanted) for _, wanted in words)


def changed_weights(target: Path) -> Path:
    """The base with the weights of its first feed-forward layers scaled."""
    with tarfile.open(TINY) as old, tarfile.open(target, "w") as new:
        for member in old.getmembers():
            if not member.isfile():
                continue
            content = old.extractfile(member).read()  # type: ignore[union-attr]
            if member.name.endswith(".ckpt"):
                tensors = torch.load(io.BytesIO(content), weights_only=True)
                for name, tensor in tensors.items():
                    if "feed_forward1.linear1.weight" in name:
                        tensor.mul_(0.9)
                packed = io.BytesIO()
                torch.save(tensors, packed)
                content = packed.getvalue()
            member.size = len(content)
            new.addfile(member, io.BytesIO(content))
    return target


@pytest.mark.parametrize("use", [GpuUse(), BOTH], ids=["plain", "graphs and device decoding"])
def test_other_weights_are_captured_anew(
    use: GpuUse, plain: Engine, speech: list[Samples], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that cannot be opened changes nothing."""
    other = changed_weights(tmp_path / "other.nemo")
    before, after = plain.recognize(speech[:3]), Engine(other).recognize(speech[:3])
    assert [recognition.words for recognition in before] != [recognition.words for recognition in after]
    if DEVICE == "cpu":
        captures = recorded_graphs.stand_in(monkeypatch)
    engine = opened(use)
    assert_same(engine.recognize(speech[:3]), before)
    with pytest.raises(ModelError):
        engine.swap(tmp_path / "none.nemo")
    assert_same(engine.recognize(speech[:3]), before)
    if DEVICE == "cpu":
        known = len(captures)
        assert bool(known) == use.cuda_graphs
    engine.swap(other)
    assert engine.name == "other"
    assert_same(engine.recognize(speech[:3]), after)
    if DEVICE == "cpu":
        assert len(captures) == 2 * known
    engine.swap(TINY)
    assert_same(engine.recognize(speech[:3]), before)


# ---- memory of a GPU that does not suffice


def out_of_memory() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def out_of_workspaces() -> None:
    raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


def broken_capture() -> None:
    try:
        out_of_memory()
    finally:
        raise RuntimeError("CUDA error: operation failed due to a previous error during capture")


def limited(monkeypatch: pytest.MonkeyPatch, most: list[int], fail: Callable[[], None]) -> list[int]:
    """Let the encoder fail above `most` rows, a list that a test may change; gives the rows of each try."""
    tries: list[int] = []
    padded = Encoder.padded

    def limited_padded(encoder: Any, features_BTM: torch.Tensor, *lengths: torch.Tensor) -> torch.Tensor:
        tries.append(len(features_BTM))
        if len(features_BTM) > most[0]:
            fail()
        return padded(encoder, features_BTM, *lengths)

    monkeypatch.setattr("shoptalk.engine.encoder.Encoder.padded", limited_padded)
    return tries


@pytest.mark.parametrize(
    ("use", "fail"),
    [(GRAPHS, out_of_memory), (BOTH, out_of_workspaces), (BOTH, broken_capture)],
    ids=["encoder", "workspaces", "capture"],
)
def test_batches_shrink_where_memory_does_not_suffice(
    use: GpuUse, fail: Callable[[], None], plain: Engine, speech: list[Samples], monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    expected, most = plain.recognize(speech), [2]
    tries = limited(monkeypatch, most, fail)
    engine = opened(use, batch=8)
    with caplog.at_level(logging.WARNING):
        assert_same(engine.recognize(speech), expected)
    assert max(tries) == 8 and tries.count(8) == 1, "a size that did not fit is tried again"
    assert "for 8 recordings at once: going on with 4" in caplog.text
    assert "for 4 recordings at once: going on with 2" in caplog.text


@pytest.mark.parametrize("use", [GRAPHS, BOTH], ids=["graphs", "graphs and device decoding"])
def test_a_lack_of_memory_is_named_and_the_engine_lives_on(
    use: GpuUse, plain: Engine, speech: list[Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, most = plain.recognize(speech[:2]), [1]
    limited(monkeypatch, most, out_of_memory)
    engine = opened(use)
    most[0] = 0
    for _ in range(2):
        with pytest.raises(GpuMemoryError, match="for one recording; give shorter ones.*engine.precision"):
            engine.recognize(speech[:2])
    most[0] = 8
    assert_same(engine.recognize(speech[:2]), expected)


def test_other_errors_are_no_lack_of_memory(speech: list[Samples], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    most = [1]
    limited(monkeypatch, most, fail)
    engine = opened(BOTH)
    most[0] = 0
    with pytest.raises(RuntimeError, match="illegal") as raised:
        engine.recognize(speech[:2])
    assert not isinstance(raised.value, GpuMemoryError)


def test_what_failed_holds_no_memory_while_graphs_are_given_back() -> None:
    """The error's traceback would hold the tensors of the call that failed."""
    held: list[weakref.ref[torch.Tensor]] = []

    def run(batches: list[list[int]]) -> list[int]:
        large = torch.zeros(3)
        held.append(weakref.ref(large))
        if len(batches[0]) > 1:
            out_of_memory()
        return [len(batch) for batch in batches]

    def release() -> None:
        assert held[-1]() is None

    assert list(memory.in_fitting_batches([[4, 7], [9]], run, release)) == [([4], 1), ([7], 1), ([9], 1)]


@ON_CPU
def test_a_model_that_does_not_fit_is_told_when_it_is_opened(
    plain: Engine, speech: list[Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = opened(GpuUse())
    expected = engine.recognize(speech[:1])
    with monkeypatch.context() as patched:
        patched.setattr("shoptalk.engine.encoder.Encoder.to", lambda *_: out_of_memory())
        with pytest.raises(GpuMemoryError, match="engine.device=cpu"):
            engine.swap(TINY)
    assert_same(engine.recognize(speech[:1]), expected)


@ON_CPU
def test_a_gpu_that_is_not_there_is_named() -> None:
    with pytest.raises(DeviceError, match="set engine.device to cpu"):
        Engine(TINY, runtime=current(device="cuda"))


@ON_CPU
def test_kernels_that_a_cpu_cannot_run_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    attention = pytest.importorskip("shoptalk.engine.gpu.attention")
    monkeypatch.setattr(attention, "is_interpreted", lambda: False)
    with pytest.raises(ModelError, match="the kernels are for a GPU"):
        opened(GpuUse(attention_kernel=True))


@ON_CPU
def test_int8_is_refused_beside_the_paths_of_a_gpu() -> None:
    with pytest.raises(ModelError, match="int8 goes with none of a GPU's paths"):
        opened(GRAPHS, precision="int8")


def test_only_the_kernels_need_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)
    for module in ("attention", "layers", "rounds"):
        monkeypatch.delitem(sys.modules, f"shoptalk.engine.gpu.{module}", raising=False)
    opened(BOTH)
    for use in (GpuUse(attention_kernel=True), GpuUse(fused_kernels=True)):
        with pytest.raises(MissingToolError, match="pip install triton"):
            opened(use)
