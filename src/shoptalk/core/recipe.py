"""The recipe's sections and keys: one YAML file is one experiment; every default stands here and nowhere else."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from shoptalk.core.languages import ENGLISH


@dataclass(frozen=True)
class NoEffect:
    """Marks a key that says how fast or where work is done, and so cannot change a product: signatures leave it out."""

    reason: str


class Section(BaseModel):
    """Base of the recipe's sections: immutable, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    def unused(self) -> frozenset[str]:
        """Keys that nothing reads because of what other keys of the section say."""
        return frozenset()


def require_ranges(section: Section, bounds: Mapping[str, tuple[float, float]]) -> None:
    """`ValueError`: a key that is a range is not in order, or goes beyond the least and the most that it may be."""
    for key, (least, most) in bounds.items():
        low, high = getattr(section, key)
        if not least <= low <= high <= most:
            raise ValueError(f"{key} is a range, the lower number first, from {least:g} to {most:g}")


class LexiconSection(Section):
    files: tuple[Path, ...] = (Path("lexicons/clinical.yaml"),)
    """Lists of terms: plain lists (.txt), CSV, TSV, YAML or JSONL files."""
    only: tuple[str, ...] = ()
    """Ids of the terms to use; empty: all."""
    pronunciations: Path | None = None
    """What people found right when they listened: the file that `shoptalk audition` writes."""
    dictionaries: tuple[Path, ...] = (Path("lexicons/clinical.yaml"),)
    """Lexicons whose IPA is used for terms that give none."""
    untaught: float = Field(default=0.25, ge=0, lt=1)
    """Part of the terms of each category that is held out: never trained, a control in the test. One of each category
    is always trained."""
    weigh: bool = False
    """Give terms without a `weight` one of their rarity in general English and their risk."""


class LlmSection(Section):
    kind: Literal["embedded", "openai"] = "embedded"
    """`embedded`: a model of the store. `openai`: an OpenAI-compatible endpoint."""
    model: str = "qwen2.5-coder-1.5b-instruct"
    """Name in the model store (embedded), or the endpoint's model name."""
    base_url: str = ""
    """Of an OpenAI-compatible endpoint, e.g. ``http://127.0.0.1:8000/v1``; its key is read from OPENAI_API_KEY."""
    temperature: float = Field(default=0.6, ge=0, le=2)
    """Of the sampling; higher gives more varied sentences."""
    concurrency: Annotated[int, NoEffect("each answer is asked for alone and kept in order")] = Field(default=4, ge=1)
    """Requests that are sent to an endpoint at once. The embedded model answers one after the other."""
    requests_per_minute: Annotated[int, NoEffect("how fast an endpoint is asked")] = Field(default=0, ge=0)
    """Requests that an endpoint gets in any minute; 0: no limit."""
    tokens_per_minute: Annotated[int, NoEffect("how fast an endpoint is asked")] = Field(default=0, ge=0)
    """Tokens, asked and answered, that an endpoint is sent in any minute; 0: no limit."""
    token_budget: Annotated[int, NoEffect("it stops a stage, which then goes on")] = Field(default=0, ge=0)
    """Tokens, asked and answered, that the stage may spend at an endpoint in all its runs. Then it stops, and goes on
    under a larger budget. 0: no limit."""
    reasoning_tokens: int = Field(default=0, ge=0)
    """Tokens that each answer of an endpoint may have beyond its sentences, for a model that reasons first."""

    def unused(self) -> frozenset[str]:
        return frozenset({"base_url", "reasoning_tokens"}) if self.kind == "embedded" else frozenset()


class MinimumSection(Section):
    """A minimum of the design table: a count for every combination of levels of some factors."""

    of: tuple[Literal["term", "context", "voice", "condition"], ...]
    """Factors, e.g. `[term, voice]`: each trained term with each group of voices. Contexts are the note sections that
    sentences of the term's category have."""
    at_least: int = Field(default=1, ge=1)
    """Training sentences of each combination."""


class CoverageSection(Section):
    voices: bool = True
    """Whether the training sentences of each term are spread evenly over the groups of voices: Kokoro's US and British
    women and men, and the accents (unless `speech.accents` is 0); of `speech.voices` the languages. Otherwise voices
    are drawn."""
    conditions: tuple[str, ...] = ()
    """Conditions of recording over which the augmented copies of each term are spread evenly: `clean`, `room`, `noise`,
    `noisy-room`, `telephone`, `codec`. Empty: effects are drawn as `augment` says."""
    minimum: tuple[MinimumSection, ...] = ()
    """What the training sentences must have, or stage 20 stops and names the cells that are short, e.g.
    `[{of: [term, voice], at_least: 3}, {of: [term, context]}]`."""

    @model_validator(mode="after")
    def _plans_what_it_counts(self) -> "CoverageSection":
        for minimum in self.minimum:
            if not minimum.of or len(set(minimum.of)) < len(minimum.of):
                raise ValueError("transcripts.coverage.minimum: `of` names each factor once, and at least one")
            if "voice" in minimum.of and not self.voices:
                raise ValueError("transcripts.coverage.minimum counts voices, but coverage.voices is false")
            if "condition" in minimum.of and not self.conditions:
                raise ValueError("transcripts.coverage.minimum counts conditions, but coverage.conditions names none")
        return self


