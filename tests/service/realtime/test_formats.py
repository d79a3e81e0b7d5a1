"""From bytes to samples: G.711 by another implementation's tables, and nothing that depends on how bytes were cut."""

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.records import Samples
from shoptalk.service.realtime.formats import ALAW, ULAW, Decoder, Format

FORMATS = [
    Format(),
    Format("audio/pcm", 16_000),
    Format("audio/pcm", 44_100),
    Format("audio/pcmu", 8_000),
    Format("audio/pcma", 8_000),
]
NOISE = np.random.default_rng(0).integers(0, 256, 60_000, np.uint8).tobytes()


def decoded(form: Format, pieces: list[bytes]) -> Samples:
    decoder = Decoder(form)
    return np.concatenate([*(decoder.feed(piece) for piece in pieces), decoder.flush()])


@pytest.mark.parametrize("form", FORMATS)
@given(cuts=st.lists(st.integers(0, len(NOISE)), max_size=12))
@settings(max_examples=15, deadline=None)
def test_samples_do_not_depend_on_the_cuts(form: Format, cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(NOISE)]
    pieces = [NOISE[start:end] for start, end in zip(places, places[1:], strict=False)]
    np.testing.assert_array_equal(decoded(form, pieces), decoded(form, [NOISE]))


def test_pcm_is_resampled_as_a_whole_recording_is() -> None:
    pcm = (8000 * np.sin(np.arange(24_000) / 20)).astype("<i2")
    expected = soxr.resample(pcm.astype(np.float32) / 2**15, 24_000, SAMPLE_RATE_HZ)
    samples_S = decoded(Format(), [pcm.tobytes()[place : place + 333] for place in range(0, 2 * pcm.size, 333)])
    np.testing.assert_allclose(samples_S, expected, atol=1e-6)


def test_what_follows_a_flush_is_another_recording() -> None:
    decoder = Decoder(Format())
    first, second = decoder.feed(NOISE[:4801]), decoder.flush()
    again_S = np.concatenate([decoder.feed(NOISE[:4800]), decoder.flush()])
    np.testing.assert_array_equal(again_S, np.concatenate([first, second]))


@pytest.mark.parametrize("table, name", [(ULAW, "pcm_mulaw"), (ALAW, "pcm_alaw")])
def test_g711_is_that_of_ffmpeg(table: Samples, name: str) -> None:
    import av

    decoder = av.CodecContext.create(name, "r")
    decoder.sample_rate, decoder.layout = 8_000, "mono"  # type: ignore[attr-defined]
    frames = decoder.decode(av.Packet(bytes(range(256))))  # type: ignore[attr-defined]
    expected = np.concatenate([frame.to_ndarray().ravel() for frame in frames])
    np.testing.assert_array_equal(table * 2**15, expected)
