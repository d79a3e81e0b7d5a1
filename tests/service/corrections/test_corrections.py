"""Taking, replacing, expiring and deleting corrections, with a clock that the test moves."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.service.corrections.keeping import HEARD, SPOKEN, WARD, Ward

from shoptalk.core.errors import StoreError
from shoptalk.service.access.callers import SCOPES, Caller
from shoptalk.service.account import Account
from shoptalk.service.corrections import answered as answered_requests
from shoptalk.service.corrections.records import Asked, Correction, Sent
from shoptalk.service.problems import Problem

DAY_S = 86_400.0


def stored(ward: Ward, **asked: object) -> list[Correction]:
    return list(ward.corrections.all(Asked(**asked)))  # type: ignore[arg-type]


def test_a_correction_is_stored_and_read_again(tmp_path: Path) -> None:
    ward = Ward(tmp_path)
    ward.answer()
    sent = Sent("req_1", "Start metformin today.", consent=True, original="Start met for men today.")
    taken = ward.corrections.take("ward7", sent)
    [correction] = stored(ward)
    assert correction == taken.correction
    assert (correction.text, correction.original, correction.model) == (sent.text, sent.original, "tiny")
    assert correction.expires_s - correction.at_s == 90 * DAY_S
    assert taken.changed_words == 3 and taken.replaced == () and taken.has_audio


def test_what_was_corrected_lies_on_disk_only_encrypted(tmp_path: Path) -> None:
    ward = Ward(tmp_path)
    ward.answer()
    ward.correct("Kakapo text", original="Kakapo original")
    ward.store.close()
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"Kakapo" not in path.read_bytes(), path


def test_words_are_counted_by_what_was_kept_where_no_original_is_sent(tmp_path: Path) -> None:
    ward = Ward(tmp_path)
    ward.answer("kept")
    ward.answer("gone", keep=False)
    taken = [ward.corrections.take("ward7", Sent(id_, "Start metformin today.", True)) for id_ in ("kept", "gone")]
    assert [done.changed_words for done in taken] == [3, None]
    assert [done.has_audio for done in taken] == [True, False]


@pytest.mark.parametrize("request_id", ["req_2", "REQ_1"])
def test_only_what_this_key_was_answered_can_be_corrected(tmp_path: Path, request_id: str) -> None:
    ward = Ward(tmp_path)
    ward.answer("req_1")
    ward.answer("req_2", caller=Caller("other", SCOPES))
    with pytest.raises(Problem) as problem:
        ward.correct(request_id=request_id)
    assert (problem.value.status, problem.value.code) == (404, "request_not_found")


def test_a_correction_comes_too_late(tmp_path: Path) -> None:
    ward = Ward(tmp_path, correctable_hours=2.0)
    ward.answer()
    ward.clock.pass_(hours=2, seconds=-1)
    ward.correct()
    ward.clock.pass_(seconds=1)
    with pytest.raises(Problem, match="too long ago"):
        ward.correct()


def test_a_second_correction_replaces_the_first(tmp_path: Path) -> None:
    ward = Ward(tmp_path)
    ward.answer()
    first = ward.correct("first")
    taken = ward.corrections.take("ward7", Sent("req_1", "second", consent=True))
    assert taken.replaced == (first,)
    assert [correction.text for correction in stored(ward)] == ["second"]


def test_parts_stand_beside_each_other_and_replace_what_they_overlap(tmp_path: Path) -> None:
    ward = Ward(tmp_path)
    ward.answer()
    ward.correct("a", start_s=0.0, end_s=1.0)
    ward.correct("b", start_s=1.0, end_s=2.0)
    assert {correction.text for correction in stored(ward)} == {"a", "b"}
    ward.correct("c", start_s=0.5, end_s=1.5)
    assert [correction.text for correction in stored(ward)] == ["c"]
    ward.correct("whole")
    assert [correction.text for correction in stored(ward)] == ["whole"]
    with pytest.raises(Problem) as problem:
        ward.correct("part", start_s=0.0, end_s=1.0)
    assert (problem.value.status, problem.value.code) == (409, "corrected_as_a_whole")
    with pytest.raises(Problem, match="ends behind the recording"):
        ward.correct("late", start_s=0.0, end_s=9.0)


def test_the_newest_of_several_requests_with_one_id_is_meant(tmp_path: Path) -> None:
    """Clients may choose ids, and use one again."""
    ward = Ward(tmp_path)
    ward.answer()
    ward.correct("of the first")
    ward.clock.pass_(minutes=1)
    ward.answer()
    ward.correct("of the second")
    assert [correction.text for correction in stored(ward)] == ["of the first", "of the second"]
    assert ward.corrections.forget_recordings("req_1", "ward7") == 2
    assert ward.corrections.forget("req_1", "ward7") == 2
    assert ward.corrections.forget_request("req_1", "ward7") == 2


# ---- recordings


def test_consent_keeps_the_recording_as_long_as_the_correction(tmp_path: Path) -> None:
    ward = Ward(tmp_path)
    ward.answer("with")
    ward.answer("without")
    ward.correct(request_id="with")
    ward.correct(request_id="without", consent=False)
    ward.clock.pass_(hours=25)
    assert ward.keeper.sweep() == 1
    [correction] = stored(ward, consent=True)
    kept = ward.keeper.read(correction.recordings[0])
    assert kept is not None and kept.request_id == "with" and kept.recognition == HEARD
    ward.clock.pass_(days=90)
    assert ward.keeper.sweep() == 1 and ward.recordings() == []


def test_consent_that_is_taken_back_lets_the_recording_expire_as_before(tmp_path: Path) -> None:
    ward = Ward(tmp_path)
    ward.answer()
    ward.correct()
    ward.correct(consent=False)
    ward.clock.pass_(hours=25)
    assert ward.keeper.sweep() == 1
    ward.answer("late")
    ward.correct(request_id="late")
    ward.clock.pass_(hours=30)
    assert ward.keeper.sweep() == 0
    ward.correct(request_id="late", consent=False)
    assert ward.recordings() == []


def test_one_part_with_consent_keeps_the_recording(tmp_path: Path) -> None:
    ward = Ward(tmp_path)
    ward.answer()
    ward.correct("a", start_s=0.0, end_s=1.0)
    ward.correct("b", start_s=1.0, end_s=2.0, consent=False)
    ward.clock.pass_(days=2)
    assert ward.keeper.sweep() == 0


# ---- expiry


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    days=st.floats(0.1, 40),
    steps=st.lists(st.tuples(st.sampled_from("acs"), st.integers(0, 5), st.floats(0, 5)), max_size=25),
)
def test_nothing_outlives_its_time_and_nothing_goes_before(
    tmp_path_factory: pytest.TempPathFactory, days: float, steps: list[tuple[str, int, float]]
) -> None:
    """Answers, corrections and sweeps in any order; what is listed is what was sent less than `days` ago."""
    ward = Ward(tmp_path_factory.mktemp("ward"), corrections_days=days, correctable_hours=100_000.0)
    expected: dict[str, tuple[str, float]] = {}
    for number, (step, request, wait) in enumerate(steps):
        name = f"req_{request}"
        if step == "a" and name not in expected:
            ward.answer(name)
        elif step == "c":
            try:
                ward.correct(f"text {number}", name)
                expected[name] = f"text {number}", ward.store.now_s + days * DAY_S
            except Problem:
                pass
        elif step == "s":
            ward.corrections.sweep()
            ward.keeper.sweep()
        ward.clock.pass_(days=wait)
        alive = sorted(text for text, until_s in expected.values() if until_s > ward.store.now_s)
        assert sorted(correction.text for correction in stored(ward)) == alive
    ward.clock.pass_(days=days + 100_000 / 24 + 1)
    ward.corrections.sweep()
    ward.keeper.sweep()
    assert ward.recordings() == [] and rows_of(ward) == 0
    ward.store.close()


def rows_of(ward: Ward) -> int:
    """Everything in the tables that hold something of requests."""
    database = sqlite3.connect(ward.folder / "store" / "store.sqlite")
    try:
        return sum(
            database.execute(f"SELECT COUNT(*) FROM {name}").fetchone()[0] for name in ("answered", "corrections")
        )
    finally:
        database.close()


# ---- deletion


def forget(ward: Ward, request_id: str = "req_1", caller: str | None = "ward7") -> list[int]:
    places: list[Callable[[str, str | None], int]] = [
        ward.corrections.forget_recordings,
        ward.corrections.forget,
        ward.corrections.forget_request,
    ]
    return [place(request_id, caller) for place in places]


def test_a_deletion_leaves_nothing_and_can_be_repeated(tmp_path: Path) -> None:
    ward = Ward(tmp_path)
    ward.answer(channels=2)
    ward.correct()
    assert not ward.corrections.was_deleted("req_1", "ward7")
    assert forget(ward) == [2, 1, 1]
    assert ward.recordings() == [] and rows_of(ward) == 0
    assert forget(ward) == [0, 0, 0]
    assert ward.corrections.was_deleted("req_1", "ward7")
    assert not ward.corrections.was_deleted("req_1", "other") and not ward.corrections.was_deleted("req_2", None)
    with pytest.raises(Problem, match="no request with this id"):
        ward.correct()


def test_a_deletion_by_a_key_leaves_what_others_have(tmp_path: Path) -> None:
    ward = Ward(tmp_path)
    ward.answer()
    ward.answer(caller=Caller("other", SCOPES, keeps_audio=True))
    assert forget(ward, caller="stranger") == [0, 0, 0]
    assert forget(ward, caller="other") == [1, 0, 1]
    assert len(ward.recordings()) == 1
    assert forget(ward, caller=None) == [1, 0, 1]
    assert ward.recordings() == []


def test_a_recording_is_found_though_its_name_is_not_known(tmp_path: Path) -> None:
    """It was kept before there was a store, or a process died between a move and the note of it."""
    ward = Ward(tmp_path)
    ward.keeper.keep(WARD, "old", "tiny", SPOKEN, HEARD)
    assert ward.corrections.forget_recordings("old", "other") == 0
    assert ward.corrections.forget_recordings("old", "ward7") == 1
    ward.answer()
    [name] = ward.recordings()
    ward.corrections.answered.flush()
    moved = ward.keeper.expire_at(name, ward.clock.now.replace(year=2027))
    assert ward.recordings() == [moved]
    assert ward.corrections.forget_recordings("req_1", None) == 1
    assert ward.recordings() == []


# ---- noting what was answered


def test_what_waits_is_written_though_the_database_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ward = Ward(tmp_path)
    ward.answer()

    def broken() -> None:
        raise StoreError("the database does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(ward.store, "begin", broken)
        ward.corrections.answered.try_flush()
        ward.corrections.answered.try_flush()
    ward.answer("req_2")
    ward.corrections.answered.try_flush()
    ward.correct(request_id="req_1")
    ward.correct(request_id="req_2")


def test_memory_for_what_waits_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answered_requests, "MOST_WAITING", 3)
    ward = Ward(tmp_path)
    for number in range(5):
        ward.answer(f"req_{number}", keep=False)

    def broken() -> None:
        raise StoreError("the database does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(ward.store, "begin", broken)
        ward.corrections.answered.try_flush()
    ward.answer("req_5", keep=False)
    ward.corrections.answered.flush()
    assert rows_of(ward) == 3
    ward.correct(request_id="req_5")
    with pytest.raises(Problem):
        ward.correct(request_id="req_1")


def test_an_account_is_noted_with_its_recordings(tmp_path: Path) -> None:
    ward = Ward(tmp_path)
    account = Account(request_id="req_1", caller="ward7", model="tiny", audio_s=1.0, kept=["a.kept", "b.kept"])
    ward.corrections.answered.note(account)
    ward.corrections.answered.flush()
    with ward.store.reading() as connection:
        [row] = ward.corrections.answered.of_request(connection, "req_1", None)
    assert row.recordings.split() == ["a.kept", "b.kept"] and row.audio_s == 1.0