class TranscriptsSection(Section):
    llm: LlmSection = LlmSection()
    """The language model that writes sentences."""
    write: Literal["auto", "carriers", "dictations"] = "auto"
    """What the LLM writes: carriers to be filled (`live_carriers` of them), or whole dictations. `auto`: dictations
    where it is an endpoint, else carriers."""
    trade: str = ""
    """Where the terms are said, e.g. ``a coffee bar``. Empty: a clinic, if the lexicon has a category of the shipped
    carriers, else what the LLM takes the terms for. In another trade the shipped carriers are not used."""
    contexts: tuple[str, ...] = ()
    """Who speaks to whom, for the LLM's prompts, e.g. ``[a customer orders at the counter]``. Empty: the LLM proposes
    them; a clinic's are given."""
    texts: tuple[Path, ...] = ()
    """Your own texts of the domain, plain or JSONL with `text`. What is like a prompt is shown to the LLM, and nothing
    near them enters the corpus. With an endpoint, sentences of them are sent there."""
    live_carriers: int = Field(default=0, ge=0)
    """Carrier sentences that the LLM writes in this run for categories that a bank covers. For other categories it
    writes as many as their terms need, whatever stands here; for covered ones alone and 0, no LLM is loaded."""
    carrier_files: tuple[Path, ...] = (Path("lexicons/carriers-clinical.jsonl"),)
    """Banks of carriers: JSONL with `id`, `text`, `category`, `source`, and optionally `section`, `specialty`."""
    train_per_term: int = Field(default=20, ge=1)
    """Training sentences of each trained term of weight 1. Others have so many times their weight, between 0.5 and 4;
    what it adds is made as far as there are carriers."""
    dev_per_term: int = Field(default=2, ge=1)
    """Dev sentences of each trained term."""
    test_per_term: int = Field(default=6, ge=1)
    """Test sentences of each term; held-out terms have test sentences only."""
    check_privacy: bool = True
    """Refuse sentences that may tell who a person is: names, dates of birth, record and telephone numbers, addresses
    ([privacy.md](privacy.md)). Off only for texts of which you know better."""
    allowed_words: tuple[str, ...] = ()
    """Words with a capital that are nobody's name, beside those of the lexicon, e.g. places and makes."""
    min_words: int = Field(default=4, ge=1)
    """Shortest sentence, in words."""
    max_words: int = 24
    """Longest sentence, in words."""
    frame_files: tuple[Path, ...] = (Path("lexicons/frames-english.jsonl"),)
    """Sentences for confused terms, for several terms and for none, and phrases that stand for a term: JSONL with `id`,
    `kind` (`contrast`, `several`, `without`, `phrase`), `text`, `category`, `source`."""
    contrast_per_pair: int = Field(default=2, ge=0)
    """For each pair of trained terms that are confused: so many training sentences with both, and so many carriers that
    are spoken with the one and with the other. Pairs sound alike, or are named by `confused_with`."""
    several: float = Field(default=0.1, ge=0, le=1)
    """Training sentences with several terms, as a part of the sentences of each term; beside those."""
    without: float = Field(default=0.1, ge=0, le=1)
    """Training and dev sentences without a term, as a part of those with one: carriers with a plain phrase in place of
    the term, and others of the same kind."""
    numbers: float = Field(default=0.1, ge=0, le=1)
    """Likewise sentences about doses, values, dates, times and acronyms."""
    coverage: CoverageSection = CoverageSection()
    """The design: how training sentences are spread over contexts, voices and conditions."""

    @field_validator("trade")
    @classmethod
    def _is_one_line(cls, trade: str) -> str:
        return " ".join(trade.split())

    @model_validator(mode="after")
    def _can_be_written(self) -> "TranscriptsSection":
        if self.min_words > self.max_words:
            raise ValueError(f"min_words is {self.min_words}, above max_words, {self.max_words}; swap them")
        if not all(context.strip() for context in self.contexts):
            raise ValueError("contexts: one is empty; say who speaks to whom, or leave it out")
        return self

    @property
    def writes_dictations(self) -> bool:
        if self.write == "auto":
            return self.llm.kind == "openai"
        return self.write == "dictations"


