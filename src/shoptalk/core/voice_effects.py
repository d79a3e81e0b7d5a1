"""What makes another voice of a recording, as pure functions on samples at 16 kHz: speed, tempo, pitch, vocal tract.

Shapes: T samples, N frames of a short-time spectrum, F frequencies. The end of a recording never rings.
"""

from fractions import Fraction

import numpy as np
import numpy.typing as npt

from shoptalk.core.audio import SAMPLE_RATE_HZ, resample
from shoptalk.core.effects import fitted
from shoptalk.core.records import Samples

NYQUIST_HZ = SAMPLE_RATE_HZ / 2
WARP_TOP_HZ = 4_800.0
"""Above it the warp of a vocal tract bends back, so that 8 kHz stay 8 kHz (VTLP: Jaitly and Hinton 2013)."""
WINDOW = 512
HOP = 128
LIFTER_S = 0.002
"""What of the cepstrum is the vocal tract: shorter than a period of a voice of up to 500 Hz."""
MOST_WARP_GAIN_DB = 24.0


def change_speed(samples_T: Samples, *, factor: float) -> Samples:
    """Faster (factor > 1) and higher, as a tape would: `factor` times fewer samples."""
    return resample(samples_T, from_hz=round(SAMPLE_RATE_HZ * factor), to_hz=SAMPLE_RATE_HZ)


def change_tempo(samples_T: Samples, *, factor: float) -> Samples:
    """Faster (factor > 1) at the same pitch: `factor` times fewer samples (FFmpeg's ``atempo``, WSOLA).

    Sounds are moved by up to 50 ms against an even stretch. `factor` is between 0.5 and 2.
    """
    import av

    graph = av.filter.Graph()
    tick = Fraction(1, SAMPLE_RATE_HZ)
    source = graph.add_abuffer(sample_rate=SAMPLE_RATE_HZ, format="flt", layout="mono", time_base=tick)
    tempo, sink = graph.add("atempo", f"{factor:.6f}"), graph.add("abuffersink")
    source.link_to(tempo)
    tempo.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples_T[None], np.float32), "flt", "mono")
    frame.sample_rate, frame.pts = SAMPLE_RATE_HZ, 0
    graph.push(frame)
    graph.push(None)
    parts: list[Samples] = [np.zeros(0, np.float32)]
    while True:
        try:
            parts.append(np.asarray(graph.pull().to_ndarray()[0], np.float32))
        except av.EOFError:
            break
    return fitted(np.concatenate(parts), round(samples_T.size / factor))


def change_pitch(samples_T: Samples, *, semitones: float) -> Samples:
    """Higher (semitones > 0) or lower at the same tempo; the formants of the vocal tract stay where they are."""
    ratio = 2 ** (semitones / 12)
    shifted_T = change_speed(change_tempo(samples_T, factor=1 / ratio), factor=ratio)
    return change_vocal_tract(fitted(shifted_T, samples_T.size), factor=1 / ratio)


def change_vocal_tract(samples_T: Samples, *, factor: float) -> Samples:
    """A vocal tract `factor` times as short: formants lie `factor` times as high, the pitch stays, and the energy.

    The envelope of each short-time spectrum, which is its smoothed logarithm, is stretched along the frequencies.
    """
    from scipy.signal import ShortTimeFFT
    from scipy.signal.windows import hann

    energy = float(np.sum(np.square(samples_T, dtype=np.float64)))
    if factor == 1.0 or not energy:
        return samples_T
    transform = ShortTimeFFT(hann(WINDOW, sym=False), HOP, SAMPLE_RATE_HZ)
    padded_T = fitted(samples_T, max(samples_T.size, WINDOW))
    spectra_FN = transform.stft(padded_T)
    envelope_FN = _envelope(np.log(np.abs(spectra_FN) + 1e-6))
    read = warped_hz(transform.f, factor) / transform.delta_f
    before_F = np.minimum(read.astype(int), len(read) - 2)
    part_F1 = (read - before_F)[:, None]
    wanted_FN = envelope_FN[before_F] * (1 - part_F1) + envelope_FN[before_F + 1] * part_F1
    most = MOST_WARP_GAIN_DB / 20 * np.log(10)
    warped_FN = spectra_FN * np.exp(np.clip(wanted_FN - envelope_FN, -most, most))
    warped_T = transform.istft(warped_FN, k1=padded_T.size)[: samples_T.size]
    warped_energy = float(np.sum(np.square(warped_T)))
    return np.asarray(warped_T * np.sqrt(energy / warped_energy if warped_energy else 1.0), np.float32)


def _envelope(log_FN: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The smooth part of log spectra: what is left of their cepstra up to `LIFTER_S`."""
    cepstra_QN = np.fft.irfft(log_FN, axis=0)
    kept = round(LIFTER_S * SAMPLE_RATE_HZ)
    cepstra_QN[kept:-kept] = 0.0
    return np.fft.rfft(cepstra_QN, axis=0).real


def warped_hz(hz: npt.NDArray[np.float64], factor: float) -> npt.NDArray[np.float64]:
    """Where a vocal tract `factor` times as short had what it now has at `hz`; nothing leaves 0 to 8 kHz."""
    top_hz = WARP_TOP_HZ * min(factor, 1.0)
    return np.interp(hz, [0.0, top_hz, NYQUIST_HZ], [0.0, top_hz / factor, NYQUIST_HZ])
