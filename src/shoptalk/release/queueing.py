"""The laws of queues that capacity is planned by; pure arithmetic.

Arrivals are random (Poisson). Lengths of requests are taken to be exponential, which is more varied than dictation.

- Erlang B (`refused_share`, `places_for`): sessions take a place, or are refused if none is free. It holds for any
  distribution of their length.
- Erlang C (`late_share`, `servers_for`): requests go one at a time to whichever server is free, or wait (M/M/c).
- Batch service (`arrivals_for`, `two_batches`): what arrives while a batch is computed is the next batch. Whoever comes
  waits for at most the batch under way, and then for its own.
- Little: what is under way is the rate of arrivals times the time that each takes. It needs no function.
"""

import math
from collections.abc import Iterator


def refused_share(places: int, erlangs: float) -> float:
    """Erlang B: the share of sessions that find all places taken; `erlangs` is the mean number that want one."""
    shares = _shares(erlangs)
    for _ in range(places):
        next(shares)
    return next(shares)


def places_for(erlangs: float, most_refused: float) -> int:
    """The fewest places with which at most this share (above 0, below 1) of the sessions is refused."""
    return next(places for places, share in enumerate(_shares(erlangs)) if share <= most_refused)


def late_share(servers: int, erlangs: float, times: float) -> float:
    """Erlang C: the share of requests whose answer takes longer than `times` mean service times, the wait included.

    `erlangs` is the mean number under way; 1 where the servers cannot keep up.
    """
    return 1.0 if erlangs >= servers else _late(servers, erlangs, times, refused_share(servers, erlangs))


def servers_for(erlangs: float, times: float, most_late: float) -> int | None:
    """The fewest servers with which at most this share of the answers takes longer than `times` mean service times.

    None if no number suffices, because too many requests alone take longer than that.
    """
    if math.exp(-times) >= most_late:
        return None
    for servers, refused in enumerate(_shares(erlangs)):
        if servers > erlangs and _late(servers, erlangs, times, refused) <= most_late:
            return servers
    return None


def arrivals_for(batch: int, certainty: float) -> float:
    """The most arrivals, on average, during one batch so that with this certainty no more come than the next one takes.

    `certainty` lies between 0 and 1.
    """
    from scipy import special

    return float(special.pdtri(batch, certainty))


def two_batches(batch: int, certainty: float) -> float:
    """How long two batches of so many requests take at most, with this certainty, in mean service times of one request.

    The sum of as many exponential lengths has a gamma distribution.
    """
    from scipy import special

    return float(special.gammaincinv(2 * batch, certainty))


def _late(servers: int, erlangs: float, times: float, refused: float) -> float:
    """`late_share` from Erlang B's share, for fewer erlangs than servers."""
    waiting = servers * refused / (servers - erlangs * (1 - refused))
    spare = servers - erlangs - 1
    slower = min(1.0, servers - erlangs)
    both = times if abs(spare) < 1e-9 else -math.expm1(-abs(spare) * times) / abs(spare)
    return math.exp(-times) + waiting * math.exp(-slower * times) * both


def _shares(erlangs: float) -> Iterator[float]:
    """Erlang B for 0, 1, 2 … places, by its recursion."""
    share, places = 1.0, 0
    while True:
        yield share
        places += 1
        share = erlangs * share / (places + erlangs * share)