class VoicesSection(Section):
    """Voices by name, each with its language and accent, e.g. ``{Joanna: en-us, Amy: en-gb}``."""

    train: dict[str, str] = {}
    """Voices of the training sentences."""
    dev: dict[str, str] = {}
    """Voices of the dev sentences."""
    test: dict[str, str] = {}
    """Voices of the test sentences."""

    def of(self, split: str) -> dict[str, str]:
        """The voices of ``train``, ``dev`` or ``test``."""
        voices: dict[str, str] = getattr(self, split)
        return voices

    @property
    def languages(self) -> dict[str, str]:
        """The language and accent of each voice."""
        return {**self.train, **self.dev, **self.test}

    @model_validator(mode="after")
    def _is_kept_apart(self) -> "VoicesSection":
        names = [*self.train, *self.dev, *self.test]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"voice {name!r} is in two parts; voices of dev and test speak nothing else")
            if not name or set(name) & set("+*"):
                raise ValueError(f"voice {name!r}: a name has no + and no *, which mark blends")
        return self


class ServiceSection(Section):
    """The service that speaks, for engines that are one."""

    base_url: str = ""
    """Its address: ``http://127.0.0.1:8000/v1`` of an OpenAI-compatible endpoint, whose key is read from
    OPENAI_API_KEY; ``127.0.0.1:50051`` of a Riva server, ``https://HOST:443`` with TLS and NVIDIA_API_KEY. Polly needs
    none."""
    model: str = ""
    """Name of the model (openai), or of Polly's engine; of Polly's, empty is ``neural``."""
    region: str = ""
    """Polly's AWS region; empty: as AWS's own settings say."""
    concurrency: Annotated[int, NoEffect("each sentence is spoken alone and kept in order")] = Field(default=4, ge=1)
    """Sentences that the service speaks at once."""
    requests_per_minute: Annotated[int, NoEffect("how fast a service is asked")] = Field(default=0, ge=0)
    """Requests that the service gets in any minute; 0: no limit."""


class OtherSection(Section):
    kind: Literal["openai", "whisper", "moonshine"]
    """An OpenAI-compatible endpoint, Whisper, or Moonshine."""
    model: str
    """Name in the model store (whisper, moonshine), or the endpoint's model name."""
    base_url: str = ""
    """Of an OpenAI-compatible endpoint; its key is read from OPENAI_API_KEY."""


class ScreenSection(Section):
    """Screening of every recording of stage 30, by its signal and by other recognisers."""

    enabled: bool = False
    """Whether recordings are screened ([screening.md](screening.md)). Without it, stage 30 stops at a recording that is
    silent, clipped, or too short or long for its text."""
    recognizers: tuple[OtherSection, ...] = (OtherSection(kind="moonshine", model="moonshine-tiny-en"),)
    """Recognisers that transcribe every recording, written like those of `evaluate.others`. One that agrees with the
    text is enough. Empty: only the signal is looked at. Moonshine and Whisper know English only."""
    word_errors: float = Field(default=0.5, ge=0)
    """Largest word error rate on the words that are no term."""
    term_distance: float = Field(default=0.4, ge=0, le=1)
    """Largest phonetic distance between a term and what was recognised in its place: 0 sounds the same, 1 shares
    nothing."""
    attempts: int = Field(default=2, ge=1)
    """How often a sentence is spoken at most, each time in another voice."""


class SpeechSection(Section):
    tts: Literal["kokoro", "espeak", "piper", "openai", "polly", "riva"] = "kokoro"
    """The speech synthesiser: Kokoro; eSpeak NG's own voices, for languages that no other speaks; Piper's voices; an
    OpenAI-compatible endpoint; Amazon Polly; NVIDIA Riva. What each needs, and may be used for, is in
    [speech.md](speech.md)."""
    voices: VoicesSection = VoicesSection()
    """Who speaks what. Kokoro's voices have a table of their own for parts that are empty here. Other engines leave
    sentences of empty parts out."""
    piper_voices: Path | None = None
    """Folder of Piper's voices: ``NAME.onnx`` and ``NAME.onnx.json`` of each."""
    service: ServiceSection = ServiceSection()
    """The service, for engines that are one."""
    blend: float = Field(default=0.5, ge=0, le=1)
    """Part of the training sentences that a blend of two voices speaks."""
    accents: float = Field(default=0.15, ge=0, le=1)
    """Part of the training sentences that a voice of another language speaks, with English phonemes."""
    speed: tuple[float, float] = (0.9, 1.15)
    """Range of the speaking rate in training; 1 is the voice's own."""
    loudness_lufs: float | None = Field(default=None, ge=-60)
    """Loudness of every recording by EBU R128, e.g. -23; quieter where samples would clip. Not set: as the synthesiser
    gives it."""
    screen: ScreenSection = ScreenSection()
    """Screening of the recordings."""
    workers: Annotated[int, NoEffect("an utterance sounds the same in every process")] = Field(default=0, ge=0)
    """Processes that speak; 0: one for each core."""

    @model_validator(mode="after")
    def _has_what_the_engine_needs(self) -> "SpeechSection":
        require_ranges(self, {"speed": (0.25, 4.0)})
        if self.tts == "kokoro":
            return self
        if not (self.voices.train or self.voices.dev or self.voices.test):
            raise ValueError(f"speech.voices names no voice of {self.tts}; write test: {{NAME: en-us}} there, or train")
        if self.tts == "piper" and not self.piper_voices:
            raise ValueError("speech.piper_voices is not set; name the folder that has NAME.onnx and NAME.onnx.json")
        return self

    @property
    def is_service(self) -> bool:
        return self.tts in ("openai", "polly", "riva")

    @property
    def takes_ipa(self) -> bool:
        """Whether the engine can be told a pronunciation; OpenAI's form has no place for it, nor has eSpeak NG."""
        return self.tts not in ("openai", "espeak")

    @property
    def takes_speed(self) -> bool:
        """Whether the engine can speak faster or slower; Magpie cannot."""
        return self.tts != "riva"

    def speaks(self, split: str) -> bool:
        """Whether any voice speaks the sentences of a split."""
        return self.tts == "kokoro" or bool(self.voices.of(split))

    def unused(self) -> frozenset[str]:
        unused = set() if self.is_service else {"service"}
        if not self.screen.enabled:
            unused.add("screen")
        if self.tts != "piper":
            unused.add("piper_voices")
        if self.voices.train or self.tts != "kokoro":
            unused.update({"blend", "accents"})
        return frozenset(unused)


