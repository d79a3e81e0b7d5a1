"""Every key of the recipe, changed in turn, makes those stages stale that it can change, and no other."""

import os
import shutil
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from pydantic import BaseModel

from shoptalk.core.recipe import (
    AugmentSection,
    LlmSection,
    MinimumSection,
    NoEffect,
    OtherSection,
    Recipe,
    RecordingsSection,
)
from shoptalk.stages.run import Run, UndeclaredError
from shoptalk.stages.table import BY_NAME, STAGES

ORDER = [stage.name for stage in STAGES]
FROM = {name: set(ORDER[ORDER.index(name) :]) for name in ORDER}
"""A stage and all that follows: each reads, directly or not, what those before it made."""
WITHOUT_EFFECT = {
    "transcripts.llm.concurrency", "transcripts.llm.requests_per_minute", "transcripts.llm.tokens_per_minute",
    "transcripts.llm.token_budget", "speech.workers", "speech.service.concurrency",
    "speech.service.requests_per_minute", "corpus.backend", "corpus.ray_address",
    "train.threads", "train.mlflow", "evaluate.batch",
    "engine.device", "engine.attention_kernel", "engine.fused_kernels", "engine.cuda_graphs", "engine.device_decoding",
}  # fmt: skip
"""How fast, or where; the service's section is no stage's."""
UNUSED = {
    "transcripts.llm.base_url", "transcripts.llm.reasoning_tokens", "speech.piper_voices", "speech.service.base_url",
    "speech.service.model", "speech.service.region", "train.growing_manifests",
    "speech.screen.recognizers", "speech.screen.word_errors", "speech.screen.term_distance", "speech.screen.attempts",
    "train.rehearsal_manifests", "train.dev_manifests",
}  # fmt: skip
"""Nothing reads them in the recipe of `on_corpus`: LLM and synthesiser are embedded, recordings are not screened,
and it trains on product 50."""

Values = dict[str, Any]


def keys_of(section: type[BaseModel], at: str = "") -> Iterator[tuple[str, Any]]:
    """Each key of a section and of the sections below it, with its type."""
    for key, field in section.model_fields.items():
        below = [kind for kind in (field.annotation, *get_args(field.annotation)) if isinstance(kind, type)]
        sections = [kind for kind in below if issubclass(kind, BaseModel)]
        if sections and get_origin(field.annotation) is not tuple:
            yield from keys_of(sections[0], f"{at}{key}.")
        else:
            yield f"{at}{key}", field.annotation


KEYS = dict(keys_of(Recipe))


def has_one_choice(kind: Any) -> bool:
    return get_origin(kind) is Literal and len(get_args(kind)) == 1


def other(kind: Any, value: Any) -> Any:
    """A value of the same type that is not `value`."""
    origin = get_origin(kind)
    if origin is Annotated:
        return other(get_args(kind)[0], value)
    if origin in (Union, types.UnionType):
        return other(next(part for part in get_args(kind) if part is not type(None)), value)
    if origin is Literal:
        return next(choice for choice in get_args(kind) if choice != value)
    if origin is tuple:
        return other_tuple(get_args(kind), value)
    if origin is dict:
        return {**value, "other": 0.5 if get_args(kind)[1] is float else "other"}
    if kind is bool:
        return not value
    if kind is int:
        return value + 1
    if kind is float:
        return value / 2 if value else 0.5
    if kind is Path:
        return Path("other")
    return f"other{value}"


def other_tuple(kinds: tuple[Any, ...], value: tuple[Any, ...]) -> tuple[Any, ...]:
    if kinds[0] is MinimumSection:
        return (MinimumSection(of=("term",)),)
    if kinds[0] is OtherSection:
        return (OtherSection(kind="whisper", model="whisper-base-ct2"),)
    if kinds[0] is RecordingsSection:
        return (RecordingsSection(name="calls", source=Path("calls.jsonl")),)
    if len(kinds) == 2 and kinds[1] is not Ellipsis:
        return (value[0] / 2 if value[0] else -0.5, value[1])
    if not value and get_origin(kinds[0]) is Literal:
        return (get_args(kinds[0])[0],)
    return (*value, other(kinds[0], value[-1] if value else kinds[0]()))


def nested(key: str, value: Any) -> Values:
    """``{"a": {"b": value}}`` for ``a.b``."""
    for part in reversed(key.split(".")):
        value = {part: value}
    return dict(value)


