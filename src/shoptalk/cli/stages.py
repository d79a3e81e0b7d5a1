"""One function per stage: open its inputs, give it its doors, write its product, say what was made."""

import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from shoptalk import config, manifest, models
from shoptalk.errors import BindingError
from shoptalk.protocols import Llm
from shoptalk.recipe import LlmSection, Recipe
from shoptalk.records import Record, Term, Transcript, Utterance
from shoptalk.run import Run

R = TypeVar("R", bound=Record)


def say(text: str) -> None:
    """Print a line of progress at once, indented below its stage."""
    tqdm.write(f"   {text}")


def fetch_models(run: Run) -> None:
    """Bring what the stages to be run will ask of the model store, before the work (and its clock) begins."""
    from shoptalk.cli.recognizers import open_recognizer
    from shoptalk.doors import kokoro

    section = run.recipe.transcripts
    if section.llm.kind == "embedded" and section.live_carriers and not run.is_current("transcripts"):
        models.path(section.llm.model, say=say)
    if not run.is_current("speech"):
        kokoro.prepare()
    if not run.is_current("evaluate"):
        if run.recipe.engine.fill_holes:
            models.path("silero-vad", say=say)
        for other in run.recipe.evaluate.others:
            open_recognizer(other, batch=1)


def lexicon(run: Run) -> None:
    """10: terms, some of each category held out."""
    from shoptalk.corpus import lexicon as terms_of
    from shoptalk.corpus.pronunciation import check_ipa

    section = run.recipe.lexicon
    terms = terms_of.load([run.resolve(file) for file in section.files], only=section.only)
    for term in terms:
        if term.ipa:
            check_ipa(term.ipa)
    held = terms_of.hold_out(terms, part=section.untaught, seed=run.recipe.seed)
    _write(run, "lexicon", lambda done: (term for term in held if term.id not in done))
    untaught = [term.text for term in held if not term.taught]
    say(f"{len(held)} terms, {len(untaught)} of them not taught: {', '.join(untaught)}")


def transcripts(run: Run) -> None:
    """20: carriers by the LLM and from the banks, filled; or whole dictations by an endpoint."""
    from shoptalk.corpus.transcripts import require_coverage

    terms = list(manifest.read(run.product("lexicon"), Term))
    made, problems = _dictations(run, terms) if run.recipe.transcripts.llm.kind == "openai" else _filled(run, terms)
    for problem in problems:
        if problem.term_id == "*":
            say(f"note: {problem.message}")
    require_coverage(problems)
    _write(run, "transcripts", lambda done: (one for one in made if one.id not in done))
    sources = Counter(one.source for one in made)
    carriers = Counter(source for source, _ in {(one.source, one.carrier) for one in made})
    for source, count in sources.most_common():
        say(f"{count} transcripts of {carriers[source]} carriers from {source}")


def _filled(run: Run, terms: list[Term]) -> tuple[list[Transcript], list[Any]]:
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
            return progress(new, "carriers", wanted, len(done))

        once(path, written, signature=run.signature("transcripts"))
        live = list(manifest.read(path, carriers.Carrier))
    return compose(terms, [*bank, *live], section, seed=seed)


def _dictations(run: Run, terms: list[Term]) -> tuple[list[Transcript], list[Any]]:
    from shoptalk.corpus.dictations import settle, write_dictations

    section, path = run.recipe.transcripts, run.folder / "20-dictations.jsonl"
    llm = _llm(section.llm)

    def written(done: frozenset[str]) -> Iterator[Transcript]:
        workers = section.llm.concurrency
        new = write_dictations(llm, terms, section, seed=run.recipe.seed, done=done, workers=workers)
        return progress(new, "dictations", None, len(done))

    once(path, written, signature=run.signature("transcripts"))
    return settle(list(manifest.read(path, Transcript)), terms, section)


def _llm(section: LlmSection) -> Llm:
    if section.kind == "openai":
        from shoptalk.doors.llm_openai import OpenAiLlm

        key = config.environment("OPENAI_API_KEY")
        return OpenAiLlm(section.base_url, name=section.model, api_key=key, temperature=section.temperature)
    from shoptalk.doors.llm_embedded import EmbeddedLlm

    path = models.path(section.model, say=say)
    return EmbeddedLlm(path, name=section.model, temperature=section.temperature, threads=config.cores())


def speech(run: Run) -> None:
    """30: every transcript spoken."""
    from shoptalk.corpus.pronunciation import pronunciations
    from shoptalk.corpus.speech import speak
    from shoptalk.doors import kokoro

    spoken = list(manifest.read(run.product("transcripts"), Transcript))
    terms = manifest.read(run.product("lexicon"), Term)
    kokoro.prepare()
    overrides = pronunciations(terms)

    def recorded(done: frozenset[str]) -> Iterator[Utterance]:
        folder = run.folder / "30-speech"
        new = speak(
            spoken, kokoro.load, run.recipe.speech,
            folder=folder, seed=run.recipe.seed, done=done, pronunciations=overrides,
        )  # fmt: skip
        return progress(new, "speech", len(spoken), len(done))

    _write(run, "speech", recorded)
    seconds = sum(one.duration_s for one in manifest.read(run.product("speech"), Utterance))
    say(f"{len(spoken)} utterances, {seconds / 60:.1f} minutes")


