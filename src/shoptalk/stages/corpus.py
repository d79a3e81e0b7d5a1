"""Stages 10 to 50: open the inputs, hand over the integrations, write the product, say what was made."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from shoptalk.core import config, device, files
from shoptalk.core.errors import CoverageError, LlmUselessError, RecipeError
from shoptalk.core.languages import ENGLISH
from shoptalk.core.models import store
from shoptalk.core.pace import Pace
from shoptalk.core.progress import progress, say
from shoptalk.core.protocols import Llm
from shoptalk.core.recipe import LlmSection
from shoptalk.core.records import Term, Transcript, Utterance
from shoptalk.core.terms import folded, index_of
from shoptalk.stages import refusals
from shoptalk.stages.products import kept_of, once, write
from shoptalk.stages.run import StageRun
from shoptalk.stages.workers import workers_of

ANSWERS = "20-answers.jsonl"
"""What an endpoint answered, in the run folder: no answer is paid for twice."""

if TYPE_CHECKING:
    from shoptalk.corpus.carriers import Carrier
    from shoptalk.corpus.proposals import Proposed
    from shoptalk.corpus.transcripts import Problem


def lexicon(run: StageRun) -> None:
    """10: terms, some of each category held out."""
    from shoptalk.corpus import lexicon as terms_of
    from shoptalk.corpus import overrides, tiers, weights
    from shoptalk.stages import term_sources

    section = run.recipe.lexicon
    language = run.recipe.language
    terms = terms_of.load([run.resolve(file) for file in section.files], only=section.only, language=language)
    if section.weigh:
        terms = weights.weigh(terms, term_sources.general())
    marked = terms_of.hold_out(terms, part=section.untaught, seed=run.recipe.seed)
    said = overrides.read(run.resolve(section.pronunciations)) if section.pronunciations else []
    dictionary = (
        terms_of.load([run.resolve(file) for file in section.dictionaries], language=language)
        if section.dictionaries
        else []
    )
    marked = tiers.decide(marked, overrides=said, dictionary=dictionary)
    write(run, lambda done: (term for term in marked if term.id not in done))
    held_out = [term.text for term in marked if not term.taught]
    say(f"{len(marked)} terms, {len(held_out)} of them held out: {', '.join(held_out) or 'none'}")
    say(tiers.told(marked))
    for remark in (*terms_of.held_out_remarks(marked, part=section.untaught), *tiers.remarks(marked, said)):
        say(f"note: {remark}")
    for later, first in folded(index_of(terms)).items():
        say(f"note: {terms[later].text!r} is a form of {terms[first].text!r}; both are counted as one term")


def transcripts(run: StageRun) -> None:
    """20: carriers by the LLM and from the banks, filled; or whole dictations by an endpoint. Beside them further kinds
    of sentence; all of it spread over voices and conditions."""
    from shoptalk.corpus import coverage
    from shoptalk.corpus.carriers import read_banks
    from shoptalk.corpus.frames import read_frames
    from shoptalk.corpus.kinds import beside
    from shoptalk.corpus.transcripts import require_coverage
    from shoptalk.stages import trades

    section, seed = run.recipe.transcripts, run.recipe.seed
    language = run.recipe.language
    levels = coverage.levels_of(section.coverage, run.recipe.speech, language)
    frames = read_frames([run.resolve(file) for file in section.frame_files], language)
    terms = list(files.read(run.product("lexicon"), Term))
    bank = read_banks([run.resolve(file) for file in section.carrier_files], language)
    llm = cache(partial(_llm, section.llm, run.folder, language))
    with _asking_anew_next_time(run):
        proposed = trades.settled(run, terms, bank, llm)
        terms = trades.placed(terms, proposed)
        carriers = trades.usable_bank(bank, proposed.trade)
        if section.writes_dictations and proposed.is_clinical:
            about_terms, problems = _dictations(run, terms, llm)
        else:
            about_terms, problems, live = _filled(run, terms, carriers, proposed, llm)
            carriers += live
        _note(problems)
        require_coverage(problems)
    further, notes = beside(
        terms,
        about_terms,
        carriers,
        frames,
        section,
        seed=seed,
        is_clinical=proposed.is_clinical,
        language=language,
    )
    _note(notes)
    made = coverage.planned([*about_terms, *further], levels, seed=seed)
    _require_private(run, made, terms)
    covered = coverage.counted(made, terms, section.coverage, levels)
    coverage.require_minima(covered, terms, levels)
    files.write_text(run.folder / coverage.PRODUCT, covered.model_dump_json(indent=1) + "\n")
    write(run, lambda done: (transcript for transcript in made if transcript.id not in done))
    by_source = Counter(transcript.source for transcript in made)
    for source, count in by_source.most_common():
        written = {transcript.carrier for transcript in made if transcript.source == source}
        say(f"{count} transcripts of {len(written)} carriers from {source}")
    for line in coverage.told(covered):
        say(line)


def _note(problems: "Iterable[Problem]") -> None:
    """Tell what is no term's problem, and so stops nothing."""
    for problem in problems:
        if problem.term_id == "*":
            say(f"note: {problem.message}")


