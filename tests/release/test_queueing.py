"""The laws of queues against their textbook sums, closed forms and simulated queues."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.release import queueing


def erlang_b(places: int, erlangs: float) -> float:
    """By its definition, a ratio of sums."""
    terms = [erlangs**count / math.factorial(count) for count in range(places + 1)]
    return terms[-1] / sum(terms)


def erlang_c(servers: int, erlangs: float) -> float:
    """The share that waits, by its definition."""
    last = erlangs**servers / math.factorial(servers) * servers / (servers - erlangs)
    return last / (sum(erlangs**count / math.factorial(count) for count in range(servers)) + last)


@given(st.integers(0, 40), st.floats(0.01, 40))
def test_refused_share_is_erlang_b(places: int, erlangs: float) -> None:
    assert queueing.refused_share(places, erlangs) == pytest.approx(erlang_b(places, erlangs))


def test_places_are_those_of_the_published_tables() -> None:
    """Erlang B tables: 10 erlangs need 18 places at 1 % and 21 at 0.1 %; 100 erlangs need 117 at 1 %."""
    assert queueing.places_for(10.0, 0.01) == 18
    assert queueing.places_for(10.0, 0.001) == 21
    assert queueing.places_for(100.0, 0.01) == 117


@given(st.floats(0.01, 500), st.floats(1e-4, 0.5))
def test_one_place_fewer_would_refuse_more(erlangs: float, most: float) -> None:
    places = queueing.places_for(erlangs, most)
    assert queueing.refused_share(places, erlangs) <= most
    assert places == 0 or queueing.refused_share(places - 1, erlangs) > most


@given(st.floats(0.01, 0.99), st.floats(0.1, 50))
def test_one_server_is_late_as_the_closed_form_says(use: float, times: float) -> None:
    """M/M/1: the time in the system is exponential."""
    assert queueing.late_share(1, use, times) == pytest.approx(math.exp(-(1 - use) * times))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 20), st.floats(0.05, 0.95))
def test_who_waits_is_erlang_c(servers: int, use: float) -> None:
    """The mean time in the system, the integral of the late share, is 1 + C / (c − a)."""
    erlangs = servers * use
    grid = np.linspace(0, 60 / (1 - use), 60_001)
    late = [queueing.late_share(servers, erlangs, float(times)) for times in grid[::30]]
    mean = float(np.trapezoid(late, grid[::30]))
    assert mean == pytest.approx(1 + erlang_c(servers, erlangs) / (servers - erlangs), rel=0.02)


@settings(max_examples=50)
@given(st.floats(0.05, 300), st.floats(3.05, 20))
def test_servers_are_the_fewest(erlangs: float, times: float) -> None:
    servers = queueing.servers_for(erlangs, times, 0.05)
    assert servers is not None and queueing.late_share(servers, erlangs, times) <= 0.05
    assert queueing.late_share(servers - 1, erlangs, times) > 0.05


def test_no_number_of_servers_shortens_what_a_request_takes_alone() -> None:
    """5 % of exponential lengths are above ln 20 = 2.996 means."""
    assert queueing.servers_for(10.0, 2.99, 0.05) is None
    assert queueing.servers_for(10.0, 3.0, 0.05) is not None


def test_batches_against_a_simulated_queue() -> None:
    """A device that always takes all that waits, up to a batch: 95 % of the answers are within the bound."""
    rng, batch, batch_s = np.random.default_rng(7), 16, 1.0
    rate = queueing.arrivals_for(batch, 0.99) / batch_s
    arrivals = np.cumsum(rng.exponential(1 / rate, 20_000))
    taken, free_at, index = [], 0.0, 0
    while index < arrivals.size:
        begin = max(free_at, arrivals[index])
        waiting = min(batch, int(np.searchsorted(arrivals, begin, side="right")) - index)
        free_at = begin + batch_s / batch * float(rng.exponential(1.0, batch).sum())
        taken += list(free_at - arrivals[index : index + waiting])
        index += waiting
    assert np.quantile(taken, 0.95) <= queueing.two_batches(batch, 0.95) * batch_s / batch


@settings(deadline=None)
@given(st.integers(1, 256), st.floats(0.5, 0.999))
def test_a_batch_takes_what_arrives(batch: int, certainty: float) -> None:
    from scipy import stats

    assert stats.poisson.cdf(batch, queueing.arrivals_for(batch, certainty)) == pytest.approx(certainty)
    assert stats.gamma.cdf(queueing.two_batches(batch, certainty), 2 * batch) == pytest.approx(certainty)