def augment(run: Run) -> None:
    """40: augmented copies of what trains."""
    from shoptalk.corpus.augmentation import Noise, NoiseSet
    from shoptalk.corpus.augmentation import augment as augmented

    section, source = run.recipe.augment, run.product("speech")
    path = run.resolve(section.noise_manifest)
    noise = NoiseSet(tuple(manifest.read(path, Noise)), path.parent)
    clean = list(manifest.read(source, Utterance))
    total = len(clean) + section.copies * sum(one.split == "train" for one in clean)

    def copied(done: frozenset[str]) -> Iterator[Utterance]:
        new = augmented(
            clean, section,
            noise=noise, source_folder=source.parent, folder=run.folder / "40-augment", seed=run.recipe.seed, done=done,
        )  # fmt: skip
        return progress(new, "augment", total, len(done))

    _write(run, "augment", copied)
    say(f"{total} utterances, {total - len(clean)} of them augmented copies")


def dataset(run: Run) -> None:
    """50: manifests, checked for leaks."""
    from shoptalk.corpus import dataset as lists

    source = run.product("augment")
    digests = lists.build(
        list(manifest.read(run.product("lexicon"), Term)),
        list(manifest.read(source, Utterance)),
        lists.read_general(run.resolve(run.recipe.dataset.general)),
        run.recipe.dataset,
        source=source.parent,
        folder=run.product("dataset"),
    )
    say("no leaks; test lists " + ", ".join(f"{name} {digest[:12]}" for name, digest in digests.items()))


def train(run: Run) -> None:
    """60: the base, tuned; or a base from scratch."""
    config.keep_kernels()
    from shoptalk.corpus.importing import require_trainable
    from shoptalk.tuning.trainer import ASRTrainer, TrainingData

    section = run.recipe.train
    if section.manifests:
        named = (section.manifests, section.rehearsal_manifests, section.dev_manifests)
        taught, rehearsal, dev = ([run.resolve(path) for path in paths] for paths in named)
        for path in (*taught, *rehearsal, *dev):
            require_trainable(path)
    else:
        taught, rehearsal, dev = ([run.product("dataset") / f"{name}.jsonl"] for name in ("train", "rehearsal", "dev"))
    data = TrainingData(taught, rehearsal, dev, _noise(run))
    signature = run.signature("train")
    ASRTrainer(run.recipe, data, run.product("train"), init=_init(run), signature=signature, say=say).fit()


def _noise(run: Run) -> list[Path]:
    from shoptalk.corpus.augmentation import Noise

    path = run.resolve(run.recipe.augment.noise_manifest)
    recordings = (one for one in manifest.read(path, Noise) if one.kind == "noise" and one.split == "train")
    return [path.parent / one.audio for one in recordings]


def _init(run: Run) -> str:
    """The base: a path of the recipe where there is such a file, else a hub name as it stands."""
    init = run.recipe.train.init
    return str(run.resolve(Path(init))) if init.endswith(".nemo") and not run.recipe.train.model else init


def evaluate(run: Run) -> None:
    """70: base and tuned model on the same test sets."""
    from shoptalk.cli import scoring

    scoring.evaluate(run, base=_init(run), tuned=run.product("train") / "tuned.nemo", say=say)


def package(run: Run) -> None:
    """80: the bundle."""
    from shoptalk.cli import scoring

    say(str(scoring.package(run, base=_init(run), tuned=run.product("train") / "tuned.nemo")))


def serve(bundle: Path, recipe: Recipe) -> None:
    """90: answer requests until told to stop."""
    from shoptalk.cli.recognizers import open_engine
    from shoptalk.service.app import create_app
    from shoptalk.service.server import check_binding
    from shoptalk.service.server import serve as answer

    section, key = recipe.serve, config.environment("SHOPTALK_API_KEY") or None
    check_binding(section.host, key)
    _check_port(section.host, section.port)
    engine = open_engine(bundle, recipe.engine, batch=section.batch)
    app = create_app(engine, section, model_name=engine.name, api_key=key)
    print(f"serving {bundle} on http://{section.host}:{section.port}/v1", flush=True)
    answer(app, section.host, section.port)


def _check_port(host: str, port: int) -> None:
    """`BindingError` if the address cannot be had, told before the model is loaded."""
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        raise BindingError(f"{host}:{port}: {error.strerror}; take another with `--set serve.port=…`") from None


def progress(records: Iterable[R], name: str, total: int | None, done: int) -> Iterator[R]:
    """Pass records on under a progress bar that starts at what was already done."""
    yield from tqdm(records, desc=f"   {name}", total=total, initial=done, mininterval=0.5, smoothing=0.05)


def _write(run: Run, name: str, make: Callable[[frozenset[str]], Iterable[Record]]) -> None:
    manifest.write(run.product(name), make, signature=run.signature(name))


def once(path: Path, make: Callable[[frozenset[str]], Iterable[Record]], *, signature: str) -> None:
    """Write a part of a stage's work, unless it is there whole and only a later part is to be made (again)."""
    note = path.with_name(path.name + ".signature")
    if not (path.is_file() and note.is_file() and note.read_text() == signature):
        manifest.write(path, make, signature=signature)
        manifest.write_text(note, signature)


MAKE: Mapping[str, Callable[[Run], None]] = {
    "lexicon": lexicon,
    "transcripts": transcripts,
    "speech": speech,
    "augment": augment,
    "dataset": dataset,
    "train": train,
    "evaluate": evaluate,
    "package": package,
}
