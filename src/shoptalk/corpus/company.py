"""Which terms stand together in a sentence: drawn so that a term more in the lexicon changes few sentences."""

from bisect import bisect
from collections.abc import Iterable
from typing import NamedTuple

from shoptalk.core.records import Term
from shoptalk.corpus.splits import draw_key


class Circle(NamedTuple):
    """Terms in the order of a draw from (seed, id), the first behind the last."""

    draws: tuple[str, ...]
    terms: tuple[Term, ...]


def circle_of(terms: Iterable[Term], *, seed: int) -> Circle:
    """The circle of terms, whatever their order."""
    drawn = sorted((draw_key(seed, "company", term.id), term.id, term) for term in terms)
    return Circle(tuple(draw for draw, _, _ in drawn), tuple(term for _, _, term in drawn))


def company(name: str, term: Term, others: int, circle: Circle, *, seed: int) -> tuple[Term, ...]:
    """The term and so many others, each the first on the circle behind a draw of its own from (seed, `name`).

    Fewer where the circle has no more. No draw looks at all terms.
    """
    chosen = {term.id: term}
    for number in range(others):
        start = bisect(circle.draws, draw_key(seed, "company", name, str(number)))
        for step in range(len(circle.terms)):
            other = circle.terms[(start + step) % len(circle.terms)]
            if other.id not in chosen:
                chosen[other.id] = other
                break
    return tuple(chosen.values())
