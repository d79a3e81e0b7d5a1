"""What happens to speech between mouth and recogniser, as pure functions on samples at 16 kHz.

T = samples. Every function keeps the length, except `change_speed`; none clips: the caller scales before writing.
"""

import io
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from shoptalk.core.audio import SAMPLE_RATE_HZ, decode, resample
from shoptalk.core.errors import AudioError
from shoptalk.core.records import Samples

if TYPE_CHECKING:
    from av.audio.stream import AudioStream

FRAME_S = 0.02
ACTIVE_DB = 30.0
"""A frame is speech if it is at most this far below the loud ones (95th percentile); pauses do not count."""

Codec = Literal["opus", "mp3"]
CODEC_BIT_RATES: dict[Codec, tuple[int, ...]] = {"opus": (8_000, 12_000, 16_000), "mp3": (16_000, 24_000, 32_000)}


def active_power(speech_T: Samples) -> float:
    """Mean square over the frames that hold speech; 0.0 for silence."""
    frame = round(FRAME_S * SAMPLE_RATE_HZ)
    whole = speech_T[: max(1, speech_T.size // frame) * frame].astype(np.float64)
    frames = whole.reshape(-1, min(frame, whole.size)) if whole.size else np.zeros((1, 1))
    power = np.mean(np.square(frames), axis=1)
    return float(np.mean(power[power >= np.quantile(power, 0.95) * 10 ** (-ACTIVE_DB / 10)]))


def add_noise(speech_T: Samples, noise_T: Samples, *, snr_db: float) -> Samples:
    """Speech plus noise (repeated or cut to its length) so that active speech is `snr_db` louder than the noise."""
    noise_T = np.resize(noise_T, speech_T.shape)
    noise_power = float(np.mean(np.square(noise_T, dtype=np.float64)))
    if noise_power <= 0.0:
        raise AudioError("the noise is silent; use another recording")
    scale = np.sqrt(active_power(speech_T) / noise_power * 10 ** (-snr_db / 10))
    return (speech_T + np.float32(scale) * noise_T).astype(np.float32)


def room(speech_T: Samples, rir_T: Samples) -> Samples:
    """Speech in a room: convolved with an impulse response from its direct path on (no delay), energy kept."""
    from scipy.signal import fftconvolve

    direct = int(np.argmax(np.abs(rir_T))) if rir_T.size else 0
    if not rir_T.any():
        raise AudioError("the impulse response is silent; use another recording")
    wet_T = fftconvolve(speech_T, rir_T[direct:] / rir_T[direct])[: speech_T.size]
    energy_in, energy_out = (float(np.sum(np.square(samples_T, dtype=np.float64))) for samples_T in (speech_T, wet_T))
    return np.asarray(wet_T * np.sqrt(energy_in / energy_out if energy_out else 1.0), np.float32)


class Room(NamedTuple):
    """A shoebox room in metres, with the part of the energy that its walls absorb."""

    size_m: tuple[float, float, float]
    absorption: float
    mouth_m: tuple[float, float, float]
    microphone_m: tuple[float, float, float]

    def __str__(self) -> str:
        size = "x".join(f"{side:.1f}" for side in self.size_m)
        distance_m = float(np.linalg.norm(np.subtract(self.mouth_m, self.microphone_m)))
        return f"simulated {size} m, absorption {self.absorption:.2f}, distance {distance_m:.2f} m"


def draw_room(rng: np.random.Generator) -> Room:
    """An office or a ward: 3–9 m by 3–7 m by 2.4–3.5 m, absorption 0.15–0.6, mouth 0.3–2.5 m from the microphone.

    Both stay at least 0.4 m away from the walls.
    """
    size = np.array([rng.uniform(3.0, 9.0), rng.uniform(3.0, 7.0), rng.uniform(2.4, 3.5)])
    absorption, distance_m = float(rng.uniform(0.15, 0.6)), float(rng.uniform(0.3, 2.5))
    microphone = rng.uniform(0.4, size - 0.4)
    direction = rng.normal(size=3)
    mouth = np.clip(microphone + distance_m * direction / np.linalg.norm(direction), 0.4, size - 0.4)
    return Room(_point(size), round(absorption, 3), _point(mouth), _point(microphone))


def _point(position: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (round(float(value), 3) for value in position)
    return x, y, z


def simulated_room(room: Room) -> Samples:
    """Impulse response of a shoebox room by the image method (Allen and Berkley 1979; pyroomacoustics)."""
    import pyroomacoustics

    material = pyroomacoustics.Material(room.absorption)
    shoebox = pyroomacoustics.ShoeBox(list(room.size_m), fs=SAMPLE_RATE_HZ, materials=material, max_order=12)
    shoebox.add_source(list(room.mouth_m))
    shoebox.add_microphone(list(room.microphone_m))
    shoebox.compute_rir()
    return np.asarray(shoebox.rir[0][0], np.float32)


def gain(samples_T: Samples, *, gain_db: float) -> Samples:
    return (samples_T * np.float32(10 ** (gain_db / 20))).astype(np.float32)


def change_speed(samples_T: Samples, *, factor: float) -> Samples:
    """Faster (factor > 1) and higher, as a tape would: `factor` times fewer samples."""
    return resample(samples_T, from_hz=round(SAMPLE_RATE_HZ * factor), to_hz=SAMPLE_RATE_HZ)


def telephone(samples_T: Samples) -> Samples:
    """A telephone line: 300–3400 Hz, 8 kHz, 8-bit mu-law (ITU-T G.711, the companding curve), and back to 16 kHz."""
    from scipy.signal import butter, sosfiltfilt

    band = butter(4, (300.0, 3400.0), "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    narrow_T = sosfiltfilt(band, samples_T, padlen=min(samples_T.size - 1, 400)).astype(np.float32)
    low_T = np.clip(resample(narrow_T, from_hz=SAMPLE_RATE_HZ, to_hz=8_000), -1.0, 1.0)
    mu = 255.0
    coded_T = np.round(np.sign(low_T) * np.log1p(mu * np.abs(low_T)) / np.log1p(mu) * 127.0) / 127.0
    heard_T = np.sign(coded_T) * np.expm1(np.abs(coded_T) * np.log1p(mu)) / mu
    return _fitted(resample(heard_T.astype(np.float32), from_hz=8_000, to_hz=SAMPLE_RATE_HZ), samples_T.size)


def codec(samples_T: Samples, *, name: Codec, bit_rate: int) -> Samples:
    """Through a real encoder and decoder (FFmpeg's libopus or libmp3lame) at `bit_rate` bits per second."""
    import av

    encoder, container_format = {"opus": ("libopus", "ogg"), "mp3": ("libmp3lame", "mp3")}[name]
    file = io.BytesIO()
    with av.open(file, mode="w", format=container_format) as container:
        stream = cast("AudioStream", container.add_stream(encoder, rate=SAMPLE_RATE_HZ, layout="mono"))
        stream.bit_rate = bit_rate
        pcm = np.round(np.clip(samples_T, -1.0, 1.0) * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE_HZ
        resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=SAMPLE_RATE_HZ)
        for part in (*resampler.resample(frame), *resampler.resample(None), None):
            container.mux(stream.encode(part))
    return _fitted(decode(file.getvalue()), samples_T.size)


def _fitted(samples_T: Samples, size: int) -> Samples:
    """Cut, or filled with silence, to `size`: codecs work in frames."""
    return np.pad(samples_T[:size], (0, max(0, size - samples_T.size))).astype(np.float32)