class AugmentSection(Section):
    copies: int = Field(default=1, ge=0)
    """Augmented copies of each training recording, beside the clean one."""
    noise: float = Field(default=0.7, ge=0, le=1)
    """Part of the copies that get noise."""
    snr_db: tuple[float, float] = (10.0, 25.0)
    """Range of the SNR, on active speech."""
    room: float = Field(default=0.3, ge=0, le=1)
    """Part of the copies that get a room's reverberation, recorded or simulated."""
    gain_db: tuple[float, float] = (-8.0, 4.0)
    """Range of the change in level."""
    speed: tuple[float, float] = (0.95, 1.05)
    """Range of the change in speed, which changes the pitch with it."""
    tempo: tuple[float, float] = (1.0, 1.0)
    """Range of the change in speed at the same pitch."""
    pitch_semitones: tuple[float, float] = (0.0, 0.0)
    """Range of the change in pitch, the formants staying where they are."""
    vocal_tract: tuple[float, float] = (1.0, 1.0)
    """Range of the factor by which formants are moved, the pitch staying; above 1 the vocal tract is shorter."""
    microphone: float = Field(default=0.0, ge=0, le=1)
    """Part of the copies that get a microphone's band and spectral tilt."""
    telephone: float = Field(default=0.15, ge=0, le=1)
    """Part of the copies that go over a telephone line (G.711)."""
    telephone_laws: Annotated[tuple[Literal["mu", "a"], ...], Field(min_length=1)] = ("mu",)
    """Curves of G.711 that are drawn from: mu-law as in North America and Japan, A-law as elsewhere."""
    codec: float = Field(default=0.2, ge=0, le=1)
    """Part of the copies that are encoded with one of `augment.codecs`."""
    codecs: Annotated[tuple[Literal["opus", "mp3", "aac"], ...], Field(min_length=1)] = ("opus", "mp3")
    """Codecs that are drawn from."""
    packet_loss: float = Field(default=0.0, ge=0, le=1)
    """Part of the copies that lose packets of 20 ms, filled with zeros or by repeating the last one."""
    packet_loss_part: tuple[float, float] = (0.01, 0.1)
    """Range of the part of the packets that is lost."""
    noise_classes: dict[str, float] = {}
    """Weight of each class of noise, e.g. ``{ward: 2, babble: 1}``. Empty: every recording is as likely as another.
    `babble` is made of other training recordings."""
    wordless: float = Field(default=0.0, ge=0, le=1)
    """Recordings without words that are made for training, as a part of the training recordings: silence and noise."""
    noise_manifest: Path = Path("assets/noise/manifest.jsonl")
    """JSONL with `id`, `audio`, `kind` (`noise` or `rir`), `split`, `sha256`, and optionally `class`."""

    @model_validator(mode="after")
    def _can_be_made(self) -> "AugmentSection":
        bounds = {
            "snr_db": (-60.0, 100.0),
            "gain_db": (-60.0, 60.0),
            "speed": (0.25, 4.0),
            "tempo": (0.5, 2.0),
            "pitch_semitones": (-12.0, 12.0),
            "vocal_tract": (0.5, 2.0),
            "packet_loss_part": (0.0, 0.5),
        }
        require_ranges(self, bounds)
        for name, weight in self.noise_classes.items():
            if not 0 < weight < float("inf"):
                raise ValueError(f"noise_classes: the weight of {name!r} must be above 0; leave the class out instead")
        return self


