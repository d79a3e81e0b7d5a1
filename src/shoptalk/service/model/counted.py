"""A live stream that holds a place until it is over, whatever ends it.

Shapes: S samples of a feed.
"""

from collections.abc import Callable

from shoptalk.core.protocols import Partial
from shoptalk.core.records import Samples
from shoptalk.service.model.work import LiveStream


class CountedStream:
    """A `LiveStream` around another one."""

    def __init__(self, stream: LiveStream, leave: Callable[[], None]):
        """`leave` is called once, when the stream has ended, cannot go on or is closed."""
        self._stream = stream
        self._leave: Callable[[], None] | None = leave

    async def feed(self, samples_S: Samples, *, last: bool = False) -> Partial:
        """As the stream does."""
        try:
            partial = await self._stream.feed(samples_S, last=last)
        except BaseException:
            self.close()
            raise
        if last:
            self.close()
        return partial

    def close(self) -> None:
        """Close the stream and free the place; harmless after the end."""
        self._stream.close()
        leave, self._leave = self._leave, None
        if leave:
            leave()
