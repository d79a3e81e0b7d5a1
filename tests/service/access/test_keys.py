"""The file of keys, and `shoptalk keys`."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from shoptalk.cli import main
from shoptalk.core.errors import ApiKeyError
from shoptalk.service.access import keys
from shoptalk.service.access.callers import Limits

NOW = datetime(2026, 11, 27, tzinfo=UTC)


def test_the_command_shows_a_key_once_and_never_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "new" / "keys.jsonl"
    limits = ["--requests-per-minute", "60", "--audio-per-minute", "600", "--concurrent", "4", "--days", "90"]
    assert main(["keys", "add", "ward 7", "--keys", str(file), "--scopes", "transcribe, admin", *limits]) == 0
    key_id, secret = keys.parts(capsys.readouterr().out.strip())
    assert len(secret) == 64
    assert main(["keys", "list", "--keys", str(file)]) == 0
    listed = capsys.readouterr().out
    assert key_id in listed
    assert "transcribe,admin  60 requests/min, 600 s audio/min, 4 at the same time  ward 7" in listed
    assert main(["keys", "revoke", key_id, "--keys", str(file)]) == 0
    assert main(["keys", "list", "--keys", str(file)]) == 0
    assert f"{key_id}  revoked" in capsys.readouterr().out
    assert secret not in file.read_text() + listed
    assert not list(file.parent.glob("*.partial"))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (["--scopes", "write"], "scopes"),
        (["--requests-per-minute", "0"], "requests_per_minute"),
        (["--audio-per-minute", "nan"], "audio_s_per_minute"),
        (["--concurrent", "-1"], "concurrent"),
        (["--days", "0"], "0 days"),
        (["--days", "1e30"], "1e+30 days"),
        (["--days", "nan"], "nan days"),
    ],
)
def test_wrong_values_are_named_and_nothing_is_written(
    tmp_path: Path, wrong: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "keys.jsonl"
    assert main(["keys", "add", "x", "--keys", str(file), *wrong]) == 2
    assert told in capsys.readouterr().err
    assert not file.exists()


def test_two_hashes_of_one_secret_differ() -> None:
    assert keys.digest("00" * 16, "secret") != keys.digest("01" * 16, "secret")


def test_a_missing_file_an_unknown_id_and_a_repeated_line_are_told(tmp_path: Path) -> None:
    file = tmp_path / "keys.jsonl"
    with pytest.raises(ApiKeyError, match="keys add"):
        keys.read(file)
    keys.add(file, "", ["models"], Limits(), now=NOW)
    with pytest.raises(ApiKeyError, match="keys list"):
        keys.revoke(file, "unknown0", now=NOW)
    file.write_text(2 * file.read_text())
    with pytest.raises(ApiKeyError, match="twice"):
        keys.read(file)


def test_a_revoked_key_stays_revoked_at_the_same_time(tmp_path: Path) -> None:
    file = tmp_path / "keys.jsonl"
    key_id, _ = keys.parts(keys.add(file, "", ["models"], Limits(), now=NOW))
    keys.revoke(file, key_id, now=NOW)
    keys.revoke(file, key_id, now=datetime(2027, 1, 1, tzinfo=UTC))
    assert keys.read(file)[key_id].revoked_at == NOW