class RecordingsSection(Section):
    """A set of the user's own recordings, which enters at stage 50."""

    name: str
    """Name of the set; it is the `source` of its recordings, and the name of its test list."""
    source: Path
    """A manifest or table, or the folder of a Kaldi or Lhotse set."""
    format: Literal["nemo", "csv", "kaldi", "lhotse"] = "nemo"
    """What `source` is: NeMo's JSON Lines (with `offset`, too), a table, Kaldi's data folder, or Lhotse's manifests."""
    dev: float = Field(default=0.1, ge=0, lt=1)
    """Part of the speakers whose recordings are for dev."""
    test: float = Field(default=0.0, ge=0, lt=1)
    """Part of the speakers whose recordings are a test list of their own, ``test-NAME.jsonl``; 0: no such list."""
    speaker: str = ""
    """Who speaks where a recording names nobody. Empty: such recordings are an error."""
    licence: str = "LicenseRef-own"
    """Under which licence they are, as an SPDX id; one that forbids commerce or derivatives is an error."""
    patients: bool = False
    """All are consented recordings of real patients; a column `patient` says it of single ones."""


SAME_BYTES = NoEffect("each recording is made alone, the same bytes in every process")


class CorpusSection(Section):
    """Where stages 30 and 40 work."""

    backend: Annotated[Literal["processes", "ray"], SAME_BYTES] = "processes"
    """`processes`: of this machine. `ray`: of a Ray cluster ([scale.md](scale.md))."""
    ray_address: Annotated[str, SAME_BYTES] = ""
    """Of the cluster, e.g. ``auto`` on one of its nodes, or ``10.0.0.1:6379``. Empty: Ray is started on this machine,
    and ends with the stage."""


class DatasetSection(Section):
    general: Path | None = Path("assets/general")
    """Folder with ``rehearsal.jsonl`` and ``test.jsonl`` of general speech (`id`, `audio_filepath`, `duration`, `text`,
    `speaker`) and their audio. `null`: there is none in this language, and the lists of it are empty."""
    general_test_utterances: int = Field(default=0, ge=0)
    """Size of the fixed subset of the general test part that is scored, drawn by sha256 of the id; 0: all of it."""
    general_dev_utterances: int = Field(default=60, ge=0)
    """Recordings of the rehearsal part that are kept for dev instead. Word confidence is calibrated on them."""
    recordings: tuple[RecordingsSection, ...] = ()
    """Your own recordings, for training and dev ([recordings.md](recordings.md)), e.g.
    `[{name: calls, source: my/calls.jsonl, test: 0.1}]`."""
    test_lists: dict[str, str] = {}
    """sha256 that each list must have (`taught`, `untaught`, `general`, or the name of own recordings); copy them from
    ``test-lists.json`` before anything is trained. Another list is an error."""


