"""MLflow's model registry: versions of a model, which of them are challenger and champion, and their history."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

from shoptalk.core import config
from shoptalk.core.errors import MissingToolError, RegistryError

CHAMPION, CHALLENGER = "champion", "challenger"
EVENT = "shoptalk.event"
"""Tags of the registered model whose keys begin so are its history, one tag for each event: none is ever rewritten."""
IDENTITY = ("checksums_sha256", "scores_sha256")
"""Tags by which two registered versions of one source are told apart."""


class Version(NamedTuple):
    """One registered bundle."""

    number: str
    source: Path
    aliases: tuple[str, ...]
    tags: Mapping[str, str]


class Event(NamedTuple):
    """The champion was changed; written before the alias is moved, so that a crash leaves a trace."""

    kind: Literal["promote", "rollback"]
    version: str
    """That became champion."""
    previous: str
    """That was champion; empty: none was."""
    by: str
    at: str
    """UTC, ISO 8601 with microseconds."""
    why: str
    gate_sha256: str
    """Of the verdict that let a promoted version through; empty for a rollback."""


class Registry:
    """The registry at a URI: of a database (``sqlite:///…``) or of an MLflow server."""

    def __init__(self, uri: str, *, create: bool = False) -> None:
        """A database that is not there is made only if `create`; making one takes MLflow some seconds."""
        config.no_telemetry()
        try:
            from mlflow import MlflowClient
        except ImportError:
            raise MissingToolError("MLflow is not installed; run `pip install 'shoptalk[tuning]'`") from None
        if uri.startswith("sqlite:///"):
            path = Path(uri.removeprefix("sqlite:///"))
            if not path.is_file() and not create:
                raise RegistryError(f"{uri}: no registry there; `shoptalk registry register RUN` makes it")
            path.parent.mkdir(parents=True, exist_ok=True)
        with _named(uri):
            self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)

    def register(self, name: str, source: Path, tags: Mapping[str, str]) -> Version:
        """Make a bundle the challenger: a new version, or the one that has the same `IDENTITY` and source already."""
        with _named(name):
            if not self._client.search_registered_models(f"name = '{name}'"):
                self._client.create_registered_model(name)
            same = [
                version.number
                for version in self.versions(name)
                if version.source == source and _identity(version.tags) == _identity(tags)
            ]
            number = same[0] if same else self._new(name, source, tags)
            self._client.set_registered_model_alias(name, CHALLENGER, number)
        return self.version(name, number)

    def _new(self, name: str, source: Path, tags: Mapping[str, str]) -> str:
        return str(self._client.create_model_version(name, source=str(source), tags=dict(tags)).version)

    def names(self) -> list[str]:
        """All models, by name."""
        names: list[str] = []
        page = None
        with _named("the list of models"):
            while page is None or page:
                models = self._client.search_registered_models(page_token=page)
                names += [model.name for model in models]
                page = models.token or ""
        return sorted(names)

    def versions(self, name: str) -> list[Version]:
        """All versions of a model, oldest first."""
        with _named(name):
            aliases: Mapping[str, object] = self._client.get_registered_model(name).aliases
            stored = self._client.search_model_versions(f"name = '{name}'")
        versions = []
        for entry in sorted(stored, key=lambda entry: int(entry.version)):
            number = str(entry.version)
            own_aliases = tuple(alias for alias, holder in aliases.items() if str(holder) == number)
            versions.append(Version(number, Path(entry.source), own_aliases, dict(entry.tags)))
        return versions

    def version(self, name: str, number: str) -> Version:
        for version in self.versions(name):
            if version.number == number:
                return version
        raise RegistryError(f"{name}: there is no version {number} (was it deleted?); see `shoptalk registry list`")

    def holder(self, name: str, alias: str) -> Version | None:
        """The version that has an alias; None: no version has it."""
        for version in self.versions(name):
            if alias in version.aliases:
                return version
        return None

    def history(self, name: str) -> list[Event]:
        """Every change of the champion, oldest first."""
        with _named(name):
            tags: Mapping[str, str] = self._client.get_registered_model(name).tags
        return [Event(**json.loads(tags[key])) for key in sorted(tags) if key.startswith(EVENT)]

    def promote(self, name: str, number: str, *, by: str, at: datetime, why: str, gate_sha256: str) -> Event:
        """Make a version the champion. Whether it may is for the caller to know: nothing is judged here."""
        champion = self.holder(name, CHAMPION)
        if champion and champion.number == number:
            raise RegistryError(f"{name}: version {number} is the champion already")
        event = _event("promote", number, champion, by=by, at=at, why=why, gate_sha256=gate_sha256)
        tags = {
            "promoted_by": by,
            "promoted_at": event.at,
            "gate_sha256": gate_sha256,
            "previous_champion": event.previous,
        }
        with _named(name):
            for key, value in tags.items():
                self._client.set_model_version_tag(name, number, key, value)
        return self._move(name, event)

    def rollback_target(self, name: str) -> Version:
        """The version that was champion before; `RegistryError` where there is none."""
        champion = self.holder(name, CHAMPION)
        number = champion_before(self.history(name), champion.number if champion else "")
        if number is None:
            raise RegistryError(
                f"{name}: no champion before this one; promote another with `shoptalk registry promote`"
            )
        return self.version(name, number)

    def rollback(self, name: str, number: str, *, by: str, at: datetime, why: str) -> Event:
        """Make `number`, the `rollback_target`, the champion again."""
        return self._move(name, _event("rollback", number, self.holder(name, CHAMPION), by=by, at=at, why=why))

    def _move(self, name: str, event: Event) -> Event:
        stamp = event.at.replace("-", "").replace(":", "").replace("+0000", "Z")
        with _named(name):
            key = f"{EVENT}.{stamp}.{event.kind}.{event.version}"
            self._client.set_registered_model_tag(name, key, json.dumps(event._asdict()))
            self._client.set_registered_model_alias(name, CHAMPION, event.version)
        return event


def champion_before(history: Sequence[Event], champion: str) -> str | None:
    """The version that a rollback from `champion` goes to; None: there is none.

    The history is replayed as a stack: a promotion lays a version on top, a rollback takes off the one it left. Where
    the alias is not on top, a promotion was cut off or overtaken by another: what lies above it does not count. Where
    it is not in the stack at all, it was moved by hand, and the top is the last champion that is known.
    """
    stack: list[str] = []
    for event in history:
        stack = [*stack, event.version] if event.kind == "promote" else _below(stack, event.previous)
    left = _below(stack, champion)
    return left[-1] if left else None


def _below(stack: list[str], version: str) -> list[str]:
    """What lies below the topmost place of a version; the whole stack if it is not there."""
    places = [place for place, stacked in enumerate(stack) if stacked == version]
    return stack[: places[-1]] if places else stack


def _identity(tags: Mapping[str, str]) -> list[str | None]:
    """The tags that tell bundles apart, None for each that is absent."""
    return [tags.get(key) for key in IDENTITY]


def _event(
    kind: Literal["promote", "rollback"],
    number: str,
    champion: Version | None,
    *,
    by: str,
    at: datetime,
    why: str,
    gate_sha256: str = "",
) -> Event:
    """`at` must be in UTC."""
    moment = at.isoformat(timespec="microseconds")
    return Event(kind, number, champion.number if champion else "", by, moment, why, gate_sha256)


@contextmanager
def _named(what: str) -> Iterator[None]:
    """MLflow's refusals, and those of its database, as a `RegistryError` of one line."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise RegistryError(f"{what}: MLflow refuses: {' '.join(str(error).split())[:300]}") from None
