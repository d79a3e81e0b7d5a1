"""The frozen records that flow between stages; each is one line of a JSONL product and carries an `id`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from shoptalk.core.languages import ENGLISH

Samples = npt.NDArray[np.float32]
"""Mono audio, shape (T,) with T samples, nominal range -1..1, at `audio.SAMPLE_RATE_HZ` unless said otherwise."""

Split = Literal["train", "dev", "test"]
Kind = Literal["carrier", "dictation", "contrast", "without", "several", "turn", "numbers"]
"""What a sentence is for: ``contrast`` has terms that are confused, ``several`` other terms beside the term, ``turn``
is of a conversation, ``numbers`` is about figures and acronyms, ``without`` says a plain thing where a term could
stand."""
TERMLESS: tuple[Kind, ...] = ("without", "numbers")
"""The kinds of sentence that may name no term; they are for training and dev, never for the term tests."""
UNSORTED = "term"
"""Category of a term whose list gives none."""
Number = Annotated[float, Field(allow_inf_nan=False)]


class Record(BaseModel):
    """Base of all records: immutable, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)


def _in_tuple(value: Any) -> Any:
    """A single text as a tuple of it, and nothing as an empty one, as lexicons wrote a pronunciation before."""
    if value is None or value == "":
        return ()
    return (value,) if isinstance(value, str) else value


PronouncedBy = Literal["override", "lexicon", "dictionary", "stem", "g2p"]
"""The tiers of pronunciation, the first that has one counting: users who listened, the lexicon's `ipa`, a dictionary,
rules for the stems of drug names, and the letter-to-sound rules of the synthesiser."""


class Term(Record):
    """One entry of the lexicon (product 10)."""

    text: str = Field(min_length=1)
    """As written in a document, e.g. ``metformin`` or ``HbA1c``."""
    category: str = Field(min_length=1)
    """drug, procedure, anatomy, condition, lab, role, or the user's own; `UNSORTED` until one is given."""
    spoken: tuple[str, ...] = ()
    """How people say it where that differs from the text, e.g. ``hemoglobin a one c``; the TTS reads the first."""
    ipa: Annotated[tuple[str, ...], BeforeValidator(_in_tuple)] = ()
    """Accepted pronunciations in IPA, the usual one first; empty: the TTS engine's own. A text is read as one."""
    pronounced_by: PronouncedBy | None = None
    """Which tier gives its pronunciation; None: of a lexicon that was made before there were tiers."""
    verified_by: str = ""
    """Who listened to each of its pronunciations and found them right; empty: nobody did."""
    variants: tuple[str, ...] = ()
    """Other written forms that count as the same term: plural, hyphenation, brand name."""
    facts: Mapping[str, tuple[str, ...]] = {}
    """What may fill a slot beside the term: ``dose``, ``route``, ``frequency``."""
    weight: Number = Field(default=1.0, gt=0)
    """How many sentences it gets beside other terms; 1: as many as the recipe says."""
    confused_with: tuple[str, ...] = ()
    """What a recogniser wrote in its place, or terms that sound like it; contrast sentences use them."""
    risk: Literal["low", "medium", "high"] = "medium"
    language: str = ENGLISH
    """Whose rules speak it; where a lexicon gives none, it is the recipe's."""
    taught: bool = True
    """False: held out as a control; never part of any training sentence."""

    @property
    def as_spoken(self) -> str:
        """What the TTS reads for it."""
        return self.spoken[0] if self.spoken else self.text


class Transcript(Record):
    """One sentence to be spoken (product 20)."""

    text: str = Field(min_length=1)
    """As a clinician would write it: case, punctuation, digits. The training target."""
    spoken: str = Field(min_length=1)
    """What the TTS reads: the same sentence in words."""
    term_ids: tuple[str, ...]
    """Of the terms in it; none only for a kind of `TERMLESS`."""
    carrier: str
    """The sentence with its slots emptied; two transcripts of one carrier are never in two splits."""
    split: Split
    source: str
    """Who wrote the carrier, e.g. ``llm:qwen2.5-coder-0.5b`` or ``shipped:carriers-clinical``."""
    section: str = ""
    """Note section, e.g. ``plan``; empty where unknown."""
    specialty: str = ""
    kind: Kind = "carrier"
    voice_group: str = ""
    """Of `corpus.voices.groups`, as planned; empty: any voice of the split."""
    condition: str = ""
    """What the design plans for its copies, one of `draws.CONDITIONS`; empty: drawn as the recipe says."""
    language: str = ENGLISH
    """Of the sentence around its terms."""