class TrainSection(Section):
    init: str = "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"
    """The base: a `.nemo` path, or a hub name such as ``nvidia/parakeet-tdt-0.6b-v2``."""
    model: "ModelSection | None" = None
    """The shape of a model to be trained from scratch; `init` is then not read."""
    manifests: tuple[Path, ...] = ()
    """Training manifests that stand in for product 50. Stages 10 to 50 are then not needed."""
    rehearsal_manifests: tuple[Path, ...] = ()
    """Likewise general speech for rehearsal."""
    dev_manifests: tuple[Path, ...] = ()
    """Likewise dev recordings, on which the best weights are chosen."""
    growing_manifests: tuple[str, ...] = ()
    """Patterns (`*`, `?`) of further training manifests that are made a part at a time. Each start of a training takes
    in those that are there; the signature knows the patterns only, so that a training goes on when more are there."""
    steps: int = Field(default=2_000, ge=1)
    """Optimiser steps."""
    batch_s: float = Field(default=120.0, gt=0)
    """Seconds of audio in a batch, padding included."""
    max_utterance_s: float = Field(default=20.0, gt=0)
    """Longer recordings are left out of training; the log says how many and how long they are."""
    learning_rate: float = Field(default=5e-4, gt=0)
    """Of AdamW, at its highest."""
    min_learning_rate: float = Field(default=5e-6, ge=0)
    """At the last step."""
    warmup_steps: int = Field(default=50, ge=0)
    """Steps over which the learning rate rises from 0."""
    decay_part: float = Field(default=0.7, gt=0, le=1)
    """Part of the steps, at the end, over which the learning rate falls to the minimum."""
    weight_decay: float = Field(default=1e-3, ge=0)
    """Of AdamW."""
    gradient_clip: float = Field(default=1.0, gt=0)
    """Largest norm of the gradient."""
    rehearsal: float = Field(default=0.4, ge=0, lt=1)
    """Part of each batch's seconds that is general speech, against forgetting."""
    ctc_weight: float = Field(default=0.0, ge=0, le=1)
    """Weight of an auxiliary CTC loss on the encoder. Its head is not saved with the model."""
    transducer_part: float = Field(default=1.0, gt=0, le=1)
    """Part of each batch, newly drawn, that the transducer loss is computed on. From the rest the encoder learns by the
    CTC loss alone. The joiner takes two fifths of a step on a CPU."""
    aligned_rounds: int = Field(default=0, ge=0)
    """For a model from scratch: rounds at the start in which the CTC head learns which token each frame stands for.
    The manifests must give the times of words (`words`). Without these rounds the predictor memorises the sentences
    before the encoder's frames are of any use."""
    feature_speeds: tuple[float, ...] = (1.0,)
    """Speeds at which features of the training audio are cached; one is drawn each time."""
    feature_noise: float = Field(default=0.0, ge=0, le=1)
    """Part of the recordings that get noise in the mel power domain, at an SNR of `augment.snr_db`."""
    feature_room: float = Field(default=0.0, ge=0, le=1)
    """Part of the recordings that get a room's reverberation in the mel power domain."""
    feature_telephone: float = Field(default=0.0, ge=0, le=1)
    """Part of the recordings that are reduced to a telephone's band."""
    feature_shaped_noise: float = Field(default=0.0, ge=0, le=1)
    """Part of the recordings that get steady noise of a drawn colour, `augment.snr_db` strong."""
    feature_babble: float = Field(default=0.0, ge=0, le=1)
    """Part of the recordings that get three to six other recordings at once behind them, `augment.snr_db` strong."""
    feature_tempo: tuple[float, float] = (1.0, 1.0)
    """Range of the factor by which each utterance is played faster at the same pitch."""
    feature_warp: float = Field(default=0.0, ge=0, le=1)
    """Part of the recordings that get another vocal-tract length, by a factor of `feature_warp_factors`."""
    feature_warp_factors: tuple[float, float] = (0.84, 1.2)
    """Range of that factor; above 1 formants and pitch lie higher."""
    feature_tilt: float = Field(default=0.0, ge=0, le=1)
    """Part of the recordings whose spectrum is tilted, before noise is added."""
    feature_level: float = Field(default=0.0, ge=0, le=1)
    """Part of the recordings that are made quieter or louder, down to where the front end's floor covers them."""
    feature_low_pass: float = Field(default=0.0, ge=0, le=1)
    """Part of the recordings that lose everything above 2.5 to 7 kHz."""
    feature_ends: float = Field(default=0.0, ge=0, le=1)
    """Part of the recordings whose start and end are clipped, or have up to a second of quiet before and behind."""
    rerecorded: float = Field(default=0.0, ge=0, le=1)
    """Part of the drawn recordings that get the effects of `augment` anew each time, on their sound. Slower than what
    works on features: each is decoded, and its features are made again."""
    joined: float = Field(default=0.0, ge=0, lt=1)
    """Part of the drawn utterances that are two to four recordings in a row, up to `max_utterance_s` long."""
    wordless: float = Field(default=0.0, ge=0, lt=1)
    """Part of the recordings that noise or digital silence stands in for, with nothing to write."""
    time_masks: int = Field(default=2, ge=0)
    """SpecAugment: masks in time on each recording."""
    time_mask_part: float = Field(default=0.05, ge=0, le=1)
    """Longest time mask, as a part of the recording."""
    frequency_masks: int = Field(default=2, ge=0)
    """SpecAugment: masks in frequency on each recording."""
    frequency_mask_bins: int = Field(default=20, ge=0)
    """Widest frequency mask, in mel bins."""
    freeze_batch_norm: bool = True
    """Keep the BatchNorm statistics of the base, so that synthetic speech does not shift them."""
    sigma: float = Field(default=0.02, ge=0)
    """Logit under-normalisation of the TDT loss on a CPU."""
    omega: float = Field(default=0.1, ge=0, le=1)
    """Probability that a batch is scored as plain RNN-T, on a CPU."""
    ema: float = Field(default=0.0, ge=0, lt=1)
    """Decay of the running mean of the weights, which is scored and saved; 0: the weights themselves."""
    eval_every_steps: int = Field(default=100, ge=1)
    """Steps between dev scorings, which also write a checkpoint. A killed training loses at most these steps."""
    dev_utterances: int = Field(default=100, ge=1)
    """Dev recordings that are scored each time, a fixed subset."""
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    """`auto`: bf16-mixed where the GPU or the CPU multiplies in bfloat16, else 32-true. bf16-mixed also works on other
    CPUs, slowly."""
    devices: int = Field(default=1, ge=1)
    """GPUs, or processes of a CPU, that share each step. Each takes a batch of `batch_s`."""
    threads: Annotated[int, NoEffect("sums are rounded otherwise, as on another processor")] = Field(default=0, ge=0)
    """CPU threads of PyTorch in each process; 0: one for each core."""
    mlflow: Annotated[str, NoEffect("where the curves of a training are kept")] = ""
    """MLflow tracking URI, e.g. ``sqlite:///mlflow.db``. Empty: a database in the run folder."""

    @model_validator(mode="after")
    def _has_ranges(self) -> "TrainSection":
        require_ranges(self, {"feature_tempo": (0.25, 4.0), "feature_warp_factors": (0.25, 4.0)})
        return self

    def unused(self) -> frozenset[str]:
        without_base = {"init"} if self.model is not None else set()
        of_the_corpus = set() if self.manifests else {"growing_manifests", "rehearsal_manifests", "dev_manifests"}
        return frozenset(without_base | of_the_corpus)


