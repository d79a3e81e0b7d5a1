"""Terms with all their pronunciations, clips of them on demand, and verdicts into the file of overrides."""

import datetime
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shoptalk.core import config, files
from shoptalk.core.audio import write_flac
from shoptalk.core.errors import LexiconError, RecipeError, TermError
from shoptalk.core.languages import ENGLISH
from shoptalk.core.protocols import Tts
from shoptalk.core.records import Term
from shoptalk.core.resources import locate
from shoptalk.corpus import lexicon, overrides, respelling, tiers
from shoptalk.corpus.overrides import Override
from shoptalk.corpus.pronunciation import check_ipa, ipa_of, spoken_form
from shoptalk.corpus.speech import PEAK, SPEECH_VERSION
from shoptalk.corpus.stems import G2p
from shoptalk.stages.run import Run

FILE = "pronunciations.yaml"
"""Beside the recipe, where the recipe names no other."""
VOICES = {"af_heart": "American woman", "am_michael": "American man", "bf_emma": "British woman"}
"""Voices that train; those of the tests are for tests alone."""
MAX_CHARACTERS = 200
"""Of what somebody writes: a pronunciation, or a name."""


@dataclass
class Listening:
    """What one page works on; not thread-safe, because eSpeak and Kokoro are not."""

    terms: list[Term]
    """As the lexicon writes them."""
    dictionary: list[Term]
    path: Path
    """The file of overrides; it need not be there yet."""
    is_in_recipe: bool
    """Whether the recipe names the file, so that stage 10 reads it."""
    clips: Path
    """A folder for clips that were spoken before."""
    g2p: G2p
    make_tts: Callable[[], Tts]
    today: Callable[[], datetime.date]
    listener: str = ""
    _tts: list[Tts] = field(default_factory=list)

    def state(self) -> dict[str, Any]:
        """All that the page shows."""
        said = overrides.read(self.path) if self.path.is_file() else []
        by_lexicon = tiers.decide(self.terms, overrides=(), dictionary=self.dictionary)
        in_force = tiers.decide(self.terms, overrides=said, dictionary=self.dictionary)
        entries = overrides.by_text(said)
        rows = []
        for plain, decided in zip(by_lexicon, in_force, strict=True):
            rows.append(self._row(plain, decided, entries.get(plain.text.casefold(), [])))
        return {
            "terms": rows,
            "file": str(self.path),
            "in_recipe": self.is_in_recipe,
            "listener": self.listener,
            "voices": VOICES,
        }

    def _row(self, plain: Term, decided: Term, said: list[Override]) -> dict[str, Any]:
        own = ipa_of(plain, self.g2p) or (self.g2p(spoken_form(plain)),)
        spoken_now = set(ipa_of(decided, self.g2p) or (self.g2p(spoken_form(decided)),))
        pronunciations = []
        for override in said:
            pronunciations.append(
                {
                    "ipa": override.sound,
                    "written": override.respelling or override.ipa,
                    "tier": plain.pronounced_by if override.sound in own else "override",
                    "verdict": override.verdict if override.verified_by or override.verdict == "wrong" else "",
                    "by": override.verified_by,
                    "on": str(override.verified_on or ""),
                    "used": override.sound in spoken_now,
                }
            )
        known = {override.sound for override in said}
        for ipa in (*own, *sorted(spoken_now - set(own))):
            if ipa not in known:
                tier = plain.pronounced_by if ipa in own else decided.pronounced_by
                used = ipa in spoken_now
                pronunciations.append({"ipa": ipa, "written": ipa, "tier": tier, "verdict": "", "used": used})
        return {
            "id": plain.id,
            "text": plain.text,
            "spoken": spoken_form(plain),
            "category": plain.category,
            "held_out": not plain.taught,
            "heard": bool(decided.verified_by),
            "wrong": {override.verdict for override in said} == {"wrong"},
            "pronunciations": pronunciations,
        }

    def check(self, written: str) -> str:
        """The IPA of what somebody wrote, as IPA or with English letters; `TermError` says what is wrong with it."""
        return sound_of(written)[1]

    def judge(self, id_: str, ipa: str, verdict: str, by: str) -> None:
        """Write that a pronunciation is right or wrong; an empty verdict takes back what was said."""
        term = self._term(id_)
        check_ipa(ipa)
        if not verdict:
            overrides.remove(self.path, term.text, ipa)
            return
        if verdict not in ("right", "wrong"):
            raise TermError(f"verdict {verdict!r}: say right or wrong")
        before = overrides.by_text(overrides.read(self.path)) if self.path.is_file() else {}
        own = before.get(term.text.casefold(), [])
        kept = next((override for override in own if override.sound == ipa), None)
        key = "respelling" if kept and kept.respelling else "ipa"
        self._put(term, {key: kept.respelling if kept and kept.respelling else ipa, "verdict": verdict}, by)

    def correct(self, id_: str, written: str, by: str) -> str:
        """Write a pronunciation that somebody gives as right, and return its IPA."""
        term = self._term(id_)
        key, ipa = sound_of(written)
        self._put(term, {key: written.strip() if key == "respelling" else ipa, "verdict": "right"}, by)
        return ipa

    def clip(self, id_: str, ipa: str, voice: str) -> Path:
        """A FLAC of the term in this pronunciation, spoken now or before."""
        term = self._term(id_)
        check_ipa(ipa)
        if voice not in VOICES:
            raise TermError(f"voice {voice!r}: choose one of {', '.join(VOICES)}")
        spoken = spoken_form(term)
        content = json.dumps([SPEECH_VERSION, spoken, voice, ipa])
        path = self.clips / f"{hashlib.sha256(content.encode()).hexdigest()[:16]}.flac"
        if not path.is_file():
            if not self._tts:
                self._tts.append(self.make_tts())
            samples_T = self._tts[0].speak(spoken, voice=voice, speed=1.0, pronunciations={spoken: ipa})
            peak = float(abs(samples_T).max(initial=0.0))
            if peak == 0.0:
                raise TermError(f"{spoken!r} as {ipa!r} is silent; write its pronunciation otherwise")
            write_flac(path, samples_T * min(1.0, PEAK / peak))
        return path

    def heard(self) -> tuple[int, int]:
        """How many terms somebody listened to and found right, and how many there are."""
        rows = self.state()["terms"]
        return sum(row["heard"] for row in rows), len(rows)

    def _term(self, id_: str) -> Term:
        for term in self.terms:
            if term.id == id_:
                return term
        raise TermError(f"{id_!r} is the id of no term; load the page again")

    def _put(self, term: Term, content: dict[str, str], by: str) -> None:
        listener = " ".join(by.split())
        if not listener or len(listener) > MAX_CHARACTERS:
            raise TermError("say who listens: write your name into the field at the top")
        verified = {"verified_by": listener, "verified_on": self.today()}
        override = Override.model_validate({"text": term.text, **content, **verified})
        try:
            overrides.put(self.path, override)
        except OSError as error:
            raise LexiconError(f"{self.path}: cannot be written ({error.strerror})") from None