class Utterance(Record):
    """One recording of a transcript (products 30 and 40)."""

    transcript_id: str
    text: str
    term_ids: tuple[str, ...]
    carrier: str
    split: Split
    audio: str
    """Path of the audio file, relative to the folder of the manifest."""
    duration_s: float = Field(gt=0)
    voice: str
    """A voice of Kokoro or a blend of two; of another engine with its name before it: ``polly:Joanna``."""
    accent: str = ""
    """Language and accent of the voice where the recipe tells it (`speech.voices`), e.g. ``en-gb``."""
    without_ipa: tuple[str, ...] = ()
    """Words of the sentence whose pronunciation the lexicon gives, but the synthesiser cannot be told."""
    speed: float = 1.0
    section: str = ""
    """Note section, as of the transcript."""
    words: tuple[tuple[str, float, float], ...] = ()
    """Each spoken word with its start and end in the audio, in s; for dev and test, where the synthesiser tells."""
    kind: Kind | Literal["wordless"] = "carrier"
    """As of the transcript; `wordless`: a recording of stage 40 in which nobody speaks, with an empty text."""
    effects: Mapping[str, float | str] = {}
    """The draw of the augmentation, e.g. ``{"snr_db": 14.2, "noise": "cafe_3", "codec": "opus"}``; empty: clean."""
    condition: str = ""
    """As of the transcript."""


CORRECTION = "correction"
"""`source` of an example that users corrected; its id is the correction's."""


class Example(Record):
    """One line of a dataset manifest (product 50, imported sets, training material); `core.examples` reads and writes.

    On disk the names are NeMo's and ours: `audio_filepath`, `duration` and `offset` in seconds, `text`, `id` ….
    """

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, coerce_numbers_to_str=True)

    audio: Path = Field(validation_alias="audio_filepath", serialization_alias="audio_filepath")
    """The recording, or features of it (``.npy``); on disk relative to the manifest's folder."""
    duration_s: Number = Field(gt=0, validation_alias="duration", serialization_alias="duration")
    text: str
    offset_s: Annotated[Number, Field(ge=0)] | None = Field(
        default=None, validation_alias="offset", serialization_alias="offset"
    )
    """Where the example starts in its recording; None: it is the whole recording."""
    term_ids: tuple[str, ...] = ()
    cluster: str = ""
    """What the bootstrap resamples together: the carrier, or the speaker; empty: the example alone."""
    voice: str = ""
    """The synthesiser's voice, or the speaker."""
    speaker: str = ""
    speed: Annotated[Number, Field(gt=0)] | None = None
    """Of the synthesiser; None where a person speaks."""
    accent: str = ""
    context: str = ""
    """Where in a note the sentence stands, e.g. ``plan``; empty where unknown."""
    source: str = ""
    """Where the recording comes from."""
    set: str = ""
    """The imported test set it belongs to."""
    words: tuple[tuple[str, Number, Number], ...] = ()
    """Each spoken word with its start and end, in seconds from the start of the example."""
    unverified_terms: tuple[str, ...] = ()
    """Ids of its terms that a synthesiser speaks, and whose pronunciation nobody has listened to."""
    wordless: bool = False
    """Nobody speaks in it, so the text is empty. Elsewhere an empty text is a fault."""
    patient: bool = False
    """A consented recording of a real patient: neither sound nor words of it enter a report that is not private."""


class Word(BaseModel):
    """A recognised word with its place in the audio, in seconds from the start."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    word: str
    start_s: float
    end_s: float
    confidence: float | None = Field(default=None, ge=0, le=1)
    """The recogniser's probability that the word is right; None if it gives none."""


class Alternative(BaseModel):
    """Another reading of an audio."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    probability: float = Field(ge=0)
    """How likely it is, the text itself being 1."""


class Recognition(BaseModel):
    """What a recogniser made of one audio: the raw text as written by the model, and its words in time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    words: tuple[Word, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    """What else it may have been, the likeliest first, where that was asked for."""
    gaps: tuple[tuple[float, float], ...] = ()
    """Stretches, in seconds from the start, that hold speech by a VAD but gave no word even at a second try."""


class Hypothesis(Record):
    """A `Recognition` on disk (product 70), with its reference and what its test set says of it."""

    reference: str
    heard: str
    set: str
    """Which test set: ``taught``, ``untaught``, ``general``, ``noisy``, ``silence``, ``long``, or an imported one's."""
    term_ids: tuple[str, ...] = ()
    cluster: str = ""
    """What the bootstrap resamples together: the carrier, or the speaker."""
    voice: str = ""
    accent: str = ""
    context: str = ""
    """Where in a note the sentence stands, e.g. ``plan``; empty where unknown."""
    snr_db: float | None = None
    """SNR on active speech of noise that was added for the test; None: none was."""
    duration_s: float = Field(default=0.0, ge=0)
    words: tuple[Word, ...] = ()
    """The recognised words with their times; empty if the recogniser gives none."""
    said: tuple[Word, ...] = ()
    """The words of the reference with their times, where they are known."""
    patient: bool = False
    """A consented recording of a real patient: neither sound nor words of it enter a report that is not private."""

    @property
    def drawn_with(self) -> str:
        """What the bootstrap resamples it with: its cluster, or it alone."""
        return self.cluster or self.id
