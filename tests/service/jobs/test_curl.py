"""The commands of docs/jobs.md, in their order, as curl runs them."""

import json
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from tests.documents import ROOT, blocks_of, commands_of
from tests.service.http.serving import recording
from tests.service.jobs.test_routes import client

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="this machine has no curl")
SERVED = "http://127.0.0.1:8178"


def test_the_commands_of_the_page_are_answered(tmp_path: Path) -> None:
    (tmp_path / "archive/2026/11").mkdir(parents=True)
    for name in ("visit.wav", "recording.wav", "archive/2026/11/a.wav"):
        (tmp_path / name).write_bytes(recording(0.5))
    answered: dict[str, str] = {}
    with client(tmp_path, jobs_folder=tmp_path / "archive") as jobs:
        known = {SERVED: str(jobs.http.base_url)}
        for block in blocks_of(ROOT / "docs/jobs.md"):
            for words in commands_of(block.content) if block.language == "bash" else ():
                if words[0] != "curl":
                    continue
                given = list(words)
                for name, value in known.items():
                    given = [word.replace(name, value) for word in given]
                command = [*given, "--silent", "--show-error", "--fail"]
                done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
                assert done.returncode == 0, f"{words}: {done.stderr}"
                answered[" ".join(words)] = done.stdout
                if "/JOB" not in " ".join(words) and words[-1] != f"{SERVED}/v1/jobs":
                    job_id = json.loads(done.stdout)["id"]
                    job = jobs.job(job_id)
                    known = {SERVED: known[SERVED], "/JOB": f"/{job_id}", "/FILE": f"/{job['files']['data'][0]['id']}"}
                    while jobs.job(job_id)["ended_at"] is None:
                        pass
        assert jobs.http.get(f"/v1/jobs{known['/JOB']}").status_code == 404
    assert len(answered) == 9
    assert "-->" in answered[f"curl {SERVED}/v1/jobs/JOB/files/FILE/result"]
    assert zipfile.ZipFile(tmp_path / "results.zip").testzip() is None