def _filled(
    run: StageRun, terms: list[Term], bank: "list[Carrier]", proposed: "Proposed", llm: Callable[[], Llm]
) -> "tuple[list[Transcript], list[Problem], list[Carrier]]":
    """The transcripts, what is missing, and the carriers that the model wrote."""
    from shoptalk.corpus.carriers import Carrier, write_carriers
    from shoptalk.corpus.planned_carriers import PREFIX, uncovered
    from shoptalk.corpus.transcripts import compose, require_coverage
    from shoptalk.stages import trades

    section, seed = run.recipe.transcripts, run.recipe.seed
    path = run.folder / "20-carriers.jsonl"
    open_categories = uncovered(terms, bank)
    by_settings = section.live_carriers if trades.has_usual_prompts(section, proposed) else 0

    def written(done: frozenset[str]) -> Iterator[Carrier]:
        made = kept_of(path, Carrier, done)
        with refusals.telling(run) as refused:
            planned = trades.planned_carriers(
                run, terms, bank, llm, proposed_for=proposed, made=tuple(made), refused=refused
            )
            for carrier in progress(planned, "carriers", total=None, done=len(done)):
                made.append(carrier)
                yield carrier
            covered = [term for term in terms if term.category not in open_categories]
            if not (covered and by_settings):
                return
            before = frozenset(carrier.id for carrier in made if not carrier.id.startswith(PREFIX))
            new = write_carriers(
                llm(), by_settings, seed=seed, done=before, terms=covered, examples=bank, refused=refused
            )
            count = len(before)
            for carrier in progress(new, "carriers", total=by_settings, done=count):
                made.append(carrier)
                count += 1
                yield carrier
            if count < by_settings:  # what is there stays unfinished, so that the next run asks again
                require_coverage(compose(terms, [*bank, *made], section, seed=seed)[1])

    live: list[Carrier] = []
    if open_categories or section.live_carriers:
        once(path, written, signature=run.signature())
        live = list(files.read(path, Carrier))
    return *compose(terms, [*bank, *live], section, seed=seed), live


def _dictations(run: StageRun, terms: list[Term], llm: Callable[[], Llm]) -> "tuple[list[Transcript], list[Problem]]":
    from shoptalk.corpus.dictations import settle, write_dictations
    from shoptalk.corpus.transcripts import require_coverage

    section, path = run.recipe.transcripts, run.folder / "20-dictations.jsonl"
    workers = section.llm.concurrency if section.llm.kind == "openai" else 1

    def written(done: frozenset[str]) -> Iterator[Transcript]:
        made = kept_of(path, Transcript, done)
        with refusals.telling(run) as refused:
            new = write_dictations(
                llm(), terms, section, seed=run.recipe.seed, done=tuple(made), refused=refused, workers=workers
            )
            for transcript in progress(new, "dictations", total=None, done=len(done)):
                made.append(transcript)
                yield transcript
            settled, problems = settle(made, terms, section)
            if len(settled) < len(made):
                refused["too like another"] = len(made) - len(settled)
            require_coverage(problems)  # if short, the dictations stay unfinished, and the next run asks again

    once(path, written, signature=run.signature())
    return settle(list(files.read(path, Transcript)), terms, section)


def _require_private(run: StageRun, transcripts: Iterable[Transcript], terms: Iterable[Term]) -> None:
    """`PrivacyError` for sentences that may tell who a person is, whoever wrote them."""
    from shoptalk.corpus import privacy

    section = run.recipe.transcripts
    if section.check_privacy:
        privacy.require_private(transcripts, privacy.plain_words(terms, section.allowed_words, run.recipe.language))


@contextmanager
def _asking_anew_next_time(run: StageRun) -> Iterator[None]:
    """Of an endpoint whose answers did not suffice, the next run wants others; after any other stop, the same."""
    try:
        yield
    except (CoverageError, LlmUselessError):
        if run.recipe.transcripts.llm.kind == "openai":
            from shoptalk.integrations.kept_answers import KeptAnswers

            KeptAnswers(run.folder / ANSWERS).forget()
        raise


def _llm(section: LlmSection, folder: Path, language: str) -> Llm:
    """The language model; what an endpoint answered is kept in the run folder. It is asked in English only."""
    if language != ENGLISH:
        raise RecipeError(
            f"the language model is asked in English, and language is {language!r}: give each term a category, write "
            "carriers for every category into transcripts.carrier_files, name transcripts.trade, and leave "
            "transcripts.live_carriers at 0"
        )
    if section.kind == "openai":
        from shoptalk.integrations.kept_answers import KeptAnswers
        from shoptalk.integrations.llm_openai import OpenAiLlm

        pace = Pace(requests_per_minute=section.requests_per_minute, tokens_per_minute=section.tokens_per_minute)
        return OpenAiLlm(
            section.base_url,
            name=section.model,
            api_key=config.api_key("OPENAI_API_KEY"),
            temperature=section.temperature,
            reasoning_tokens=section.reasoning_tokens,
            pace=pace,
            answers=KeptAnswers(folder / ANSWERS),
            token_budget=section.token_budget,
        )
    from shoptalk.integrations.llm_embedded import EmbeddedLlm

    path = store.path(section.model, say=say)
    return EmbeddedLlm(path, name=section.model, temperature=section.temperature, threads=device.cores())


