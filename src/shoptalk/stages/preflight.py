"""What a run will need, checked before its first stage: data, packages, endpoints, the machine, room on the disk."""

import importlib.util
import os
import shutil
import socket
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from shoptalk.core import config, device, examples, files, resources
from shoptalk.core import terms as term_forms
from shoptalk.core.draws import require_noise
from shoptalk.core.errors import AudioError, PreflightError, RecipeError, ShoptalkError
from shoptalk.core.languages import ENGLISH
from shoptalk.core.noise import Noise, path_of
from shoptalk.core.recipe import OtherSection, VoicesSection
from shoptalk.core.records import Term
from shoptalk.core.sets import GENERAL
from shoptalk.stages.run import Run

REACH_S = 5.0
"""How long an endpoint may take to accept a connection."""
_PACKAGES = {
    "train": {"nemo": "tuning", "torch": "tuning", "lightning": "tuning", "mlflow": "tuning"},
    "evaluate": {"torch": "engine", "sentencepiece": "engine"},
}
"""By stage the packages that it imports, each with the extra that brings it."""
_TTS_PACKAGES = {
    "kokoro": {"onnxruntime": "corpus"},
    "espeak": {},
    "piper": {"piper": "piper"},
    "openai": {"openai": "corpus"},
    "polly": {"boto3": "polly"},
    "riva": {"riva": "riva", "grpc": "riva"},
}
_PACKAGE_OF = {"openai": "openai", "whisper": "faster_whisper", "moonshine": "moonshine_voice"}
_UTTERANCE_BYTES = 120_000
"""A sentence of four seconds as FLAC and as features."""
_CHECKPOINTS = 8
"""So often are the base's bytes on disk in the end: best, last with its optimiser, tuned, bundle."""


def check(run: Run, names: Collection[str]) -> None:
    """`PreflightError` with everything that would stop one of the stages `names` that is not current."""
    problems: list[str] = []
    told: set[str] = set()
    for name in names:
        if run.is_current(name):
            continue
        for problems_of in _CHECKS.get(name, ()):
            try:
                problems += [f"{name}: {problem}" for problem in problems_of(run)]
            except ShoptalkError as error:  # several stages read the lexicon: its fault is told of the first
                fault = f"{type(error).__name__}: {error}"
                if fault not in told:
                    problems.append(f"{name}: {fault}")
                told.add(fault)
    problems += [f"run: {problem}" for problem in _room(run, names)]
    if problems:
        raise PreflightError("the run would stop on the way; mend these first:\n  " + "\n  ".join(problems))


# ---- stages 10 and 20


def _terms(run: Run) -> list[Term]:
    """The terms as stage 10 makes them."""
    from shoptalk.corpus import lexicon

    section = run.recipe.lexicon
    if "lexicon" in run.recipe.products:
        return list(files.read(run.product("lexicon"), Term))
    paths = [run.resolve(file) for file in section.files]
    terms = lexicon.load(paths, only=section.only, language=run.recipe.language)
    return lexicon.hold_out(terms, part=section.untaught, seed=run.recipe.seed)


def asks_llm(run: Run) -> bool:
    """Whether stage 20 asks a language model: for sentences, or for what a list of terms leaves open."""
    from shoptalk.corpus import carriers
    from shoptalk.stages import trades

    section = run.recipe.transcripts
    bank = carriers.read_banks([run.resolve(file) for file in section.carrier_files], run.recipe.language)
    return section.writes_dictations or trades.needs_llm(_terms(run), bank, section)


def _lexicon(run: Run) -> Iterable[str]:
    """Reading the lexicon, and what people said of its pronunciations, raises what is wrong with them."""
    from shoptalk.corpus import overrides

    _terms(run)
    if run.recipe.lexicon.pronunciations and "lexicon" not in run.recipe.products:
        overrides.read(run.resolve(run.recipe.lexicon.pronunciations))
    return _missing({"spellchecker": "corpus"}) if run.recipe.lexicon.weigh else ()