class ModelSection(Section):
    """A FastConformer-TDT with Parakeet's structure at smaller widths."""

    d_model: int = 144
    """Width of the encoder."""
    layers: int = 8
    """Layers of the encoder."""
    heads: int = 4
    """Attention heads of each layer."""
    subsampling_channels: int = 64
    """Channels of the subsampling convolutions."""
    mels: int = 80
    """Mel bins of the features."""
    predictor: int = 256
    """Width of the predictor (an LSTM)."""
    joint: int = 256
    """Width of the joiner."""
    vocabulary: int = 256
    """BPE tokens."""
    durations: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Durations, in frames, that a token may have."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Dropout in training."""


class EvaluateSection(Section):
    bootstrap: int = Field(default=2_000, ge=100)
    """Draws of the bootstrap."""
    confidence: float = Field(default=0.95, gt=0, lt=1)
    """Level of the intervals."""
    batch: Annotated[int, NoEffect("a recording is recognised the same beside any others")] = Field(default=16, ge=1)
    """Recordings that are recognised together."""
    transcripts_known_to_base: tuple[Path, ...] = ()
    """Texts that the base was trained on. Terms that it has read are then scored apart."""
    snr_db: tuple[float, ...] = ()
    """SNRs of the set ``noisy``: sentences with trained terms, under noise that training never used."""
    conditions: tuple[
        Literal["room", "noise", "noisy-room", "microphone", "telephone", "codec", "packet-loss"], ...
    ] = ()
    """Conditions of which each makes a set ``taught-CONDITION`` of sentences with trained terms, as stage 40 would."""
    noisy_utterances: int = Field(default=60, ge=1)
    """Sentences of the set ``noisy`` at each SNR, and of each condition, drawn by sha256 of the id."""
    silence_s: float = Field(default=0.0, ge=0)
    """Seconds of the set ``silence``: digital silence and test noise, in which every recognised word is wrong."""
    long_form_s: float = Field(default=0.0, ge=0)
    """Length of the recordings of the set ``long``, joined from trained and general sentences; 0: no such set."""
    tests: tuple[Path, ...] = ()
    """Further test sets: manifests that `shoptalk import` wrote. The name of the file is the name of the set."""
    others: tuple[OtherSection, ...] = ()
    """Other recognisers that are scored on the trained, held-out and general sets."""
    report_private: bool = False
    """Let recordings and words of consented patients (`patient` in the manifest) into the report. Without it, only
    their counts are in the figures."""


class PackageSection(Section):
    name: str = "shoptalk-tuned"
    """The name that clients send as `model`."""
    title: str = "A speech recogniser tuned with Shoptalk"
    """Title of the model card."""
    licence: str = "CC-BY-4.0"
    """What the bundle may be used under."""
    attributions: tuple[str, ...] = ()
    """A line for each work that must be credited: the base, data, voices."""


SAME_TOKENS = NoEffect("the tokens are the same, but for the last bits of sums")
ON_A_GPU = {"attention_kernel": False, "fused_kernels": True, "cuda_graphs": True, "device_decoding": True}
"""What the engine takes on a GPU where the recipe does not say; True only for what has run there inside the engine."""


