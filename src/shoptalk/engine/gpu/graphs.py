"""Encoder and decoding rounds as CUDA graphs, one for each bucket of rows and frames; a batch is decoded on a second
stream while the next one is encoded.

On a CPU the same code runs without capture and streams.

Shapes: B rows, T mel frames of 10 ms, M mel bins, J width of the joint.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from shoptalk.core.tokens import SUBSAMPLING
from shoptalk.engine.encoder import KEPT_REACH, Encoder
from shoptalk.engine.gpu.looping import Looping, Said, Standing, collected
from shoptalk.engine.greedy import Decoded

if TYPE_CHECKING:  # it needs Triton
    from shoptalk.engine.gpu.rounds import FusedLooping

FRAME_STEP = 64
"""Mel frames (0.64 s) that buckets differ by: a 10 s clip is padded by 2 %."""
MOST_GRAPHS = 32
"""Buckets that are kept of each kind; the one that was not used for longest makes room."""
WARM_UPS = 2
"""Runs before a capture, in which libraries choose their kernels."""

Tensors = tuple[torch.Tensor, ...]
Padded = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
Pool = Any  # what torch.cuda.graph_pool_handle gives


class Bucket(NamedTuple):
    """Sizes that a batch is padded to."""

    rows: int
    frames: int


def bucket(rows: int, frames: int) -> Bucket:
    """The least power of two and the least multiple of `FRAME_STEP` that hold a batch."""
    return Bucket(1 << max(rows - 1, 0).bit_length(), max(1, -(-frames // FRAME_STEP)) * FRAME_STEP)


class Replay:
    """A function of tensors that stay where they are: write into `inputs`, then call."""

    def __init__(self, function: Callable[..., Tensors], inputs: Tensors, *, pool: Pool | None):
        """With a memory pool the function is captured as a CUDA graph; it may change its inputs."""
        self.function, self.inputs = function, inputs
        self._graph: torch.cuda.CUDAGraph | None = None
        self._outputs: Tensors = ()
        if pool is not None:
            self._capture(pool)

    def __call__(self) -> Tensors:
        """Copies of the outputs, since the next call of any graph of the same pool may overwrite them."""
        if self._graph is None:
            return self.function(*self.inputs)
        self._graph.replay()
        return tuple(output.clone() for output in self._outputs)

    def _capture(self, pool: Pool) -> None:
        aside, here = torch.cuda.Stream(), torch.cuda.current_stream()
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            for _ in range(WARM_UPS):
                self.function(*self.inputs)
        here.wait_stream(aside)
        self._graph = graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            self._outputs = self.function(*self.inputs)


class Shelf:
    """The replays of the buckets that were used last."""

    def __init__(self, make: Callable[[Bucket], Replay], most: int):
        self._make, self._most = make, most
        self.kept: OrderedDict[Bucket, Replay] = OrderedDict()

    def __call__(self, wanted: Bucket) -> Replay:
        if wanted not in self.kept:
            if len(self.kept) >= self._most:
                _, old = self.kept.popitem(last=False)
                if old.inputs[0].is_cuda:
                    torch.cuda.synchronize()  # it may still be running
            self.kept[wanted] = self._make(wanted)
        self.kept.move_to_end(wanted)
        return self.kept[wanted]


class _Encoded(NamedTuple):
    """A batch between encoder and decoder; `ready` tells another stream when it is whole."""

    encoded_BTJ: torch.Tensor
    frames_B: torch.Tensor
    rows: int
    ready: "torch.cuda.Event | None"


class Pipeline:
    """Features to tokens; `encoder` and `looping` lie on one device."""

    def __init__(
        self,
        encoder: Encoder,
        looping: "Looping | FusedLooping",
        *,
        padded: Padded | None = None,
        most: int = MOST_GRAPHS,
    ):
        """`padded` stands in for `Encoder.padded`: `layers.FusedEncoder`."""
        self.encoder, self.looping, self.device = encoder, looping, looping.device
        self.dtype = next(encoder.parameters()).dtype
        self._padded = padded or encoder.padded
        self._starts: dict[int, Standing] = {}
        self._joint = looping.transducer.shape.joint
        self.encoders, self.decoders = Shelf(self._encoder_of, most), Shelf(self._decoder_of, most)
        self._streams: tuple[torch.cuda.Stream | None, torch.cuda.Stream | None] = (None, None)
        self._pools: tuple[Pool | None, Pool | None] = (None, None)
        if self.device.type == "cuda":
            # decoding first: its kernels are small, and the host waits for them
            self._streams = torch.cuda.Stream(self.device), torch.cuda.Stream(self.device, priority=-1)
            self._pools = torch.cuda.graph_pool_handle(), torch.cuda.graph_pool_handle()
            self._settle()

    @torch.inference_mode()
    def decode(self, batches: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> Iterator[list[Decoded]]:
        """The tokens of batches of features (B, T, M) on the device, of which `frames` (B,) count."""
        waiting = None
        for features_BTM, frames_B in batches:
            encoded = self._encode(features_BTM, frames_B)
            if waiting:
                yield self._decode(waiting)
            waiting = encoded
        if waiting:
            yield self._decode(waiting)

    def _encode(self, features_BTM: torch.Tensor, frames_B: torch.Tensor) -> _Encoded:
        stream, (rows, frames, _) = self._streams[0], features_BTM.shape
        if stream:
            stream.wait_stream(torch.cuda.current_stream())
            features_BTM.record_stream(stream)
        with torch.cuda.stream(stream):
            replay = self.encoders(bucket(rows, frames))
            all_BTM, all_B = replay.inputs
            all_BTM[:rows, :frames].copy_(features_BTM)  # what older batches left behind the ends is masked
            all_B[rows:] = 0
            all_B[:rows].copy_(frames_B, non_blocking=True)
            encoded_BTJ, lengths_B = replay()
            return _Encoded(encoded_BTJ, lengths_B, rows, stream.record_event() if stream else None)

    def _decode(self, batch: _Encoded) -> list[Decoded]:
        stream = self._streams[1]
        if stream and batch.ready:
            stream.wait_event(batch.ready)
            batch.encoded_BTJ.record_stream(stream)
            batch.frames_B.record_stream(stream)
        with torch.cuda.stream(stream):
            replay = self.decoders(Bucket(*batch.encoded_BTJ.shape[:2]))
            for held, new in zip(replay.inputs, (batch.encoded_BTJ, batch.frames_B), strict=False):
                held.copy_(new)
            for held, new in zip(replay.inputs[2:], self._start(len(batch.frames_B)), strict=True):
                held.copy_(new)
            found, is_left = [], True
            while is_left:
                *columns, left = replay()
                found.append(Said(*columns))
                is_left = bool(left)  # waits for this stream only; the encoder's goes on
            return collected(found, batch.rows)

    def _start(self, rows: int) -> Standing:
        """Made once for each number of rows."""
        if rows not in self._starts:
            self._starts[rows] = self.looping.start(rows)
        return self._starts[rows]

    def _encoder_of(self, size: Bucket) -> Replay:
        shape = self.encoder.shape
        features_BTM = torch.zeros(*size, shape.mels, dtype=self.dtype, device=self.device)
        frames_B = torch.zeros(size.rows, dtype=torch.long, device=self.device)
        # positions beyond those that the encoder keeps are made anew each time, and would be kept by each graph
        is_short = self.encoder.reach is not None or size.frames <= KEPT_REACH * SUBSAMPLING
        return Replay(self._encoded, (features_BTM, frames_B), pool=self._pools[0] if is_short else None)

    def _encoded(self, features_BTM: torch.Tensor, frames_B: torch.Tensor) -> Tensors:
        lengths_B = self.encoder.subsampling.frames(frames_B)
        encoded_BTD = self._padded(features_BTM, frames_B, lengths_B)
        transducer = self.looping.transducer
        return transducer.project_encoded(encoded_BTD.to(transducer.gates_VX.dtype)), lengths_B

    def _decoder_of(self, size: Bucket) -> Replay:
        standing = self.looping.start(size.rows)
        encoded_BTJ = standing.predicted_BJ.new_zeros(*size, self._joint)
        inputs = (encoded_BTJ, torch.zeros_like(standing.at_B), *(part.clone() for part in standing))
        return Replay(self._stretch, inputs, pool=self._pools[1])

    def _stretch(self, encoded_BTJ: torch.Tensor, frames_B: torch.Tensor, *standing: torch.Tensor) -> Tensors:
        parts = self.looping.stretch(encoded_BTJ, frames_B, *standing)
        for held, new in zip(standing, parts, strict=False):
            held.copy_(new)
        return parts[len(standing) :]

    def _settle(self) -> None:
        """Let the encoder project all the positions that it keeps, since graphs read them where they lie."""
        frames = KEPT_REACH * SUBSAMPLING
        with torch.inference_mode():
            features_BTM = torch.zeros(1, frames, self.encoder.shape.mels, dtype=self.dtype, device=self.device)
            self._encoded(features_BTM, torch.tensor([frames], device=self.device))
