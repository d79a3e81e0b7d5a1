"""Lhotse: its own manifests and Kaldi's data folders, as rows named like a NeMo manifest's columns; what Shar says of
an example."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from shoptalk.core.audio import SAMPLE_RATE_HZ, resample
from shoptalk.core.errors import ImportFormatError, MissingToolError
from shoptalk.core.records import Example, Samples

WHOLE_S = 0.0015
"""A supervision that is nearer than this to its recording's length is the whole of it: lhotse cuts to milliseconds."""
KALDI_FIELDS = {"wav.scp": 2, "text": 1, "utt2spk": 2, "segments": 4, "ctm": 5}
"""The fewest fields of a line."""


def rows(source: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where it stands, and the row of each supervision: of a cuts file, or of a folder with cuts or with recordings
    and supervisions (``*cuts*``, ``*recordings*``, ``*supervisions*``; jsonl, jsonl.gz or json).

    Word times are those of the alignment ``word``.
    """
    lhotse = _lhotse()
    cuts = source if source.is_file() else _manifest(source, "cuts")
    placed: list[tuple[Any, Any, float]] = []  # recording, segment, and where in the recording its cut starts
    with _readable(source):
        if cuts:
            manifest = lhotse.load_manifest(cuts)
            if not isinstance(manifest, lhotse.CutSet):
                kind = type(manifest).__name__
                raise ImportFormatError(f"{cuts}: holds {kind}; give cuts, or the folder of manifests")
            for cut in manifest:
                placed += [(_recording(cut), segment, cut.start) for segment in cut.supervisions]
        else:
            paths = [_manifest(source, kind) for kind in ("recordings", "supervisions")]
            if None in paths:
                raise ImportFormatError(f"{source}: has no lhotse cuts, nor recordings and supervisions")
            recordings, supervisions = (lhotse.load_manifest(path) for path in paths)
            by_id = {recording.id: recording for recording in recordings}
            placed = [(by_id.get(segment.recording_id), segment, 0.0) for segment in supervisions]
    for recording, segment, cut_start_s in placed:
        yield f"{source}: supervision {segment.id}", _row(recording, segment, cut_start_s)


def kaldi_rows(source: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The same of a Kaldi data folder: wav.scp, text, utt2spk, segments if there is one, and word times if it has a
    file ``ctm``. Pipes in wav.scp are refused, as they are commands to be run."""
    _lhotse()
    from lhotse.kaldi import load_kaldi_data_dir

    _check_kaldi(source)
    with _readable(source):
        recordings, supervisions, _ = load_kaldi_data_dir(source, SAMPLE_RATE_HZ)
        if supervisions is None:
            raise ImportFormatError(f"{source}: has neither segments nor utt2spk; add utt2spk")
        order = [segment.id for segment in supervisions]
        if (source / "ctm").is_file():
            supervisions = supervisions.with_alignment_from_ctm(source / "ctm")
        segments = {segment.id: segment for segment in supervisions}
        by_id = {recording.id: recording for recording in recordings}
    for name in order:
        segment = segments[name]
        yield f"{source}: utterance {name}", _row(by_id.get(segment.recording_id), segment, 0.0)


def described(
    name: str, example: Example, *, samples: int, rate_hz: int = SAMPLE_RATE_HZ
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The cut and the recording of an example as Lhotse Shar holds them: the sound lies beside, under `name`.

    What Lhotse has no place for is `custom` of the supervision; `rows` reads it there.
    """
    _lhotse()
    from lhotse import AudioSource, MonoCut, Recording, SupervisionSegment
    from lhotse.supervision import AlignmentItem

    length_s = samples / rate_hz
    recording = Recording(name, [AudioSource("shar", [0], "")], rate_hz, samples, length_s, channel_ids=[0])
    has_a_place = {"id", "audio", "duration_s", "offset_s", "text", "words"}
    custom = example.model_dump(mode="json", exclude_defaults=True, exclude=has_a_place)
    words = []
    for word, start_s, end_s in example.words:
        words.append(AlignmentItem(word, float(start_s), round(float(end_s) - float(start_s), 4)))
    segment = SupervisionSegment(
        id=example.id,
        recording_id=name,
        start=0.0,
        duration=length_s,
        text=example.text,
        speaker=example.voice or example.speaker or None,
        custom=custom or None,
        alignment={"word": words} if words else None,
    )
    cut = MonoCut(name, start=0.0, duration=length_s, channel=0, supervisions=[segment], recording=recording)
    return cut.to_dict(), recording.to_dict()


def _row(recording: Any, segment: Any, cut_start_s: float) -> dict[str, Any]:
    start_s = cut_start_s + segment.start
    custom: Mapping[str, Any] = segment.custom or {}
    words = []
    for word in (segment.alignment or {}).get("word", ()):
        if word.symbol:
            words.append((word.symbol, word.start - segment.start, word.end - segment.start))
    row = {
        "id": segment.id,
        "text": segment.text or "",
        "speaker": segment.speaker,
        "recording": segment.recording_id,
        "accent": custom.get("accent"),
        "context": custom.get("context"),
        "audio": None,
        "words": words,
    }
    if recording is None:
        return row
    whole = start_s < WHOLE_S and abs(segment.duration - recording.duration) < WHOLE_S
    if len(recording.sources) == 1 and recording.num_channels == 1 and not recording.transforms:
        held = recording.sources[0]
        if held.type in ("file", "memory"):
            cut = {} if whole else {"offset": start_s, "duration": segment.duration}
            return row | cut | {"audio": held.source}
    if any(origin.type not in ("file", "memory") for origin in recording.sources):
        raise ImportFormatError(
            f"recording {recording.id}: is a {recording.sources[0].type}, which is not run or fetched here; "
            "write its audio to files (lhotse: `cuts.save_audios(…)`)"
        )
    span = {} if whole else {"offset": start_s, "duration": segment.duration}
    paths = [Path(origin.source) for origin in recording.sources if origin.type == "file"]
    return row | {"audio": partial(_load, recording, segment.channel, span), "files": paths}


def _load(recording: Any, channel: Any, span: Mapping[str, float]) -> Samples:
    """One channel of what is more than a plain file."""
    with _readable(f"recording {recording.id}"):
        first = channel[0] if isinstance(channel, list) else channel
        samples_CT = recording.load_audio(channels=first, **span)
    return resample(samples_CT[0], from_hz=recording.sampling_rate, to_hz=SAMPLE_RATE_HZ)


def _recording(cut: Any) -> Any:
    if not getattr(cut, "has_recording", False) or not hasattr(cut, "recording"):
        raise ImportFormatError(f"cut {cut.id}: has no single recording; write its audio with `cuts.save_audios(…)`")
    return cut.recording


def _manifest(folder: Path, kind: str) -> Path | None:
    paths: list[Path] = []
    for ending in ("jsonl.gz", "jsonl", "json"):
        paths += folder.glob(f"*{kind}*.{ending}")
    if len(paths) > 1:
        raise ImportFormatError(f"{folder}: has {len(paths)} manifests of {kind}; leave one, e.g. {paths[0].name}")
    return paths[0] if paths else None


def _check_kaldi(folder: Path) -> None:
    """`ImportFormatError` that names lines which lhotse would stumble over without saying where."""
    if not folder.is_dir():
        raise ImportFormatError(f"{folder}: no such folder; give a Kaldi data folder")
    problems = []
    for name, fields in KALDI_FIELDS.items():
        path = folder / name
        lines = _lines(path) if path.is_file() else ()
        needed = fields + (name == "text" and not (folder / "segments").is_file())
        for number, line in enumerate(lines, start=1):
            if len(line.split()) < needed:
                problems.append(f"{path}:{number}: has {len(line.split())} fields of {needed}; complete or remove it")
            elif name == "wav.scp" and line.rstrip().endswith("|"):
                problems.append(f"{path}:{number}: is a command, which is not run here; write its audio to a file")
            elif name == "wav.scp" and not Path(line.split(maxsplit=1)[1].strip()).is_file():
                problems.append(f"{path}:{number}: the audio is not there; bring it, or start in the folder it is from")
    if problems:
        raise ImportFormatError("; ".join(problems[:20]) + (f"; {len(problems) - 20} more" if problems[20:] else ""))


def _lines(path: Path) -> Sequence[str]:
    """The lines of a file as lhotse reads them: in UTF-8, and not cut at U+2028."""
    try:
        with path.open(encoding="utf-8") as file:
            return list(file)
    except UnicodeDecodeError as error:
        raise ImportFormatError(f"{path}: not UTF-8 ({error.reason}); save the file as UTF-8") from None


@contextmanager
def _readable(source: object) -> Iterator[None]:
    """What lhotse raises over content is told as an `ImportFormatError`."""
    from lhotse.audio.utils import AudioLoadingError

    told = (AssertionError, AttributeError, EOFError, KeyError, OSError, RuntimeError, TypeError, ValueError)
    try:
        yield
    except ImportFormatError:
        raise
    except (AudioLoadingError, *told) as error:
        raise ImportFormatError(
            f"{source}: lhotse cannot read it ({type(error).__name__}: {str(error).partition(' Details')[0]}); "
            "try `lhotse validate` or Kaldi's utils/validate_data_dir.sh"
        ) from None


def _lhotse() -> Any:
    try:
        import lhotse
    except ImportError:
        raise MissingToolError("lhotse is not installed; run `pip install 'shoptalk[tuning]'`") from None
    return lhotse