class EngineSection(Section):
    """How a model decodes, in stage 70 and in the service alike: what is scored is what serves."""

    precision: Literal["fp32", "bf16", "int8"] = "fp32"
    """Precision of the encoder. int8 is for CPUs; bf16 is for GPUs and for CPUs that multiply in bfloat16."""
    beam: int = Field(default=4, ge=1, le=32)
    """Hypotheses kept for each recording. 1 decodes greedily, as NeMo does: faster, with more word errors."""
    fill_holes: bool = True
    """Decode speech without words again. Needs the VAD of the model store (2 MB)."""
    require_speech: bool | None = None
    """Leave out words around which the VAD detects no speech, in streams too. Not set: as `engine.fill_holes`, so that
    one key switches off all that needs the VAD."""
    device: Annotated[Literal["cpu", "cuda"], SAME_TOKENS] = "cpu"
    """What the engine computes on. cuda is the first GPU."""
    attention_kernel: Annotated[bool | None, SAME_TOKENS] = None
    """On a GPU: attention as one Triton kernel. Not set: off."""
    fused_kernels: Annotated[bool | None, SAME_TOKENS] = None
    """On a GPU: all of Triton's kernels, the attention's included; with `engine.device_decoding` its rounds too. Not
    set: on from compute capability 8.0 on, where Triton is installed."""
    cuda_graphs: Annotated[bool | None, SAME_TOKENS] = None
    """On a GPU: launch the encoder, and device decoding, as CUDA graphs. Not set: on where a kernel is, because without
    one local attention forbids it."""
    device_decoding: Annotated[bool | None, SAME_TOKENS] = None
    """On a GPU: decode greedily there. Needs `engine.beam` 1; phrases and alternatives are decoded on the host. Not
    set: on where graphs are; without them it is slower than the host for few recordings."""
    fp8_manifest: Path | None = None
    """On a GPU of compute capability 8.9 on: feed-forward layers in 8-bit floats, their scales chosen by the
    recordings of this manifest, which should sound like what will be transcribed. Not set: none."""

    @model_validator(mode="after")
    def _needs_its_device(self) -> "EngineSection":
        if self.device == "cpu":
            asked = [key for key in (*ON_A_GPU, "fp8_manifest") if getattr(self, key)]
            if asked:
                raise ValueError(f"{', '.join(asked)} is for a GPU; add engine.device=cuda, or leave it out")
        return self

    def unused(self) -> frozenset[str]:
        return frozenset() if self.fp8_manifest else frozenset({"fp8_manifest"})

    def on_gpu(self, key: str, *, runs_kernels: bool) -> bool:
        """Whether a path of `ON_A_GPU` is taken, where `device.runs_kernels` or not."""
        wanted: bool | None = getattr(self, key)
        if self.device != "cuda" or wanted is not None:
            return bool(wanted)
        if key == "fused_kernels":
            return ON_A_GPU[key] and runs_kernels
        if key == "cuda_graphs":
            kernels = ("fused_kernels", "attention_kernel")
            return ON_A_GPU[key] and any(self.on_gpu(kernel, runs_kernels=runs_kernels) for kernel in kernels)
        if key == "device_decoding":
            return ON_A_GPU[key] and self.on_gpu("cuda_graphs", runs_kernels=runs_kernels)
        return ON_A_GPU[key]

    @property
    def speech_only(self) -> bool:
        """Whether words need speech."""
        return self.fill_holes if self.require_speech is None else self.require_speech

    @property
    def needs_vad(self) -> bool:
        """Whether the VAD must be there."""
        return self.fill_holes or self.speech_only


class Recipe(Section):
    name: str = "shoptalk"
    """Name of the experiment."""
    seed: int = 7
    """Of every draw."""
    language: str = Field(default=ENGLISH, pattern="^[A-Za-z]+(-[A-Za-z0-9]+)*$")
    """What is spoken, by eSpeak NG's code: `en`, `es`, `sw` … ([languages.md](languages.md)). Stages 10 to 50 make a
    dataset of any; a model of the language is yours to bring."""
    products: dict[str, Path] = {}
    """By name of a stage: your own file or folder, which stands in for that stage's product."""
    lexicon: LexiconSection = LexiconSection()
    transcripts: TranscriptsSection = TranscriptsSection()
    speech: SpeechSection = SpeechSection()
    augment: AugmentSection = AugmentSection()
    corpus: CorpusSection = CorpusSection()
    dataset: DatasetSection = DatasetSection()
    train: TrainSection = TrainSection()
    evaluate: EvaluateSection = EvaluateSection()
    package: PackageSection = PackageSection()
    engine: EngineSection = EngineSection()
    serve: dict[str, Any] = {}
    """Settings of the service, which no stage reads. Their names are in [service.md](service.md#settings)."""

    @model_validator(mode="after")
    def _is_of_its_language(self) -> "Recipe":
        """What ships for English does not stand in for another language by default."""
        if self.language == ENGLISH:
            return self
        open_keys = []
        for key in _OF_A_LANGUAGE:
            section, _, name = key.partition(".")
            if name not in getattr(self, section).model_fields_set:
                open_keys.append(key)
        if open_keys:
            raise ValueError(
                f"language is {self.language!r}, but the defaults of {', '.join(open_keys)} are English; name your "
                "files, or [] (null for dataset.general) for none"
            )
        if self.speech.screen.enabled:
            raise ValueError(f"speech.screen has recognisers of English only, and language is {self.language!r}")
        return self


_OF_A_LANGUAGE = (
    "lexicon.files",
    "lexicon.dictionaries",
    "transcripts.carrier_files",
    "transcripts.frame_files",
    "dataset.general",
)
"""Keys whose defaults are English."""


def effective(value: Any) -> Any:
    """A value of the recipe as JSON can hold it; of a section only the keys that can change a product."""
    if isinstance(value, Section):
        return {key: effective(getattr(value, key)) for key in _effective_keys(value)}
    if isinstance(value, tuple):
        return [effective(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def named_files(value: Any) -> Iterator[Path]:
    """The files that a value of the recipe names: paths, and models that are a `.nemo` instead of a hub name."""
    if isinstance(value, Section):
        for key in _effective_keys(value):
            yield from named_files(getattr(value, key))
    elif isinstance(value, tuple):
        for item in value:
            yield from named_files(item)
    elif isinstance(value, Path):
        yield value
    elif isinstance(value, str) and value.endswith(".nemo"):
        yield Path(value)


def _effective_keys(section: Section) -> Iterator[str]:
    unused = section.unused()
    for key, field in type(section).model_fields.items():
        is_marked = any(isinstance(mark, NoEffect) for mark in field.metadata)
        if key not in unused and not is_marked:
            yield key
