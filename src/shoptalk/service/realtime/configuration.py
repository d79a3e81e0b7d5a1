"""What a realtime session is set to: OpenAI's fields, what they mean here, and how an update changes them.

An update names what changes and leaves the rest as it is. An object changes field by field, but `turn_detection` of
another type replaces the one before; null turns a thing off. Unknown fields are left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shoptalk.service.http import fields
from shoptalk.service.http.fields import Wanted
from shoptalk.service.problems import Problem
from shoptalk.service.realtime.formats import G711_RATE_HZ, LEAST_RATE_HZ, MOST_RATE_HZ, PCM_RATE_HZ, Format
from shoptalk.service.realtime.turns import Rules

LOGPROBS = "item.input_audio_transcription.logprobs"
TENTATIVE = "item.input_audio_transcription.tentative"
"""Ours, of `include`: words that may still change are told, too."""
Included = Literal["item.input_audio_transcription.logprobs", "item.input_audio_transcription.tentative"]
SILENCE_S = {"low": 2.0, "medium": 1.0, "auto": 1.0, "high": 0.5}
"""After so much silence a turn ends under `semantic_vad`, by its eagerness. No model judges here what was said."""
COMMITTED_BY_CLIENTS = ("gpt-realtime-whisper", "gpt-live-transcribe")
"""Models that have no turn detection at OpenAI. Clients that name them leave `turn_detection` out and commit."""
MOST_MS = 60_000
"""Of padding and silence."""
OLD_FORMATS = {"pcm16": "audio/pcm", "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}
"""How `transcription_session.update` names formats."""
TEXT = 20_000
"""Characters of a prompt, a keyword or a name at most."""


class _Part(BaseModel):
    """Fields that nobody knows are left out."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class AudioFormat(_Part):
    """`audio.input.format`."""

    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"] = "audio/pcm"
    rate: int | None = Field(default=None, ge=LEAST_RATE_HZ, le=MOST_RATE_HZ)


class NoiseReduction(_Part):
    """`audio.input.noise_reduction`: accepted, without effect."""

    type: Literal["near_field", "far_field"] | None = None
    strength: float | None = Field(default=None, ge=0, le=1)


class Transcription(_Part):
    """`audio.input.transcription`."""

    model: str | None = Field(default=None, max_length=TEXT)
    language: str | None = Field(default=None, max_length=TEXT)
    languages: list[str] | None = None
    prompt: str | None = Field(default=None, max_length=TEXT)
    keywords: list[str] | None = None
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None
    """Accepted, without effect."""
    vocabulary: str | list[str] | None = None
    """Ours: names of the key's vocabularies."""


class ServerVad(_Part):
    """`audio.input.turn_detection` of type server_vad."""

    type: Literal["server_vad"] = "server_vad"
    threshold: float = Field(default=0.5, ge=0, le=1)
    prefix_padding_ms: int = Field(default=300, ge=0, le=MOST_MS)
    silence_duration_ms: int = Field(default=500, ge=0, le=MOST_MS)


class SemanticVad(_Part):
    """`audio.input.turn_detection` of type semantic_vad."""

    type: Literal["semantic_vad"] = "semantic_vad"
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"


class AudioInput(_Part):
    """`audio.input`."""

    format: AudioFormat = AudioFormat()
    noise_reduction: NoiseReduction | None = None
    transcription: Transcription | None = None
    turn_detection: ServerVad | SemanticVad | None = Field(default=None, discriminator="type")


class Audio(_Part):
    """`audio`."""

    input: AudioInput = AudioInput()


class SessionFields(_Part):
    """What an update may hold."""

    type: Literal["transcription"] = "transcription"
    audio: Audio = Audio()
    include: list[Included] | None = None


