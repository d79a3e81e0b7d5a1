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
from shoptalk.engine.gpu.looping import Emitted, Looping, Standing, collected
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


class Lane(NamedTuple):
    """Where graphs of one kind are captured and replayed, one after the other."""

    stream: torch.cuda.Stream
    pool: Pool


class Replay:
    """A function of tensors that stay where they are: write into `inputs`, then call."""

    def __init__(self, function: Callable[..., Tensors], inputs: Tensors, *, lane: Lane | None):
        """With a lane the function is captured as a CUDA graph; it may change its inputs."""
        self.function, self.inputs = function, inputs
        self._graph: torch.cuda.CUDAGraph | None = None
        self._outputs: Tensors = ()
        if lane is not None:
            self._capture(lane)

    def __call__(self) -> Tensors:
        """Copies of the outputs, since the next call of any graph of the same pool may overwrite them."""
        if self._graph is None:
            return self.function(*self.inputs)
        self._graph.replay()
        return tuple(output.clone() for output in self._outputs)

    def _capture(self, lane: Lane) -> None:
        """On the lane's own stream. PyTorch keeps one cuBLAS workspace for each stream, and a graph remembers the one
        of its capture: graphs of one capture stream that run at the same time write into each other's partial sums,
        and wait for counters that the other has reset."""
        lane.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(lane.stream):
            for _ in range(WARM_UPS):
                self.function(*self.inputs)
        self._graph = graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=lane.pool, stream=lane.stream):
            self._outputs = self.function(*self.inputs)
        torch.cuda.current_stream().wait_stream(lane.stream)


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
        self._lanes: tuple[Lane | None, Lane | None] = (None, None)
        if self.device.type == "cuda":
            # decoding first: its kernels are small, and the host waits for them
            streams = torch.cuda.Stream(self.device), torch.cuda.Stream(self.device, priority=-1)
            encoding, decoding = (Lane(stream, torch.cuda.graph_pool_handle()) for stream in streams)
            self._streams, self._lanes = streams, (encoding, decoding)
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
            stretches: list[Emitted] = []
            for _ in range(self._most_stretches(batch.encoded_BTJ.shape[1])):
                *columns, left = replay()
                stretches.append(Emitted(*columns))
                if not left:  # waits for this stream only; the encoder's goes on
                    return collected(stretches, batch.rows)
            raise RuntimeError("decoding does not come to its end: a kernel computes something else than it should")

    def _most_stretches(self, frames: int) -> int:
        """Each round emits a token or moves on, and a frame emits at most `max_symbols` tokens."""
        return frames * (self.looping.transducer.shape.max_symbols + 1) // self.looping.rounds + 2

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
        return Replay(self._encoded, (features_BTM, frames_B), lane=self._lanes[0] if is_short else None)

    def _encoded(self, features_BTM: torch.Tensor, frames_B: torch.Tensor) -> Tensors:
        lengths_B = self.encoder.subsampling.frames(frames_B)
        encoded_BTD = self._padded(features_BTM, frames_B, lengths_B)
        transducer = self.looping.transducer
        return transducer.project_encoded(encoded_BTD.to(transducer.gates_VX.dtype)), lengths_B

    def _decoder_of(self, size: Bucket) -> Replay:
        standing = self.looping.start(size.rows)
        encoded_BTJ = standing.predicted_BJ.new_zeros(*size, self._joint)
        inputs = (encoded_BTJ, torch.zeros_like(standing.at_B), *(part.clone() for part in standing))
        return Replay(self._stretch, inputs, lane=self._lanes[1])

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