def sound_of(written: str) -> tuple[str, str]:
    """Whether a text is an ``ipa`` or a ``respelling``, and its IPA; `TermError` if it is neither."""
    plain = written.strip()
    if len(plain) > MAX_CHARACTERS:
        raise TermError(f"a pronunciation of {len(plain)} characters; give at most {MAX_CHARACTERS}")
    if respelling.is_respelling(plain):
        ipa = respelling.to_ipa(plain)
        key = "respelling"
    else:
        ipa = re.sub(r"\s+", " ", plain.strip("/[]"))
        key = "ipa"
    check_ipa(ipa)
    return key, ipa


def open_listening(recipe: Path, folder: Path, changes: Sequence[str], *, listener: str = "") -> Listening:
    """What is to be listened to of a recipe with its ``section.key=value`` changes; the run folder keeps the clips."""
    from shoptalk.integrations import espeak, kokoro

    if folder.exists() and not folder.is_dir():
        raise RecipeError(f"--run {folder}: a file, not a folder; name another")
    run = Run(folder, config.load(recipe, tuple(changes)), locate(recipe).resolve().parent)
    if run.recipe.language != ENGLISH:
        own_language = run.recipe.language
        raise RecipeError(f"audition speaks English only, and language is {own_language!r}; give `ipa` on the terms")
    section = run.recipe.lexicon
    if own := run.recipe.products.get("lexicon"):
        terms = list(files.read(run.resolve(own), Term))
    else:
        terms = lexicon.load([run.resolve(file) for file in section.files], only=section.only)
        terms = lexicon.hold_out(terms, part=section.untaught, seed=run.recipe.seed)
    return Listening(
        terms=terms,
        dictionary=lexicon.load([run.resolve(file) for file in section.dictionaries]) if section.dictionaries else [],
        path=_file_of(run),
        is_in_recipe=section.pronunciations is not None,
        clips=run.folder / "audition",
        g2p=espeak.ipa,
        make_tts=kokoro.load,
        today=datetime.date.today,
        listener=listener,
    )


def _file_of(run: Run) -> Path:
    named = run.recipe.lexicon.pronunciations
    if named is None:
        return run.recipe_folder / FILE
    try:
        return run.resolve(named)
    except RecipeError:  # nobody listened yet
        return run.recipe_folder / named