@dataclass(frozen=True)
class Configuration:
    """A session's fields; immutable, so that an item keeps those that it began with."""

    fields: SessionFields = SessionFields()
    names_turns: bool = False
    """Whether the client said how turns are to be told, if only that they are not."""

    @property
    def _input(self) -> AudioInput:
        return self.fields.audio.input

    @property
    def format(self) -> Format:
        """Of the audio that comes."""
        form = self._input.format
        if form.type != "audio/pcm":
            return Format(form.type, form.rate or G711_RATE_HZ)
        return Format(form.type, form.rate or PCM_RATE_HZ)

    @property
    def model(self) -> str | None:
        """As the client names it; None: the default model."""
        return (self._input.transcription or Transcription()).model

    @property
    def logprobs(self) -> bool:
        return LOGPROBS in (self.fields.include or ())

    @property
    def tentative(self) -> bool:
        return TENTATIVE in (self.fields.include or ())

    @property
    def turn_detection(self) -> ServerVad | SemanticVad | None:
        """As it is in force: server_vad where nothing was said, but for models that have none at OpenAI."""
        if self.names_turns:
            return self._input.turn_detection
        return None if (self.model or "").startswith(COMMITTED_BY_CLIENTS) else ServerVad()

    @property
    def rules(self) -> Rules | None:
        """Of turns; None where the client commits."""
        detection = self.turn_detection
        if isinstance(detection, SemanticVad):
            return Rules(silence_s=SILENCE_S[detection.eagerness])
        if detection is None:
            return None
        padding_s, silence_s = detection.prefix_padding_ms / 1000, detection.silence_duration_ms / 1000
        return Rules(detection.threshold, padding_s, silence_s)

    @property
    def wanted(self) -> Wanted:
        """What is asked of the transcripts."""
        asked = self._input.transcription or Transcription()
        names = [asked.vocabulary] if isinstance(asked.vocabulary, str) else asked.vocabulary or []
        return Wanted(
            model=asked.model,
            keywords=tuple(asked.keywords or ()),
            prompt=asked.prompt or "",
            vocabularies=tuple(dict.fromkeys(names)),
        )

    def shown(self) -> dict[str, Any]:
        """As `session.created` and `session.updated` tell it."""
        shown = self.fields.model_dump(exclude_none=True)
        given = shown["audio"]["input"]
        form = self.format
        given["format"] = {"type": form.kind} | ({"rate": form.rate_hz} if form.kind == "audio/pcm" else {})
        given.setdefault("noise_reduction", None)
        given.setdefault("transcription", {})
        detection = self.turn_detection
        given["turn_detection"] = detection.model_dump() if detection else None
        shown.setdefault("include", [])
        return shown

    def updated(self, session: object) -> "Configuration":
        """With what `session.update` changes; `Problem` 400 names the field that is wrong."""
        if not isinstance(session, dict):
            raise Problem(400, "`session` is missing", code="missing_required_parameter", param="session")
        if session.get("type", "transcription") != "transcription":
            cure = "send `session.type` 'transcription'"
            message = f"this server transcribes and holds no conversations; {cure}"
            raise Problem(400, message, code="invalid_value", param="session.type")
        before = self.fields.model_dump(exclude_unset=True)
        after = _merged(before, session)
        names_turns = self.names_turns or "turn_detection" in _within(session, "audio", "input")
        try:
            changed = SessionFields.model_validate(after)
        except ValidationError as error:
            raise _wrong(error) from None
        asked = changed.audio.input.transcription or Transcription()
        where = "session.audio.input.transcription"
        fields.check_languages(f"{where}.language", [asked.language or ""])
        fields.check_languages(f"{where}.languages", asked.languages or [])
        return Configuration(changed, names_turns)


def with_model(model: str | None) -> Configuration:
    """The configuration of a session whose address names a model, or none."""
    if not model:
        return Configuration()
    return Configuration().updated({"audio": {"input": {"transcription": {"model": model}}}})


def of_old_form(session: object) -> object:
    """The session of a `transcription_session.update`, the form before `session.update`, in the form of that."""
    if not isinstance(session, dict):
        return session
    given: dict[str, Any] = {}
    for old, new in (
        ("input_audio_noise_reduction", "noise_reduction"),
        ("input_audio_transcription", "transcription"),
        ("turn_detection", "turn_detection"),
    ):
        if old in session:
            given[new] = session[old]
    if "input_audio_format" in session:
        name = session["input_audio_format"]
        given["format"] = {"type": OLD_FORMATS.get(name, name) if isinstance(name, str) else name, "rate": None}
    rest = {"include": session["include"]} if "include" in session else {}
    return {"audio": {"input": given}, **rest}


def _merged(before: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Objects are merged, all else is replaced; an object of another `type` is replaced too."""
    merged = dict(before)
    for name, value in change.items():
        old = before.get(name)
        if isinstance(value, dict) and isinstance(old, dict) and value.get("type", old.get("type")) == old.get("type"):
            merged[name] = _merged(old, value)
        else:
            merged[name] = value
    return merged


def _within(content: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """The object at a path; empty where there is none."""
    for name in names:
        inner = content.get(name)
        if not isinstance(inner, dict):
            return {}
        content = inner
    return content


def _wrong(error: ValidationError) -> Problem:
    """The first field that is wrong, without its value."""
    first = error.errors(include_input=False, include_url=False)[0]
    places: Sequence[str | int] = [part for part in first["loc"] if part not in ("server_vad", "semantic_vad")]
    where = ".".join(["session", *map(str, places)])
    return Problem(400, f"`{where}`: {first['msg']}", code="invalid_value", param=where)
