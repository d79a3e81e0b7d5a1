"""Reading a recipe, and the one place that reads the environment."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from shoptalk.core import tables, yaml_text
from shoptalk.core.errors import ApiKeyError, RecipeError, TextError
from shoptalk.core.recipe import Recipe, Section
from shoptalk.core.resources import locate

SectionType = TypeVar("SectionType", bound=Section)


def load(path: Path, changes: tuple[str, ...] = (), *, settings: Mapping[str, Any] | None = None) -> Recipe:
    """Read a recipe, the user's or one that ships, and apply ``section.key=value`` changes, values being YAML.

    `settings` replace keys of the section `serve`; the changes go over both. Wrong keys are `RecipeError`s.
    """
    path = locate(path)
    if not path.is_file():
        raise RecipeError(f"{path}: no such recipe; `shoptalk init` writes one, and recipes/demo.yaml ships")
    return _changed(read_mapping(path, "a recipe is a mapping of sections"), changes, settings, str(path))


def changed(changes: tuple[str, ...], *, settings: Mapping[str, Any] | None = None) -> Recipe:
    """The defaults with `settings` of the service and ``section.key=value`` changes."""
    return _changed({}, changes, settings, "--set")


def read_mapping(path: Path, form: str) -> dict[str, Any]:
    """The mapping that a YAML file holds; `form` tells in the error what another content should have been."""
    try:
        content = yaml_text.load(tables.read_text(path)) or {}
    except yaml.YAMLError as error:
        raise RecipeError(f"{path}: not YAML: {_one_line(error)}") from None
    except TextError as error:
        raise RecipeError(str(error)) from None
    if not isinstance(content, dict):
        raise RecipeError(f"{path}: {form}, this is a {type(content).__name__}")
    return content


def validated(kind: type[SectionType], content: Mapping[str, Any], where: str, *, section: str = "") -> SectionType:
    """The content as a section; `RecipeError` names each wrong key, below `section` where that is given."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        problems = []
        for problem in error.errors():
            key = ".".join(map(str, [section, *problem["loc"]] if section else problem["loc"]))
            problems.append(f"{key}: {_message(kind, problem)}")
        raise RecipeError(f"{where}: {'; '.join(problems)}") from None


def _changed(
    content: dict[str, Any], changes: tuple[str, ...], settings: Mapping[str, Any] | None, where: str
) -> Recipe:
    if settings:
        own = content.get("serve") or {}
        content["serve"] = {**own, **settings} if isinstance(own, dict) else own
    for change in changes:
        _apply(content, change)
    return validated(Recipe, content, where)


def _message(kind: type[Section], problem: ErrorDetails) -> str:
    """What pydantic says, and for an unknown key the nearest known one."""
    if problem["type"] != "extra_forbidden":
        return problem["msg"]
    section: Any = kind
    for part in problem["loc"][:-1]:
        annotation = section.model_fields[part].annotation
        kinds = (annotation, *get_args(annotation))  # a section that may be absent is a union with None
        section = next(candidate for candidate in kinds if hasattr(candidate, "model_fields"))
    known = list(section.model_fields)
    near = get_close_matches(str(problem["loc"][-1]), known, n=1)
    if near:
        return f"no such key; did you mean {near[0]}?"
    return f"no such key; there are {', '.join(known)}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _apply(content: dict[str, Any], change: str) -> None:
    key, equals, value = change.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {change!r}: write it as section.key=value")
    *sections, last = key.split(".")
    for section in sections:
        content = content.setdefault(section, {})
        if not isinstance(content, dict):
            raise RecipeError(f"--set {change!r}: {section!r} is not a section")
    try:
        content[last] = yaml_text.load(value)
    except yaml.YAMLError:
        raise RecipeError(f"--set {change!r}: the value is not YAML; put text in quotes") from None


def environment(name: str, default: str = "") -> str:
    """The one place that reads environment variables."""
    return os.environ.get(name, default)


def api_key(name: str) -> str:
    """The API key of an environment variable, empty where it is not set; `ApiKeyError` as of `check_api_key`."""
    key = environment(name)
    check_api_key(key, name)
    return key


def check_api_key(key: str, where: str) -> None:
    """`ApiKeyError` for a key that ``Authorization: Bearer KEY`` cannot carry; it would never match any other.

    HTTP headers are ASCII, and blanks end the key. The message does not repeat the key.
    """
    for place, character in enumerate(key, start=1):
        if not "!" <= character <= "~":
            kind = "a blank or a control character" if character.isascii() else "not ASCII"
            raise ApiKeyError(
                f"{where}: character {place} of the key is {kind}, which no HTTP header can carry; take letters, "
                "digits and - . _ ~ alone, as `openssl rand -hex 32` gives them"
            )


def preset(variables: Mapping[str, str]) -> None:
    """Set environment variables that are not set; to be called before the libraries are loaded that read them."""
    for name, value in variables.items():
        os.environ.setdefault(name, value)


def with_threads(threads: int) -> Mapping[str, str] | None:
    """The environment of a process whose libraries compute with so many threads; None, as it is, for 0."""
    if not threads:
        return None
    return {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))}


@contextmanager
def put_back(names: Iterable[str]) -> Iterator[None]:
    """Environment variables that a library sets within the block are after it as they were before."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def no_telemetry() -> None:
    """Keep MLflow from reporting its use to its makers; to be called before mlflow is imported."""
    preset({"MLFLOW_DISABLE_TELEMETRY": "true"})


def cache_dir() -> Path:
    """Where fetched models are kept: SHOPTALK_CACHE, or ``shoptalk`` in the user's cache folder."""
    own = environment("SHOPTALK_CACHE")
    return Path(own) if own else Path(environment("XDG_CACHE_HOME") or Path.home() / ".cache") / "shoptalk"