def _sentences(run: Run) -> Iterator[str]:
    from shoptalk.corpus import coverage, frames

    section = run.recipe.transcripts
    frames.read_frames([run.resolve(file) for file in section.frame_files], run.recipe.language)
    coverage.levels_of(section.coverage, run.recipe.speech, run.recipe.language)
    if not asks_llm(run):
        return
    if run.recipe.language != ENGLISH:
        yield (
            f"the language model is asked in English, and language is {run.recipe.language!r}; write carriers for "
            "every category into transcripts.carrier_files, give each term a category, and name transcripts.trade"
        )
    if section.llm.kind == "openai":
        yield from _endpoint("transcripts.llm", section.llm.base_url)
        yield from _missing({"openai": "corpus"})
    else:
        yield from _missing({"xllamacpp": "corpus"})


# ---- stages 30 to 50


def _synthesiser(run: Run) -> Iterator[str]:
    from shoptalk.integrations import espeak

    section = run.recipe.speech
    yield from _missing(_TTS_PACKAGES[section.tts])
    if section.tts == "kokoro":
        yield from _kokoro_voices(section.voices)
    if section.loudness_lufs is not None:
        yield from _missing({"pyloudnorm": "corpus"})
    espeak.phonemes("test", run.recipe.language)
    if section.tts == "openai":
        yield from _endpoint("speech.service", section.service.base_url)
    if section.tts == "piper" and section.piper_voices:
        run.resolve(section.piper_voices)
    if section.screen.enabled:
        yield from _recognizers("speech.screen.recognizers", section.screen.recognizers)


def _workers(run: Run) -> Iterator[str]:
    if run.recipe.corpus.backend == "ray":
        yield from _missing({"ray": "ray"})


def _kokoro_voices(named: VoicesSection) -> Iterator[str]:
    """Each voice that the recipe names must be Kokoro's, and none for testing may speak in training or dev."""
    from shoptalk.corpus.voices import TEST_VOICES, VOICES

    known = {voice.name for voice in VOICES}
    for name in (*named.train, *named.dev, *named.test):
        if name not in known:
            yield f"speech.voices: Kokoro has no voice {name!r}; it has {', '.join(sorted(known))}"
    for name in (*named.train, *named.dev):
        if name in TEST_VOICES:
            yield f"speech.voices: {name!r} is kept for tests; name another voice under train and dev"


def _noise(run: Run) -> Iterator[str]:
    """Each noise must be there, and each class that has a weight; which of them each stage uses is the manifest's."""
    section = run.recipe.augment
    path = run.resolve(section.noise_manifest)
    recordings = list(files.read(path, Noise))
    if section.copies and section.room:
        yield from _missing({"pyroomacoustics": "corpus"})
    if section.copies:
        try:
            require_noise(section, [record for record in recordings if record.split == "train"], frozenset())
        except RecipeError as error:
            yield str(error)
    for record in recordings:
        try:
            path_of(record, path.parent)
        except AudioError as error:
            yield str(error)


def _own_recordings(run: Run) -> Iterator[str]:
    """Reading their rows for the signature raises what is wrong with them; their audio is read in stage 50."""
    for section in run.recipe.dataset.recordings:
        if section.format in ("kaldi", "lhotse"):
            yield from _missing({"lhotse": "tuning"})
        run.resolve(section.source)


def _general_speech(run: Run) -> Iterator[str]:
    """The general set leaks nothing, and rehearses no held-out term."""
    from shoptalk.corpus import dataset

    folder = run.recipe.dataset.general
    general = dataset.read_general(run.resolve(folder) if folder else None)
    yield from dataset.general_leaks(general)
    for example in (*general.rehearsal, *general.test):
        if not example.audio.is_file():
            yield f"{run.recipe.dataset.general}: {example.id}: {example.audio} is not there"
            break
    held_out = [term for term in _terms(run) if not term.taught]
    known = term_forms.index_of(held_out)
    rehearsed: dict[str, str] = {}
    for example in general.rehearsal:
        for place in term_forms.occurrences_of_all(known, example.text):
            rehearsed.setdefault(held_out[place].text, example.text)
    for term, text in rehearsed.items():
        yield f"{term!r} is held out, but rehearsed in {text!r}; write `taught: true` beside it in the lexicon"


