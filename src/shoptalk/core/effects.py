"""What happens to speech between mouth and recogniser, as pure functions on samples at 16 kHz.

`voice_effects` has what changes the voice itself. Shapes: T samples, P packets. Every function keeps the length and its
input. None clips by itself; what a line cannot carry is lowered with `lowered` before it.
"""

import io
from collections.abc import Sequence
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

PEAK = 0.99
SNR_TOLERANCE_DB = 0.1
"""How far the SNR of a mixture may be from the one that was asked for."""
TELEPHONE_HZ = (300.0, 3_400.0)
"""The band of a telephone line (ITU-T G.712)."""
MU = 255.0
A = 87.6
"""The constants of the two curves of ITU-T G.711."""
PACKET_S = 0.02
"""Speech in one packet, as telephony over IP sends it (RTP, RFC 3551)."""
FADED_PACKETS = 3
"""After so many repeated packets a concealed loss is silent, 60 ms, as in ITU-T G.711 Appendix I."""

Law = Literal["mu", "a"]
Concealment = Literal["zero", "repeat"]
Codec = Literal["opus", "mp3", "aac"]
CODEC_BIT_RATES: dict[Codec, tuple[int, ...]] = {
    "opus": (8_000, 12_000, 16_000),
    "mp3": (16_000, 24_000, 32_000),
    "aac": (16_000, 24_000, 32_000),
}
_CODEC_FORMS = {"opus": ("libopus", "ogg"), "mp3": ("libmp3lame", "mp3"), "aac": ("aac", "mp4")}
"""FFmpeg's encoder, and a container that says how many samples the encoder has put before the first."""