def merged(values: Mapping[str, Any], more: Mapping[str, Any]) -> Values:
    both = dict(values)
    for key, value in more.items():
        both[key] = merged(both.get(key) or {}, value) if isinstance(value, dict) else value
    return both


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all files of the recipes lie, and an ``other`` one that a changed path names."""
    place = tmp_path_factory.mktemp("recipe")
    for name in ("terms.csv", "carriers.jsonl", "noise.jsonl", "base.nemo", "other.nemo", "own.jsonl", "other"):
        (place / name).write_text(name)
    (place / "calls.jsonl").write_text("")
    (place / "general").mkdir()
    return place


ON_CORPUS: Values = {
    "lexicon": {"files": ("terms.csv",)},
    "transcripts": {"carrier_files": ("carriers.jsonl",)},
    "augment": {"noise_manifest": "noise.jsonl"},
    "dataset": {"general": "general"},
    "train": {"init": "base.nemo"},
}
ON_MANIFESTS = merged(ON_CORPUS, {"train": {"manifests": ("own.jsonl",)}})
"""Training on manifests of the user's own needs no corpus."""

FROM_SCRATCH = merged(ON_CORPUS, {"train": {"model": {"layers": 2}}})
ON_A_GPU = merged(ON_CORPUS, {"engine": {"device": "cuda"}})
BY_A_SERVICE = merged(ON_CORPUS, {"speech": {"tts": "polly", "voices": {"test": {"Joanna": "en-us"}}}})
IN_ANY_LANGUAGE = merged(ON_CORPUS, {"lexicon": {"dictionaries": ()}, "transcripts": {"frame_files": ()}})
CHANGEABLE = sorted(key for key, kind in KEYS.items() if key != "products" and not has_one_choice(kind))


def stale(folder: Path, values: Values, key: str) -> set[str]:
    """Stages whose signature another value of a key changes."""
    recipe = Recipe.model_validate(values)
    value: Any = recipe
    for part in key.split("."):
        value = getattr(value, part)
    new_value = "other.nemo" if key == "train.init" else other(KEYS[key], value)
    changed = Recipe.model_validate(merged(values, nested(key, new_value)))
    before, after = Run(folder / "run", recipe, folder), Run(folder / "run", changed, folder)
    return {name for name in ORDER if before.signature(name) != after.signature(name)}


def expected(key: str) -> set[str]:
    """The stages that a key should make stale where the corpus is made and trained on."""
    section = key.partition(".")[0]
    if key in WITHOUT_EFFECT | UNUSED or section in ("serve", "products"):
        return set()
    if key == "name":
        return {"evaluate", "package"}
    if key in ("speech.tts", "speech.voices.train", "speech.accents"):  # which groups of voices a design has
        return FROM["transcripts"]
    return FROM[{"seed": "lexicon", "language": "lexicon", "engine": "evaluate"}.get(section, section)]


@pytest.mark.parametrize("key", CHANGEABLE)
def test_each_key_makes_stale_what_it_can_change(key: str, folder: Path) -> None:
    values = ON_CORPUS
    if key.startswith("train.model."):
        values = FROM_SCRATCH
    elif key.startswith("engine."):
        values = ON_A_GPU
    elif key == "speech.tts":
        values = BY_A_SERVICE
    elif key == "language":
        values = IN_ANY_LANGUAGE
    assert stale(folder, values, key) == expected(key)


@pytest.mark.parametrize(
    ("key", "first"),
    [
        ("augment.snr_db", "train"),
        ("augment.noise_manifest", "train"),
        ("augment.room", None),
        ("lexicon.untaught", None),
        ("dataset.general_dev_utterances", None),
        ("train.rehearsal_manifests", "train"),
        ("train.dev_manifests", "train"),
        ("seed", "train"),
    ],
)
def test_training_on_manifests_depends_on_the_noise_and_on_no_corpus(key: str, first: str | None, folder: Path) -> None:
    trained = stale(folder, ON_MANIFESTS, key) & {"train"}
    assert trained == ({first} if first else set())


def test_training_that_augments_anew_depends_on_how(folder: Path) -> None:
    values = merged(ON_MANIFESTS, {"train": {"rerecorded": 0.5}})
    for key in ("augment.room", "augment.noise_classes", "augment.codec"):
        assert "train" in stale(folder, values, key)
    run = Run(folder / "run", Recipe.model_validate(values), folder)
    assert run.of_stage("train").recipe.augment.room == AugmentSection().room


@pytest.mark.parametrize(
    ("file", "first"),
    [
        ("terms.csv", "lexicon"), ("carriers.jsonl", "transcripts"), ("noise.jsonl", "augment"),
        ("general/test.jsonl", "dataset"), ("base.nemo", "train"), ("texts.txt", "evaluate"),
        ("visits.jsonl", "evaluate"),
    ],
)  # fmt: skip
def test_each_file_makes_stale_the_stages_that_read_it(file: str, first: str, folder: Path) -> None:
    asked = {"evaluate": {"transcripts_known_to_base": ("texts.txt",), "tests": ("visits.jsonl",)}}
    for name in ("texts.txt", "visits.jsonl", "general/test.jsonl"):
        (folder / name).write_text(name)
    run = Run(folder / "run", Recipe.model_validate(merged(ON_CORPUS, asked)), folder)
    before = {name: run.signature(name) for name in ORDER}
    (folder / file).write_text("changed")
    assert {name for name in ORDER if before[name] != run.signature(name)} == FROM[first]
    (folder / file).write_text(file)