# ---- stage 60


def _training(run: Run) -> Iterator[str]:
    section = run.recipe.train
    missing = list(_missing(_PACKAGES["train"]))
    yield from missing
    if section.mlflow.startswith(("http://", "https://")):
        yield from _endpoint("train.mlflow", section.mlflow)
    if missing:
        return
    accelerator = device.accelerator()
    if accelerator.kind == "cuda":
        import torch

        if section.devices > torch.cuda.device_count():
            yield f"train.devices is {section.devices}, but there are {torch.cuda.device_count()} GPUs"


def _base(run: Run) -> Iterable[str]:
    """A base in a file must be one that can be opened safely: `checkpoint.inspect` raises what is wrong with it."""
    from shoptalk.core import checkpoint
    from shoptalk.stages.training import base_of

    if run.recipe.train.model is None:
        path = Path(base_of(run))
        if path.is_file():
            checkpoint.inspect(path)
    return ()


# ---- stage 70


def _test_sets(run: Run) -> Iterator[str]:
    """Names and ids of the test sets, before anything is recognised."""
    from shoptalk.testsets.catalogue import OWN_SETS

    paths = [run.resolve(path) for path in run.recipe.evaluate.tests]
    own = [section.name for section in run.recipe.dataset.recordings]
    for name, count in Counter([*own, *(path.stem for path in paths)]).items():
        if count > 1:
            where = "evaluate.tests and dataset.recordings have" if name in own else "evaluate.tests has"
            yield f"{where} two sets of the name {name!r}; rename one"
        if name in OWN_SETS:
            yield f"evaluate.tests: a set cannot be called {name!r}; rename its file"
    set_of: dict[str, str] = {}
    named = [(path.stem, path) for path in paths]
    general = run.recipe.dataset.general
    if general and (run.resolve(general) / "test.jsonl").is_file():
        named.insert(0, (GENERAL, run.resolve(general) / "test.jsonl"))
    for name, path in named:
        if path.is_dir() or not path.is_file():
            yield f"evaluate.tests: {path} is no manifest; `shoptalk import` writes one"
            continue
        lines = examples.read_manifest(path)
        if not lines:
            yield f"evaluate.tests: {path} is empty; import it again or leave it out"
        yield from _shared_ids(name, [line.id for line in lines], set_of)


def _shared_ids(name: str, ids: Sequence[str], set_of: dict[str, str]) -> Iterator[str]:
    """The first id that a set shares with a set before it; the ids are added to `set_of`."""
    shared = [example_id for example_id in ids if set_of.get(example_id, name) != name]
    if shared:
        more = f" and {len(shared) - 1} more" if len(shared) > 1 else ""
        yield (
            f"the sets {set_of[shared[0]]!r} and {name!r} share the id {shared[0]!r}{more}; import one of them again "
            "with other ids"
        )
    for example_id in ids:
        set_of.setdefault(example_id, name)


def _conditions(run: Run) -> Iterator[str]:
    section = run.recipe.evaluate
    asking = {
        "evaluate.snr_db": section.snr_db,
        "evaluate.silence_s": section.silence_s,
        "evaluate.conditions": {"noise", "noisy-room"} & set(section.conditions),
    }
    keys = [f"`{key}`" for key, value in asking.items() if value]
    if not keys:
        return
    path = run.resolve(run.recipe.augment.noise_manifest)
    if not any(record.split == "test" and record.kind == "noise" for record in files.read(path, Noise)):
        yield f"{path}: has no noise of split `test`, which {' and '.join(keys)} need"


def _others(run: Run) -> Iterator[str]:
    yield from _missing(_PACKAGES["evaluate"])
    yield from _engine_device(run)
    yield from _recognizers("evaluate.others", run.recipe.evaluate.others)


