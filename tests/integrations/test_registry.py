"""The registry on a real MLflow database: parts, history, rollbacks, and what may go wrong."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoptalk.core.errors import RegistryError
from shoptalk.integrations.registry import CHALLENGER, CHAMPION, Event, Registry, champion_before

START = datetime(2026, 11, 25, 10, tzinfo=UTC)


def filled(uri: str, count: int, folder: Path) -> Registry:
    registry = Registry(uri)
    for number in range(count):
        registry.register("m", folder / f"{number}", {"checksums_sha256": str(number)})
    return registry


def promote(registry: Registry, number: str, minute: int, by: str = "ann") -> Event:
    at = START + timedelta(minutes=minute)
    return registry.promote("m", number, by=by, at=at, why="", gate_sha256="g" * 64)


def roll_back(registry: Registry, minute: int) -> str:
    target = registry.rollback_target("m").number
    at = START + timedelta(minutes=minute)
    return registry.rollback("m", target, by="bob", at=at, why="it hears noise as words").version


def champion(registry: Registry) -> str:
    held = registry.holder("m", CHAMPION)
    assert held
    return held.number


def test_promoted_and_rolled_back_step_by_step(registry_uri: str, tmp_path: Path) -> None:
    registry = filled(registry_uri, 3, tmp_path)
    assert registry.holder("m", CHAMPION) is None
    for minute, number in enumerate("123"):
        promote(registry, number, minute)
    tags = registry.version("m", "3").tags
    assert tags["promoted_by"] == "ann" and tags["promoted_at"] == "2026-11-25T10:02:00.000000+00:00"
    assert tags["previous_champion"] == "2" and tags["gate_sha256"] == "g" * 64
    assert [roll_back(registry, 10), roll_back(registry, 11)] == ["2", "1"]
    with pytest.raises(RegistryError, match="no champion before"):
        registry.rollback_target("m")
    promote(registry, "3", 12)
    assert roll_back(registry, 13) == "1" == champion(registry)
    told = [(one.kind, one.previous, one.version, one.by) for one in registry.history("m")]
    assert told[:4] == [("promote", "", "1", "ann"), ("promote", "1", "2", "ann"), ("promote", "2", "3", "ann"),
                        ("rollback", "3", "2", "bob")]  # fmt: skip
    assert len(told) == 7 and registry.history("m")[3].why == "it hears noise as words"


def test_mlflow_itself_resolves_the_champion(
    registry_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry_uri)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", registry_uri)
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "bundle.json").write_text("{}")
    promote(filled(registry_uri, 1, tmp_path), "1", 0)
    client = mlflow.MlflowClient(tracking_uri=registry_uri, registry_uri=registry_uri)
    assert client.get_model_version_by_alias("m", "champion").source == str(tmp_path / "0")
    found = Path(mlflow.artifacts.download_artifacts("models:/m@champion"))
    assert (found / "bundle.json").read_text() == "{}"


def test_a_bundle_registered_twice_is_one_version(registry_uri: str, tmp_path: Path) -> None:
    registry = filled(registry_uri, 2, tmp_path)
    again = registry.register("m", tmp_path / "0", {"checksums_sha256": "0"})
    assert again.number == "1" and again.aliases == (CHALLENGER,) and len(registry.versions("m")) == 2


def test_two_promotions_at_once_lose_no_history(registry_uri: str, tmp_path: Path) -> None:
    """Both saw the same champion; the later move of the alias holds, and both events are there."""
    registry = filled(registry_uri, 3, tmp_path)
    promote(registry, "1", 0)
    other = Registry(registry_uri)
    promote(registry, "2", 1, by="ann")
    promote(other, "3", 1, by="bob")
    assert [(one.by, one.version) for one in registry.history("m")] == [("ann", "1"), ("ann", "2"), ("bob", "3")]
    assert champion(registry) == "3"


def test_what_the_registry_refuses(registry_uri: str, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="no registry there"):
        Registry(f"sqlite:///{tmp_path}/none.db")
    assert not (tmp_path / "none.db").exists()
    registry = filled(registry_uri, 1, tmp_path)
    promote(registry, "1", 0)
    with pytest.raises(RegistryError, match="champion already"):
        promote(registry, "1", 1)
    with pytest.raises(RegistryError, match="no version 9"):
        registry.version("m", "9")
    with pytest.raises(RegistryError, match="nobody: MLflow refuses"):
        registry.versions("nobody")
    with pytest.raises(RegistryError, match="MLflow refuses"):
        registry.register("a/b:c", tmp_path, {"checksums_sha256": "x"})
    (tmp_path / "text.db").write_text("this is no database, and long enough to be told from one\n" * 20)
    with pytest.raises(RegistryError, match="MLflow refuses"):
        Registry(f"sqlite:///{tmp_path}/text.db").versions("m")


# --- the history as a stack ------------------------------------------------------------------------------------


def event(kind: str, version: str, previous: str) -> Event:
    return Event(kind, version, previous, "ann", "", "", "")  # type: ignore[arg-type]


def test_a_promotion_that_was_cut_off_does_not_count() -> None:
    history = [event("promote", "1", ""), event("promote", "2", "1"), event("promote", "3", "2")]
    assert champion_before(history, "3") == "2"
    assert champion_before(history, "2") == "1", "the alias was never moved to 3"
    assert champion_before(history, "1") is None


def test_an_alias_moved_by_hand_goes_back_to_the_last_known_champion() -> None:
    history = [event("promote", "1", ""), event("promote", "2", "1")]
    assert champion_before(history, "9") == "2"
    assert champion_before(history, "") == "2"
    assert champion_before([], "9") is None


@given(st.lists(st.sampled_from(["1", "2", "3", "back"])))
def test_rollbacks_undo_promotions_in_reverse(moves: list[str]) -> None:
    """Against the plain meaning: a list of champions, of which the last is in use."""
    history: list[Event] = []
    champions: list[str] = []
    for move in moves:
        now = champions[-1] if champions else ""
        if move == "back":
            target = champion_before(history, now)
            assert target == (champions[-2] if len(champions) > 1 else None)
            if target:
                champions.pop()
                history.append(event("rollback", target, now))
        elif move != now:
            champions.append(move)
            history.append(event("promote", move, now))
