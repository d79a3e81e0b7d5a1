"""30: recordings screened, rejected ones spoken anew, and what came of it.

Every part is resumed: ``30-spoken-N.jsonl`` has the recordings of attempt N, ``30-recognized-NAME-N.jsonl`` what a
recogniser made of them. Thresholds can be changed without asking recognisers again.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from shoptalk.core import files
from shoptalk.core.audio import decode
from shoptalk.core.errors import AudioError
from shoptalk.core.files import digest
from shoptalk.core.progress import say
from shoptalk.core.recipe import OtherSection, effective
from shoptalk.core.recordings import digest_of
from shoptalk.core.records import Hypothesis, Samples, Term, Transcript, Utterance
from shoptalk.corpus import screening
from shoptalk.corpus.screening import Judge, Opinion, Reason, Rejected, Screening
from shoptalk.stages.products import once, write
from shoptalk.stages.recognition import recognize
from shoptalk.stages.recognizers import open_recognizer, title
from shoptalk.stages.run import StageRun
from shoptalk.stages.workers import workers_of
from shoptalk.testsets.clips import Clip

REJECTED = "30-rejected.jsonl"
SUMMARY = "30-screening.json"
BATCH = 16
"""Recordings that a recogniser gets at once, at most; an endpoint gets fewer."""

Speak = Callable[[Sequence[Transcript], int, frozenset[str]], Iterator[Utterance]]
"""Speaks transcripts at an attempt, except those that were done."""


def write_screened(run: StageRun, transcripts: Sequence[Transcript], terms: Sequence[Term], speak: Speak) -> None:
    """Write product 30 with recordings that passed; those of dev and test are rejected for their signal alone.

    A test must not lose what another recogniser finds hard. `AudioError` names sentences of dev and test that have
    no sound recording after the last attempt.
    """
    config, judge = run.recipe.speech.screen, Judge(terms)
    passed: dict[str, Utterance] = {}
    rejected: list[Rejected] = []
    doubted: list[str] = []
    first: list[tuple[Sequence[str], bool]] = []
    pending, recordings = list(transcripts), 0
    for attempt in range(1, config.attempts + 1):
        utterances = _spoken(run, pending, attempt, speak)
        recordings += len(utterances)
        opinions = _opinions(run, utterances, attempt, judge)
        spoken_of = {transcript.id: transcript.spoken for transcript in pending}
        signals = _signals(run, utterances, spoken_of)
        left = set()
        for utterance, signal in zip(utterances, signals, strict=True):
            recognized, opinion = opinions.get(utterance.id, ((), None))
            doubts = screening.of_opinion(opinion, config) if opinion else ()
            if attempt == 1:
                first.append((utterance.term_ids, bool(signal or doubts)))
            reasons = (*signal, *doubts) if utterance.split == "train" else signal
            if not reasons:
                passed[utterance.id] = utterance
                if doubts:
                    doubted.append(utterance.id)
                continue
            left.add(utterance.id)
            rejected.append(_rejected(utterance, attempt, reasons, recognized, opinion))
        pending = [transcript for transcript in pending if transcript.id in left]
        if not pending:
            break
    files.write_text(run.folder / REJECTED, "".join(f"{line.model_dump_json()}\n" for line in rejected))
    _require_tests(pending, rejected)
    summary = Screening(
        recordings=recordings,
        rejected=len(rejected),
        reasons=Counter(reason for line in rejected for reason in line.reasons),
        given_up=tuple(transcript.id for transcript in pending),
        doubted=tuple(doubted),
        pronunciation_problems=screening.problems_of_terms(first),
    )
    files.write_text(run.folder / SUMMARY, summary.model_dump_json(indent=1) + "\n")
    in_order = [passed[transcript.id] for transcript in transcripts if transcript.id in passed]
    write(run, lambda done: (utterance for utterance in in_order if utterance.id not in done))
    _tell(summary, terms, in_order)


def _spoken(run: StageRun, transcripts: Sequence[Transcript], attempt: int, speak: Speak) -> list[Utterance]:
    path = run.folder / f"30-spoken-{attempt}.jsonl"
    asked = digest([run.signature(), attempt, [transcript.id for transcript in transcripts]])
    once(path, partial(speak, transcripts, attempt), signature=asked)
    return list(files.read(path, Utterance))


def _opinions(
    run: StageRun, utterances: Sequence[Utterance], attempt: int, judge: Judge
) -> Mapping[str, tuple[tuple[str, ...], Opinion]]:
    """For each recording what the recognisers made of it, and the opinion of the one that agrees best."""
    config = run.recipe.speech.screen
    texts: dict[str, list[str]] = {utterance.id: [] for utterance in utterances}
    for other in config.recognizers:
        for hypothesis in _recognized(run, other, utterances, attempt):
            texts[hypothesis.id].append(hypothesis.heard)
    opinions = {}
    for utterance in utterances:
        own = tuple(texts[utterance.id])
        if own:
            judged = [judge.opinion(utterance.text, utterance.term_ids, text) for text in own]
            opinions[utterance.id] = (own, screening.best_of(judged, config))
    return opinions


def _recognized(
    run: StageRun, other: OtherSection, utterances: Sequence[Utterance], attempt: int
) -> Sequence[Hypothesis]:
    clips = []
    for utterance in utterances:
        asked = Hypothesis(
            id=utterance.id,
            reference=utterance.text,
            heard="",
            set=utterance.split,
            term_ids=utterance.term_ids,
            duration_s=utterance.duration_s,
        )
        path = run.folder / utterance.audio
        clips.append(Clip(asked, partial(decode, path), digest_of(path)))
    path = run.folder / f"30-recognized-{title(other)}-{attempt}.jsonl"
    return recognize(path, clips, partial(open_recognizer, other, batch=BATCH), signature=[effective(other)])


def _signals(run: StageRun, utterances: Sequence[Utterance], spoken_of: Mapping[str, str]) -> list[tuple[Reason, ...]]:
    """Of each recording why it cannot be right by its signal."""
    tasks = [(run.folder / utterance.audio, spoken_of[utterance.id], utterance.speed) for utterance in utterances]
    workers = workers_of(run, count=run.recipe.speech.workers)
    return list(workers.map(_signal, tasks, start=_nothing_to_open, arguments=()))


def _signal(task: tuple[Path, str, float]) -> tuple[Reason, ...]:
    path, spoken, speed = task
    samples_T: Samples = decode(path)
    return screening.of_signal(samples_T, spoken, speed)


def _nothing_to_open() -> None:
    """A process that looks at signals needs no model."""


def _rejected(
    utterance: Utterance,
    attempt: int,
    reasons: tuple[Reason, ...],
    recognized: tuple[str, ...],
    opinion: Opinion | None,
) -> Rejected:
    return Rejected(
        id=f"{utterance.id}@{attempt}",
        transcript_id=utterance.id,
        attempt=attempt,
        reasons=reasons,
        text=utterance.text,
        recognized=recognized,
        term_ids=utterance.term_ids,
        split=utterance.split,
        voice=utterance.voice,
        speed=utterance.speed,
        audio=utterance.audio,
        word_errors=round(opinion.word_errors, 3) if opinion else None,
        term_distance=round(opinion.term_distance, 3) if opinion else None,
    )


def _require_tests(pending: Sequence[Transcript], rejected: Sequence[Rejected]) -> None:
    """A sentence of dev or test is never dropped: the lists would then be those that are easily spoken."""
    reasons = {line.transcript_id: ", ".join(line.reasons) for line in rejected}
    names = [f"{kept.id} ({reasons[kept.id]})" for kept in pending if kept.split != "train"]
    if names:
        raise AudioError(
            f"{len(names)} sentences of dev and test have no sound recording after the last attempt: "
            f"{', '.join(names[:5])}; check their spoken forms, or raise speech.screen.attempts"
        )


def _tell(summary: Screening, terms: Sequence[Term], kept: Sequence[Utterance]) -> None:
    told = ", ".join(f"{reason} {count}" for reason, count in sorted(summary.reasons.items())) or "none"
    say(f"screened {summary.recordings} recordings, rejected {summary.rejected} ({told}): {REJECTED}")
    if summary.given_up:
        say(f"note: {len(summary.given_up)} training sentences are given up")
    if summary.doubted:
        say(f"note: {len(summary.doubted)} recordings of dev and test are doubted, and kept: {SUMMARY}")
    text_of = {term.id: term.text for term in terms}
    if summary.pronunciation_problems:
        names = [text_of.get(term_id, term_id) for term_id in summary.pronunciation_problems]
        say(f"note: more than half of their recordings lost {', '.join(names)}; listen with `shoptalk audition`")
    trained: set[str] = set()
    for utterance in kept:
        if utterance.split == "train":
            trained.update(utterance.term_ids)
    without = []
    for term in terms:
        if term.taught and term.id in summary.pronunciation_problems and term.id not in trained:
            without.append(term.text)
    if without:
        say(f"note: no training recording is left of {', '.join(without)}")
