"""Recordings that are kept: encrypted, of keys that agreed, for some hours."""

import base64
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import soundfile

from shoptalk.cli import main
from shoptalk.core.errors import EncryptionKeyError, KeptAudioError
from shoptalk.core.records import Recognition, Word
from shoptalk.service.access.callers import SCOPES, Caller, Limits
from shoptalk.service.access.kept import Keeper, open_keeper, read_kept
from shoptalk.service.sealing import read_key
from shoptalk.service.settings import Settings

KEY, OTHER_KEY = bytes(range(32)), bytes(32)
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
AGREED = Caller("abcd1234", SCOPES, Limits(), keeps_audio=True)
SPOKEN = Recognition(text="canary words", words=(Word(word="canary", start_s=0, end_s=1, confidence=0.5),))
SAMPLES = (np.sin(np.arange(16_000) / 10) / 2).astype(np.float32)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


def keep(keeper: Keeper, caller: Caller = AGREED) -> bool:
    return keeper.keep(caller, "req_1", "tiny", SAMPLES, SPOKEN)


def test_a_recording_and_its_transcript_come_back_with_the_key(tmp_path: Path) -> None:
    assert keep(Keeper(tmp_path, KEY, 24, Clock()))
    (kept,) = read_kept(tmp_path, KEY)
    assert (kept.request_id, kept.caller, kept.model) == ("req_1", "abcd1234", "tiny")
    assert kept.recognition == SPOKEN
    assert (kept.at, kept.expires_at) == (NOON, NOON + timedelta(hours=24))
    samples, rate_hz = soundfile.read(io.BytesIO(kept.flac), dtype="float32")
    assert rate_hz == 16_000
    assert np.abs(samples - SAMPLES).max() < 1e-4


def test_nothing_on_disk_can_be_read_without_the_key(tmp_path: Path) -> None:
    keep(Keeper(tmp_path, KEY, 24, Clock()))
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    assert not any(word in content for word in (b"canary", b"fLaC", b"req_1", b"tiny", b"abcd1234"))
    with pytest.raises(KeptAudioError, match="another key"):
        list(read_kept(tmp_path, OTHER_KEY))


@pytest.mark.parametrize("place", [0, 20, -1])
def test_changed_bytes_and_names_are_refused(tmp_path: Path, place: int) -> None:
    keep(Keeper(tmp_path, KEY, 24, Clock()))
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(KeptAudioError):
        list(read_kept(tmp_path, KEY))
    content[place] ^= 1
    path.unlink()
    path.with_name(path.name.replace("2026", "2036")).write_bytes(content)
    with pytest.raises(KeptAudioError):
        list(read_kept(tmp_path, KEY))


def test_only_of_keys_that_agreed(tmp_path: Path) -> None:
    assert not keep(Keeper(tmp_path, KEY, 24, Clock()), Caller("x", SCOPES))
    assert not list(tmp_path.iterdir())


def test_they_expire_also_if_the_service_was_stopped_meanwhile(tmp_path: Path) -> None:
    clock = Clock()
    first = Keeper(tmp_path, KEY, 24, clock)
    keep(first)
    clock.now += timedelta(hours=2)
    keep(first)
    (tmp_path / "notes.txt").touch()
    (tmp_path / f"{NOON:%Y%m%dT%H%M%SZ}-00.kept.partial").touch()
    clock.now = NOON + timedelta(hours=23, minutes=59)
    assert first.sweep() == 1  # what an interrupted process left half written
    clock.now = NOON + timedelta(hours=24)
    assert Keeper(tmp_path, KEY, 24, clock).sweep() == 1
    assert len(list(read_kept(tmp_path, KEY))) == 1
    clock.now = NOON + timedelta(hours=26)
    assert first.sweep() == 1
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_disk_that_takes_nothing_does_not_stop_the_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keeper = Keeper(tmp_path / "gone", KEY, 24, Clock())
    (tmp_path / "gone").rmdir()
    (tmp_path / "gone").touch()
    assert not keep(keeper)
    assert "could not be kept" in caplog.text
    assert "canary" not in caplog.text


def test_the_key_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(base64.b64encode(KEY).decode() + "\n")
    assert read_key(file) == KEY
    for content in ("", "short", "ä", base64.b64encode(KEY[:16]).decode()):
        file.write_text(content)
        with pytest.raises(EncryptionKeyError, match="openssl"):
            read_key(file)
    with pytest.raises(EncryptionKeyError, match="openssl"):
        read_key(tmp_path / "nowhere")


def test_settings_that_lack_something_are_named(tmp_path: Path) -> None:
    assert open_keeper(Settings(), Clock()) is None
    with pytest.raises(KeptAudioError, match="keep_audio_key"):
        open_keeper(Settings(keep_audio_dir=tmp_path), Clock())
    with pytest.raises(KeptAudioError, match="keys_file"):
        open_keeper(Settings(keep_audio_dir=tmp_path, keep_audio_key=tmp_path / "key"), Clock())


def test_the_command_decrypts_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out, file = tmp_path / "kept", tmp_path / "out", tmp_path / "key"
    file.write_text(base64.b64encode(KEY).decode())
    keep(Keeper(folder, KEY, 24, Clock()))
    assert main(["kept", str(folder), "--key", str(file), "--to", str(out)]) == 0
    assert "1 recordings" in capsys.readouterr().out
    (line,) = map(json.loads, (out / "kept.jsonl").read_text().splitlines())
    assert (line["text"], line["key"], line["request_id"]) == ("canary words", "abcd1234", "req_1")
    assert soundfile.info(out / line["audio"]).duration == 1.0
    file.write_text(base64.b64encode(OTHER_KEY).decode())
    assert main(["kept", str(folder), "--key", str(file), "--to", str(out)]) == 2
