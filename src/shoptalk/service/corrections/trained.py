"""The models that were trained on corrections: those of the service, of its folder of models, and of the registry."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shoptalk.core.bundle import CHECKSUMS, name_of, read_trained_on
from shoptalk.core.errors import ShoptalkError
from shoptalk.core.resources import locate

Registered = Callable[[], Iterable[tuple[str, Path]]]
"""The name and version of each registered model, and its bundle; `RegistryError` if the registry does not answer."""


@dataclass(frozen=True)
class TrainedModel:
    """A model that was trained on corrections."""

    name: str
    place: str
    """`served`, `models_folder` or `registry`."""
    corrections: tuple[str, ...]


@dataclass
class Search:
    """What a search found, and what it could not look at."""

    models: list[TrainedModel] = field(default_factory=list)
    not_searched: list[str] = field(default_factory=list)


def search(
    corrections: Sequence[str],
    *,
    served: Callable[[], Iterable[tuple[str, Path]]],
    folder: Path | None,
    registered: Registered | None,
) -> Search:
    """The models whose bundle lists one of these corrections; it blocks for the disk and the registry.

    A model stands under each place that has it. A bundle that cannot be read, and a registry that does not answer, are
    named in `not_searched`.
    """
    done = Search()
    if not corrections:
        return done
    wanted = frozenset(corrections)
    places: list[tuple[str, Callable[[], Iterable[tuple[str, Path]]]]] = [("served", served)]
    if folder is not None:
        places.append(("models_folder", lambda: _bundles_below(folder)))
    if registered is not None:
        places.append(("registry", registered))
    for place, bundles in places:
        try:
            listed = list(bundles())
        except ShoptalkError:
            done.not_searched.append(place)
            continue
        for name, path in listed:
            _look(done, wanted, place, name, path)
    return done


def _look(done: Search, wanted: frozenset[str], place: str, name: str, path: Path) -> None:
    try:
        located = locate(path)
        if not located.exists():  # a registry may name what was deleted, or lies on another machine
            raise FileNotFoundError(path)
        common = wanted.intersection(read_trained_on(located))
    except (ShoptalkError, OSError):
        done.not_searched.append(f"{place}: {name}")
        return
    if common:
        done.models.append(TrainedModel(name, place, tuple(sorted(common))))


def _bundles_below(folder: Path) -> Iterator[tuple[str, Path]]:
    for checksums in sorted(folder.rglob(CHECKSUMS)):
        try:
            yield name_of(checksums.parent), checksums.parent
        except ShoptalkError:
            yield checksums.parent.name, checksums.parent