def speech(run: StageRun) -> None:
    """30: every transcript spoken."""
    from shoptalk.corpus.pronunciation import pronunciations, switched
    from shoptalk.corpus.speech import speak
    from shoptalk.integrations import espeak
    from shoptalk.stages import screening
    from shoptalk.stages.synthesisers import synthesiser

    section = run.recipe.speech
    written = list(files.read(run.product("transcripts"), Transcript))
    spoken = [transcript for transcript in written if section.speaks(transcript.split)]
    terms = list(files.read(run.product("lexicon"), Term))
    _require_private(run, spoken, terms)
    make_tts, workers, identity = synthesiser(run)
    language = run.recipe.language
    sounds = pronunciations(terms, espeak.ipa, of_language=language, g2p_of=espeak.ipa)

    def recorded(transcripts: Sequence[Transcript], attempt: int, done: frozenset[str]) -> Iterator[Utterance]:
        folder = run.folder / "30-speech"
        new = speak(
            transcripts,
            make_tts,
            section,
            folder=folder,
            seed=run.recipe.seed,
            done=done,
            pronunciations=sounds,
            workers=workers,
            identity=identity,
            attempt=attempt,
            language=language,
            switched=switched(spoken, terms, espeak.ipa, of_language=language),
        )
        return progress(new, "speech", total=len(transcripts), done=len(done))

    if section.screen.enabled:
        screening.write_screened(run, spoken, terms, recorded)
    else:
        write(run, partial(recorded, spoken, 1))
    made = list(files.read(run.product("speech"), Utterance))
    say(f"{len(made)} utterances, {sum(utterance.duration_s for utterance in made) / 60:.1f} minutes")
    if len(spoken) < len(written):
        say(f"note: {len(written) - len(spoken)} sentences are of parts for which speech.voices names nobody")
    if untold := sum(bool(utterance.without_ipa) for utterance in made):
        say(f"note: {untold} utterances say terms as {section.tts} likes: it cannot be told a pronunciation")


def augment(run: StageRun) -> None:
    """40: augmented copies of what trains."""
    from shoptalk.core.noise import Noise, NoiseSet
    from shoptalk.corpus import augmentation

    section, source = run.recipe.augment, run.product("speech")
    path = run.resolve(section.noise_manifest)
    noise = NoiseSet(tuple(files.read(path, Noise)), path.parent)
    clean = list(files.read(source, Utterance))
    total = augmentation.count(clean, section)

    def copied(done: frozenset[str]) -> Iterator[Utterance]:
        new = augmentation.augment(
            clean,
            section,
            noise=noise,
            source_folder=source.parent,
            folder=run.folder / "40-augment",
            seed=run.recipe.seed,
            done=done,
            workers=workers_of(run, reads=(noise.folder, source)),
        )
        return progress(new, "augment", total=total, done=len(done))

    write(run, copied)
    wordless = augmentation.wordless_count(clean, section)
    say(f"{total} utterances, {total - len(clean) - wordless} of them augmented copies, {wordless} without words")


def dataset(run: StageRun) -> None:
    """50: manifests, checked for leaks."""
    from shoptalk.corpus import dataset as lists
    from shoptalk.stages import dataset_report
    from shoptalk.stages.own_recordings import brought

    source = run.product("augment")
    general = run.recipe.dataset.general
    terms = list(files.read(run.product("lexicon"), Term))
    utterances = list(files.read(source, Utterance))
    own, left_out = brought(run), Counter[str]()
    digests = lists.build(
        terms,
        utterances,
        lists.read_general(run.resolve(general) if general else None),
        run.recipe.dataset,
        source=source.parent,
        folder=run.product("dataset"),
        own=own,
        left_out=left_out,
    )
    for own_set in own:
        hours = sum(line.duration_s for line in own_set.lines) / 3600
        speakers = len({line.speaker for line in own_set.lines})
        say(f"{own_set.name}: {len(own_set.lines)} recordings of {speakers} speakers, {hours:.2f} hours")
    for reason, count in left_out.items():
        say(f"note: left out of train and dev: {count} recordings, each of which {reason}")
    unheard, count = lists.unverified(terms), 0
    for utterance in utterances:
        count += not unheard.isdisjoint(utterance.term_ids)
    say(f"{count} of {len(utterances)} utterances say one of the {len(unheard)} terms that nobody has listened to")
    say("no leaks; test lists " + ", ".join(f"{name} {digest[:12]}" for name, digest in digests.items()))
    say(f"the dataset on a page: {dataset_report.write(run.run)}")
