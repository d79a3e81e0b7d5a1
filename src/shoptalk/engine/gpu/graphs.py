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


def lane_on(device: torch.device, *, priority: int = 0) -> Lane | None:
    """A lane of its own, or none where nothing is captured."""
    if device.type != "cuda":
        return None
    return Lane(torch.cuda.Stream(device, priority=priority), torch.cuda.graph_pool_handle())


def with_new_pool(lane: Lane | None) -> Lane | None:
    """The lane for graphs that follow on dropped ones: their pool is gone, their stream's workspaces stay in use."""
    return lane and lane._replace(pool=torch.cuda.graph_pool_handle())


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

    def forget(self) -> None:
        """Keep none of them."""
        if any(replay.inputs[0].is_cuda for replay in self.kept.values()):
            torch.cuda.synchronize()  # one may still be running
        self.kept.clear()


class Encoded(NamedTuple):
    """A batch between encoder and decoder; `ready` tells another stream when it is whole."""

    encoded_BTX: torch.Tensor
    frames_B: torch.Tensor
    rows: int
    ready: "torch.cuda.Event | None"


class GraphedEncoder:
    """The padded encoder, with a graph for each bucket."""

    def __init__(
        self,
        encoder: Encoder,
        *,
        padded: Padded | None = None,
        then: Callable[[torch.Tensor], torch.Tensor] | None = None,
        most: int = MOST_GRAPHS,
    ):
        """`padded` stands in for `Encoder.padded`: `layers.FusedEncoder`. `then` is captured behind it."""
        parameter = next(encoder.parameters())
        self.encoder, self.device, self.dtype = encoder, parameter.device, parameter.dtype
        self._padded, self._then = padded or encoder.padded, then
        self.shelf = Shelf(self._replay_of, most)
        self.lane = lane_on(self.device)
        if self.lane:
            self._settle()

    def __call__(self, features_BTM: torch.Tensor, frames_B: torch.Tensor) -> Encoded:
        """The frames of a batch in its bucket's size; it is whole when `ready` is reached."""
        stream = self.lane.stream if self.lane else None
        rows, frames, _ = features_BTM.shape
        if stream:
            stream.wait_stream(torch.cuda.current_stream())
            features_BTM.record_stream(stream)
        with torch.cuda.stream(stream):
            replay = self.shelf(bucket(rows, frames))
            all_BTM, all_B = replay.inputs
            all_BTM[:rows, :frames].copy_(features_BTM)  # what older batches left behind the ends is masked
            all_B[rows:] = 0
            all_B[:rows].copy_(frames_B, non_blocking=True)
            encoded_BTX, lengths_B = replay()
            return Encoded(encoded_BTX, lengths_B, rows, stream.record_event() if stream else None)

    def frames(self, features_BTM: torch.Tensor, frames_B: torch.Tensor) -> torch.Tensor:
        """The frames (B, T, X) of a batch without those of its bucket, for the stream that asks."""
        batch = self(features_BTM, frames_B)
        if batch.ready:
            torch.cuda.current_stream().wait_event(batch.ready)
            batch.encoded_BTX.record_stream(torch.cuda.current_stream())
        longest = int(self.encoder.subsampling.frames(frames_B).max())
        return batch.encoded_BTX[: batch.rows, :longest]

    def forget(self) -> None:
        """Drop all graphs: they read the tensors of their capture, and hold its memory."""
        self.shelf.forget()
        self.lane = with_new_pool(self.lane)

    def recapture(self) -> None:
        """To be called when the encoder has other weights: what was made of the old ones is made again."""
        self.forget()
        self.encoder.forget_positions()
        if self.lane:
            self._settle()

    def _replay_of(self, size: Bucket) -> Replay:
        features_BTM = torch.zeros(*size, self.encoder.shape.mels, dtype=self.dtype, device=self.device)
        frames_B = torch.zeros(size.rows, dtype=torch.long, device=self.device)
        # positions beyond those that the encoder keeps are made anew each time, and would be kept by each graph
        is_short = self.encoder.reach is not None or size.frames <= KEPT_REACH * SUBSAMPLING
        return Replay(self._encoded, (features_BTM, frames_B), lane=self.lane if is_short else None)

    def _encoded(self, features_BTM: torch.Tensor, frames_B: torch.Tensor) -> Tensors:
        lengths_B = self.encoder.subsampling.frames(frames_B)
        encoded_BTX = self._padded(features_BTM, frames_B, lengths_B)
        return (self._then(encoded_BTX) if self._then else encoded_BTX), lengths_B

    def _settle(self) -> None:
        """Let the encoder project all the positions that it keeps, since graphs read them where they lie."""
        frames = KEPT_REACH * SUBSAMPLING
        with torch.inference_mode():
            features_BTM = torch.zeros(1, frames, self.encoder.shape.mels, dtype=self.dtype, device=self.device)
            self._encoded(features_BTM, torch.tensor([frames], device=self.device))


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
        self.looping = looping
        self.encoding = GraphedEncoder(encoder, padded=padded, then=self._projected, most=most)
        self.decoders = Shelf(self._decoder_of, most)
        # before encoding: its kernels are small, and the host waits for them
        self.lane = lane_on(looping.device, priority=-1)
        self._starts: dict[int, Standing] = {}
        self._joint = looping.transducer.shape.joint

    @torch.inference_mode()
    def decode(self, batches: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> Iterator[list[Decoded]]:
        """The tokens of batches of features (B, T, M) on the device, of which `frames` (B,) count."""
        waiting = None
        for features_BTM, frames_B in batches:
            encoded = self.encoding(features_BTM, frames_B)
            if waiting:
                yield self._decode(waiting)
            waiting = encoded
        if waiting:
            yield self._decode(waiting)

    def forget(self) -> None:
        """Drop all graphs, and with them the memory that they hold; the next batches capture again."""
        self.encoding.forget()
        self.decoders.forget()
        self.lane = with_new_pool(self.lane)
        self._starts.clear()

    def recapture(self) -> None:
        """To be called when encoder or transducer have other weights: graphs read those of their capture."""
        self.forget()
        self.encoding.recapture()

    def _projected(self, encoded_BTD: torch.Tensor) -> torch.Tensor:
        transducer = self.looping.transducer
        projected_BTJ: torch.Tensor = transducer.project_encoded(encoded_BTD.to(transducer.gates_VX.dtype))
        return projected_BTJ

    def _decode(self, batch: Encoded) -> list[Decoded]:
        stream = self.lane.stream if self.lane else None
        if stream and batch.ready:
            stream.wait_event(batch.ready)
            batch.encoded_BTX.record_stream(stream)
            batch.frames_B.record_stream(stream)
        with torch.cuda.stream(stream):
            replay = self.decoders(Bucket(*batch.encoded_BTX.shape[:2]))
            for held, new in zip(replay.inputs, (batch.encoded_BTX, batch.frames_B), strict=False):
                held.copy_(new)
            for held, new in zip(replay.inputs[2:], self._start(len(batch.frames_B)), strict=True):
                held.copy_(new)
            stretches: list[Emitted] = []
            for _ in range(self._most_stretches(batch.encoded_BTX.shape[1])):
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

    def _decoder_of(self, size: Bucket) -> Replay:
        standing = self.looping.start(size.rows)
        encoded_BTJ = standing.predicted_BJ.new_zeros(*size, self._joint)
        inputs = (encoded_BTJ, torch.zeros_like(standing.at_B), *(part.clone() for part in standing))
        return Replay(self._stretch, inputs, lane=self.lane)

    def _stretch(self, encoded_BTJ: torch.Tensor, frames_B: torch.Tensor, *standing: torch.Tensor) -> Tensors:
        parts = self.looping.stretch(encoded_BTJ, frames_B, *standing)
        for held, new in zip(standing, parts, strict=False):
            held.copy_(new)
        return parts[len(standing) :]
