"""Stages 10 to 50: open the inputs, hand over the integrations, write the product, say what was made."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from shoptalk.core import config, device, files
from shoptalk.core.models import store
from shoptalk.core.protocols import Llm
from shoptalk.core.recipe import LlmSection
from shoptalk.core.records import Term, Transcript, Utterance
from shoptalk.stages.processes import Processes
from shoptalk.stages.progress import once, progress, say, write
from shoptalk.stages.run import StageRun


def lexicon(run: StageRun) -> None:
    """10: terms, some of each category held out."""
    from shoptalk.corpus import lexicon as terms_of

    section = run.recipe.lexicon
    terms = terms_of.load([run.resolve(file) for file in section.files], only=section.only)
    marked = terms_of.hold_out(terms, part=section.untaught, seed=run.recipe.seed)
    write(run, lambda done: (term for term in marked if term.id not in done))
    held_out = [term.text for term in marked if not term.taught]
    say(f"{len(marked)} terms, {len(held_out)} of them held out: {', '.join(held_out) or 'none'}")
    for remark in terms_of.held_out_remarks(marked, part=section.untaught):
        say(f"note: {remark}")


def transcripts(run: StageRun) -> None:
    """20: carriers by the LLM and from the banks, filled; or whole dictations by an endpoint."""
    from shoptalk.corpus.transcripts import require_coverage

    terms = list(files.read(run.product("lexicon"), Term))
    make = _dictations if run.recipe.transcripts.llm.kind == "openai" else _filled
    made, problems = make(run, terms)
    for problem in problems:
        if problem.term_id == "*":
            say(f"note: {problem.message}")
    require_coverage(problems)
    write(run, lambda done: (transcript for transcript in made if transcript.id not in done))
    by_source = Counter(transcript.source for transcript in made)
    for source, count in by_source.most_common():
        carriers = {transcript.carrier for transcript in made if transcript.source == source}
        say(f"{count} transcripts of {len(carriers)} carriers from {source}")


def _filled(run: StageRun, terms: list[Term]) -> tuple[list[Transcript], list[Any]]:
    from shoptalk.corpus import carriers
    from shoptalk.corpus.transcripts import compose

    section, seed = run.recipe.transcripts, run.recipe.seed
    bank = carriers.read_banks([run.resolve(file) for file in section.carrier_files])
    live: list[carriers.Carrier] = []
    if section.live_carriers:
        path = run.folder / "20-carriers.jsonl"
        wanted = section.live_carriers

        def written(done: frozenset[str]) -> Iterator[carriers.Carrier]:
            new = carriers.write_carriers(_llm(section.llm), wanted, seed=seed, done=done, terms=terms, examples=bank)
            return progress(new, "carriers", total=wanted, done=len(done))

        once(path, written, signature=run.signature())
        live = list(files.read(path, carriers.Carrier))
    return compose(terms, [*bank, *live], section, seed=seed)


def _dictations(run: StageRun, terms: list[Term]) -> tuple[list[Transcript], list[Any]]:
    from shoptalk.corpus.dictations import settle, write_dictations

    section, path = run.recipe.transcripts, run.folder / "20-dictations.jsonl"
    llm = _llm(section.llm)

    def written(done: frozenset[str]) -> Iterator[Transcript]:
        workers = section.llm.concurrency
        new = write_dictations(llm, terms, section, seed=run.recipe.seed, done=done, workers=workers)
        return progress(new, "dictations", total=None, done=len(done))

    once(path, written, signature=run.signature())
    return settle(list(files.read(path, Transcript)), terms, section)


def _llm(section: LlmSection) -> Llm:
    if section.kind == "openai":
        from shoptalk.integrations.llm_openai import OpenAiLlm

        key = config.api_key("OPENAI_API_KEY")
        return OpenAiLlm(section.base_url, name=section.model, api_key=key, temperature=section.temperature)
    from shoptalk.integrations.llm_embedded import EmbeddedLlm

    path = store.path(section.model, say=say)
    return EmbeddedLlm(path, name=section.model, temperature=section.temperature, threads=device.cores())


def speech(run: StageRun) -> None:
    """30: every transcript spoken."""
    from shoptalk.corpus.pronunciation import pronunciations
    from shoptalk.corpus.speech import speak
    from shoptalk.integrations import kokoro

    section = run.recipe.speech
    spoken = list(files.read(run.product("transcripts"), Transcript))
    terms = files.read(run.product("lexicon"), Term)
    kokoro.prepare()
    overrides = pronunciations(terms)

    def recorded(done: frozenset[str]) -> Iterator[Utterance]:
        folder = run.folder / "30-speech"
        new = speak(
            spoken,
            kokoro.load,
            section,
            folder=folder,
            seed=run.recipe.seed,
            done=done,
            pronunciations=overrides,
            workers=Processes(section.workers),
        )
        return progress(new, "speech", total=len(spoken), done=len(done))

    write(run, recorded)
    seconds = sum(utterance.duration_s for utterance in files.read(run.product("speech"), Utterance))
    say(f"{len(spoken)} utterances, {seconds / 60:.1f} minutes")


def augment(run: StageRun) -> None:
    """40: augmented copies of what trains."""
    from shoptalk.core.noise import Noise, NoiseSet
    from shoptalk.corpus.augmentation import augment as augmented

    section, source = run.recipe.augment, run.product("speech")
    path = run.resolve(section.noise_manifest)
    noise = NoiseSet(tuple(files.read(path, Noise)), path.parent)
    clean = list(files.read(source, Utterance))
    training = sum(utterance.split == "train" for utterance in clean)
    total = len(clean) + section.copies * training

    def copied(done: frozenset[str]) -> Iterator[Utterance]:
        new = augmented(
            clean,
            section,
            noise=noise,
            source_folder=source.parent,
            folder=run.folder / "40-augment",
            seed=run.recipe.seed,
            done=done,
            workers=Processes(),
        )
        return progress(new, "augment", total=total, done=len(done))

    write(run, copied)
    say(f"{total} utterances, {total - len(clean)} of them augmented copies")


def dataset(run: StageRun) -> None:
    """50: manifests, checked for leaks."""
    from shoptalk.corpus import dataset as lists

    source = run.product("augment")
    digests = lists.build(
        list(files.read(run.product("lexicon"), Term)),
        list(files.read(source, Utterance)),
        lists.read_general(run.resolve(run.recipe.dataset.general)),
        run.recipe.dataset,
        source=source.parent,
        folder=run.product("dataset"),
    )
    say("no leaks; test lists " + ", ".join(f"{name} {digest[:12]}" for name, digest in digests.items()))