@pytest.mark.parametrize(
    ("values", "manifest", "first"),
    [
        (ON_CORPUS, "general/rehearsal.jsonl", "dataset"),
        (merged(ON_CORPUS, {"train": {"manifests": ("mine.jsonl",)}}), "mine.jsonl", "train"),
        (merged(ON_MANIFESTS, {"train": {"rehearsal_manifests": ("mine.jsonl",)}}), "mine.jsonl", "train"),
        (merged(ON_MANIFESTS, {"train": {"dev_manifests": ("mine.jsonl",)}}), "mine.jsonl", "train"),
        (merged(ON_CORPUS, {"evaluate": {"tests": ("mine.jsonl",)}}), "mine.jsonl", "evaluate"),
        (merged(ON_CORPUS, {"products": {"speech": "mine.jsonl"}}), "mine.jsonl", "speech"),
        (merged(ON_CORPUS, {"products": {"dataset": "mine"}}), "mine/train.jsonl", "dataset"),
    ],
)
def test_audio_that_is_replaced_makes_stale_the_stages_that_read_it(
    values: Values, manifest: str, first: str, tmp_path: Path, folder: Path
) -> None:
    """Under the same name, with the same size and time of change."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "mine").mkdir(exist_ok=True)
    audio = tmp_path / Path(manifest).parent / "wav" / "one.wav"
    audio.parent.mkdir(parents=True)
    audio.write_bytes(b"first")
    (tmp_path / manifest).write_text('{"audio_filepath": "wav/one.wav", "audio": "wav/one.wav"}\n\nno JSON\n')
    run = Run(tmp_path / "run", Recipe.model_validate(values), tmp_path)
    before, stat = {name: run.signature(name) for name in ORDER}, audio.stat()
    assert before == {name: run.signature(name) for name in ORDER}
    audio.write_bytes(b"other")
    os.utime(audio, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert {name for name in ORDER if before[name] != run.signature(name)} == FROM[first]
    audio.unlink()
    assert first in {name for name in ORDER if before[name] != run.signature(name)}


def test_a_service_that_speaks_counts_where_it_is_asked(folder: Path) -> None:
    for key in ("speech.service.base_url", "speech.service.model", "speech.service.region"):
        assert stale(folder, BY_A_SERVICE, key) == FROM["speech"]
    assert stale(folder, BY_A_SERVICE, "speech.blend") == set()


def test_an_endpoint_counts_where_it_is_asked() -> None:
    assert not LlmSection(kind="openai", base_url="http://x/v1").unused()


def test_a_product_of_the_users_own_counts_with_all_its_files(folder: Path) -> None:
    mine = folder / "mine"
    mine.mkdir()
    (mine / "tuned.nemo").write_text("one")
    run = Run(folder / "run", Recipe.model_validate(merged(ON_CORPUS, {"products": {"train": str(mine)}})), folder)
    before = run.signature("evaluate")
    (mine / "tuned.nemo").write_text("another")
    assert run.signature("evaluate") != before


def test_every_mark_gives_its_reason() -> None:
    marks = [mark for _, mark in marked(Recipe)]
    assert {key for key, _ in marked(Recipe)} == WITHOUT_EFFECT
    assert all(mark.reason for mark in marks)


def marked(section: type[BaseModel], at: str = "") -> Iterator[tuple[str, NoEffect]]:
    for key, field in section.model_fields.items():
        yield from ((f"{at}{key}", mark) for mark in field.metadata if isinstance(mark, NoEffect))
        kinds = (field.annotation, *get_args(field.annotation))
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from marked(kind, f"{at}{key}.")


def test_what_a_stage_does_not_declare_it_cannot_read(folder: Path) -> None:
    seen = Run(folder / "run", Recipe.model_validate(ON_CORPUS), folder).of_stage("train")
    assert seen.recipe.train.steps and seen.recipe.augment.snr_db and seen.recipe.name
    with pytest.raises(UndeclaredError, match=r"stage train reads augment\.room; add it to its `reads`"):
        _ = seen.recipe.augment.room
    with pytest.raises(UndeclaredError, match="stage train reads evaluate"):
        _ = seen.recipe.evaluate
    with pytest.raises(UndeclaredError, match="stage train reads the product of lexicon"):
        seen.product("lexicon")
    with pytest.raises(UndeclaredError, match=r"stage train reads terms\.csv"):
        seen.resolve(Path("terms.csv"))
    assert seen.resolve(Path("noise.jsonl")) == folder / "noise.jsonl"
    assert set(BY_NAME) == set(ORDER)