def active_power(speech_T: Samples) -> float:
    """Mean square over the frames that hold speech; 0.0 for silence."""
    frame = round(FRAME_S * SAMPLE_RATE_HZ)
    whole = speech_T[: max(1, speech_T.size // frame) * frame].astype(np.float64)
    frames = whole.reshape(-1, min(frame, whole.size)) if whole.size else np.zeros((1, 1))
    power = np.mean(np.square(frames), axis=1)
    return float(np.mean(power[power >= np.quantile(power, 0.95) * 10 ** (-ACTIVE_DB / 10)]))


def add_noise(speech_T: Samples, noise_T: Samples, *, snr_db: float) -> Samples:
    """Speech plus noise (repeated or cut to its length) so that active speech is `snr_db` louder than the noise.

    The SNR is measured again on what was mixed. `AudioError` if it is another one, or if either part is silent.
    """
    speech_power = active_power(speech_T)
    noise_T = np.resize(noise_T, speech_T.shape)
    noise_power = float(np.mean(np.square(noise_T, dtype=np.float64))) if noise_T.size else 0.0
    if noise_power <= 0.0:
        raise AudioError("the noise is silent; use another recording")
    if speech_power <= 0.0:
        raise AudioError("the speech is silent, so noise has no SNR beside it; take the recording out")
    scale = np.sqrt(speech_power / noise_power * 10 ** (-snr_db / 10))
    mixed_T = (speech_T + np.float32(scale) * noise_T).astype(np.float32)
    measured_db = measured_snr_db(speech_T, mixed_T)
    if not abs(measured_db - snr_db) <= SNR_TOLERANCE_DB:  # also where it is no number
        raise AudioError(
            f"the mixture has an SNR of {measured_db:.1f} dB where {snr_db:.1f} dB were asked for; the speech or the "
            "noise is too quiet, too loud or broken"
        )
    return mixed_T


def measured_snr_db(speech_T: Samples, mixed_T: Samples) -> float:
    """The SNR on active speech of a mixture, whose noise is what it has beside `speech_T`; infinite without noise."""
    noise_power = float(np.mean(np.square(mixed_T.astype(np.float64) - speech_T)))
    if not noise_power:
        return np.inf
    return 10 * float(np.log10(active_power(speech_T) / noise_power))


def babble(voices: Sequence[Samples], *, size: int, starts: Sequence[float]) -> Samples:
    """Several people who talk at once, equally loud: each voice repeated from a part of it (0..1) on, to `size`."""
    total_T = np.zeros(size, np.float64)
    for voice_T, start in zip(voices, starts, strict=True):
        power = active_power(voice_T)
        if power <= 0.0:
            raise AudioError("a voice of the babble is silent; use another recording")
        total_T += np.resize(np.roll(voice_T, -round(start * voice_T.size)), size) / np.sqrt(power)
    return total_T.astype(np.float32)


def white_noise(rng: np.random.Generator, *, size: int, level_db: float) -> Samples:
    """White noise at an RMS of `level_db` against full scale."""
    return rng.standard_normal(size, dtype=np.float32) * np.float32(10 ** (level_db / 20))


def at_level(samples_T: Samples, *, level_db: float) -> Samples:
    """The samples at an RMS of `level_db` against full scale; `AudioError` for silence."""
    rms = float(np.sqrt(np.mean(np.square(samples_T, dtype=np.float64)))) if samples_T.size else 0.0
    if not rms:
        raise AudioError("the noise is silent; use another recording")
    return gain(samples_T, gain_db=level_db - 20 * float(np.log10(rms)))


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


def lowered(samples_T: Samples, *, peak: float = PEAK) -> Samples:
    """The samples as they are, or so much quieter that none is beyond `peak`."""
    highest = max(float(np.abs(samples_T).max(initial=0.0)), 1e-9)
    return samples_T * np.float32(min(1.0, peak / highest))


def microphone(samples_T: Samples, *, low_hz: float, high_hz: float, tilt_db_per_octave: float) -> Samples:
    """A microphone's band, 48 dB an octave less outside of it, and a spectrum that rises or falls around 1 kHz.

    Without phase, so that every sound stays where it is. The level of what lies in the band at 1 kHz is kept.
    """
    padding = SAMPLE_RATE_HZ // 4  # the filter rings before and behind each sound
    padded_T = np.pad(samples_T.astype(np.float64), padding)
    hz = np.fft.rfftfreq(padded_T.size, 1 / SAMPLE_RATE_HZ)
    audible_hz = np.maximum(hz, 1.0)
    band = 1 / (1 + (low_hz / audible_hz) ** 8) / (1 + (audible_hz / high_hz) ** 8)
    tilt_db = tilt_db_per_octave * np.log2(np.maximum(hz, 100.0) / 1_000.0)
    filtered_T = np.fft.irfft(np.fft.rfft(padded_T) * band * 10 ** (tilt_db / 20), padded_T.size)
    return filtered_T[padding : padding + samples_T.size].astype(np.float32)


def telephone(samples_T: Samples, *, law: Law = "mu") -> Samples:
    """A telephone line: 300-3400 Hz, 8 kHz, 8 bits on the curve of ITU-T G.711, and back to 16 kHz.

    `law` is the curve: mu in North America and Japan, A elsewhere. Samples beyond 1 are clipped, as the line does.
    """
    from scipy.signal import butter, sosfiltfilt

    band = butter(4, TELEPHONE_HZ, "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    narrow_T = sosfiltfilt(band, samples_T, padlen=min(samples_T.size - 1, 400)).astype(np.float32)
    low_T = np.clip(resample(narrow_T, from_hz=SAMPLE_RATE_HZ, to_hz=8_000), -1.0, 1.0)
    carried_T = companded(low_T, law=law)
    return fitted(resample(carried_T, from_hz=8_000, to_hz=SAMPLE_RATE_HZ), samples_T.size)


def companded(samples_T: Samples, *, law: Law) -> Samples:
    """Samples in -1..1 after 8 bits on the continuous mu-law or A-law curve."""
    compressed, expanded = (_mu_compressed, _mu_expanded) if law == "mu" else (_a_compressed, _a_expanded)
    coded_T = np.round(np.sign(samples_T) * compressed(np.abs(samples_T)) * 127.0) / 127.0
    return (np.sign(coded_T) * expanded(np.abs(coded_T))).astype(np.float32)


def _mu_compressed(magnitude_T: Samples) -> npt.NDArray[np.float64]:
    return np.asarray(np.log1p(MU * magnitude_T) / np.log1p(MU))


def _mu_expanded(coded_T: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(np.expm1(coded_T * np.log1p(MU)) / MU)


def _a_compressed(magnitude_T: Samples) -> npt.NDArray[np.float64]:
    scale = 1 + np.log(A)
    quiet_T = A * magnitude_T / scale
    loud_T = (1 + np.log(np.maximum(A * magnitude_T, 1.0))) / scale
    return np.asarray(np.where(magnitude_T < 1 / A, quiet_T, loud_T))


def _a_expanded(coded_T: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    scale = 1 + np.log(A)
    return np.asarray(np.where(coded_T < 1 / scale, coded_T * scale / A, np.exp(coded_T * scale - 1) / A))


def codec(samples_T: Samples, *, name: Codec, bit_rate: int) -> Samples:
    """Through a real encoder and decoder of FFmpeg (libopus, libmp3lame, its AAC) at `bit_rate` bits per second."""
    import av

    encoder, container_format = _CODEC_FORMS[name]
    file = io.BytesIO()
    with av.open(file, mode="w", format=container_format) as container:
        stream = cast("AudioStream", container.add_stream(encoder, rate=SAMPLE_RATE_HZ, layout="mono"))
        stream.bit_rate = bit_rate
        pcm = np.round(np.clip(samples_T, -1.0, 1.0) * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE_HZ, 0  # what AAC puts before it then counts as before the start
        resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=SAMPLE_RATE_HZ)
        for part in (*resampler.resample(frame), *resampler.resample(None), None):
            container.mux(stream.encode(part))
    return fitted(decode(file.getvalue()), samples_T.size)


def codec_named(name: str) -> Codec:
    """The codec of a record."""
    for codec_name in CODEC_BIT_RATES:
        if codec_name == name:
            return codec_name
    raise AudioError(f"{name!r} is no codec; there are {', '.join(CODEC_BIT_RATES)}")


def draw_losses(rng: np.random.Generator, *, size: int, part: float, burst_packets: float) -> npt.NDArray[np.bool_]:
    """Which packets (P,) of `size` samples are lost: `part` of them, in bursts of `burst_packets` on average.

    Two states, received and lost, and the chance to go from one to the other (Gilbert 1960).
    """
    packets = -(-size // round(PACKET_S * SAMPLE_RATE_HZ))
    end = 1 / max(burst_packets, 1.0)
    begin = min(1.0, part * end / (1 - part)) if part < 1 else 1.0
    draws_P = rng.random(packets)
    lost_P = np.zeros(packets, bool)
    is_lost = False
    for packet, draw in enumerate(draws_P):
        is_lost = draw >= end if is_lost else draw < begin
        lost_P[packet] = is_lost
    return lost_P


def packet_loss(samples_T: Samples, lost_P: npt.NDArray[np.bool_], *, concealment: Concealment) -> Samples:
    """Speech without the packets that were lost: zeros in their place, or the last one repeated, ever quieter."""
    packet_T = round(PACKET_S * SAMPLE_RATE_HZ)
    concealed_T = samples_T.copy()
    last_T = np.zeros(packet_T, np.float32)
    repeats = 0
    for packet, is_lost in enumerate(lost_P):
        place = slice(packet * packet_T, (packet + 1) * packet_T)
        size = concealed_T[place].size
        if not is_lost:
            last_T, repeats = fitted(samples_T[place], packet_T), 0
            continue
        left = max(0.0, 1 - repeats / FADED_PACKETS) if concealment == "repeat" else 0.0
        concealed_T[place] = np.float32(left) * last_T[:size]
        repeats += 1
    return concealed_T


def fitted(samples_T: Samples, size: int) -> Samples:
    """Cut, or filled with silence, to `size`: codecs work in frames."""
    return np.pad(samples_T[:size], (0, max(0, size - samples_T.size))).astype(np.float32)