def _recognizers(key: str, others: Sequence[OtherSection]) -> Iterator[str]:
    """Names, packages, models and endpoints of the recognisers of a key."""
    from shoptalk.core.models import store
    from shoptalk.stages.recognizers import title

    for name, count in Counter(title(other) for other in others).items():
        if count > 1:
            yield f"{key} has two recognisers of the name {name!r}; keep one"
    for other in others:
        yield from _missing({_PACKAGE_OF[other.kind]: "compare"})
        if other.kind == "openai":
            yield from _endpoint(key, other.base_url)
        else:
            store.model(other.model)


def _engine_device(run: Run) -> Iterator[str]:
    section = run.recipe.engine
    if section.device == "cuda" and device.accelerator().kind != "cuda":
        yield "engine.device is cuda, but PyTorch sees no GPU here; set it to cpu, or install PyTorch's CUDA build"
    if section.attention_kernel or section.fused_kernels:
        yield from _missing({"triton": "dev"})


# ---- what several need


def _missing(packages: Mapping[str, str]) -> Iterator[str]:
    for package, extra in packages.items():
        if importlib.util.find_spec(package) is None:
            yield f"{package} is not installed; run `pip install 'shoptalk[{extra}]'`"


def _endpoint(section: str, url: str) -> Iterator[str]:
    """Whether an address can be connected to, and has a key where it is another machine's."""
    address = urlsplit(url)
    if address.scheme not in ("http", "https") or not address.hostname:
        yield f"{section}: {url!r} is no address; write it as http://127.0.0.1:8000/v1"
        return
    is_loopback = address.hostname in ("localhost", "127.0.0.1", "::1")
    is_proxied = not is_loopback and any(config.environment(name) for name in ("HTTPS_PROXY", "https_proxy"))
    if address.hostname.endswith("openai.com") and not config.environment("OPENAI_API_KEY"):
        yield f"{section}: {url} wants a key; set OPENAI_API_KEY"
    if is_proxied:
        return  # only the proxy knows what is reachable
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((address.hostname, port), timeout=REACH_S).close()
    except OSError as error:
        yield f"{section}: {url} cannot be reached ({error}); start it, or mend the address"


def _room(run: Run, names: Collection[str]) -> Iterator[str]:
    """Whether the run folder and the cache can be written to, and hold what will be written."""
    for folder in (run.folder, config.cache_dir()):
        nearest = next(path for path in (folder, *folder.parents) if path.exists())
        if not nearest.is_dir() or not os.access(nearest, os.W_OK):
            yield f"{folder} cannot be written to; name another folder"
    if run.folder.is_dir():
        needed = _bytes_needed(run, names)
        free = shutil.disk_usage(run.folder).free
        if free < needed:
            yield f"{run.folder}: {free / 1e9:.1f} GB are free on its disk, about {needed / 1e9:.1f} GB are needed"


def _bytes_needed(run: Run, names: Collection[str]) -> int:
    """A rough guess, rather too low: the corpus as it is still to be made, and the checkpoints."""
    from shoptalk.corpus.transcripts import wanted_for

    trains = "train" in names
    if trains and run.is_current("train"):
        return 0
    base = resources.locate(Path(run.recipe.train.init))
    checkpoints = _CHECKPOINTS * base.stat().st_size if trains and base.is_file() else 0
    if run.is_current("dataset") or (trains and run.recipe.train.manifests):
        return checkpoints
    try:
        terms = len(_terms(run))
    except ShoptalkError:  # told by the lexicon's own check
        return checkpoints
    per_term = sum(wanted_for(None, run.recipe.transcripts).values())
    return checkpoints + terms * per_term * (1 + run.recipe.augment.copies) * _UTTERANCE_BYTES


_CHECKS: Mapping[str, Sequence[Callable[[Run], Iterable[str]]]] = {
    "lexicon": (_lexicon,),
    "transcripts": (_sentences,),
    "speech": (_synthesiser, _workers),
    "augment": (_noise, _workers),
    "dataset": (_general_speech, _own_recordings),
    "train": (_training, _base),
    "evaluate": (_test_sets, _conditions, _others),
}
