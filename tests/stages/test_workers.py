"""Stages 30 and 40 on Ray make what they make on this machine's processes, to the byte."""

from hashlib import sha256
from pathlib import Path

import pytest
from tests.corpus import fake_tts

from shoptalk.core import config
from shoptalk.integrations import kokoro
from shoptalk.stages import execution
from shoptalk.stages.run import Run

ROOT = Path(__file__).parents[2]
CHANGES = (
    "lexicon.only=[metformin, lisinopril]", "transcripts.live_carriers=0", "transcripts.train_per_term=2",
    "augment.copies=2", "augment.wordless=0.5", "augment.noise_classes={babble: 1}",
)  # fmt: skip


def digests(folder: Path) -> dict[str, str]:
    made = [path for part in ("30-speech*", "40-augment*") for path in sorted(folder.glob(part))]
    files = [path for place in made for path in ([place] if place.is_file() else sorted(place.rglob("*.*")))]
    return {path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.slow
def test_ray_makes_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kokoro, "prepare", lambda: None)
    monkeypatch.setattr(kokoro, "load", fake_tts.make())
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}:{ROOT}")
    made = {}
    for backend in ("processes", "ray"):
        recipe = config.load(ROOT / "recipes" / "ci.yaml", (*CHANGES, f"corpus.backend={backend}", "speech.workers=2"))
        run = Run(tmp_path / backend, recipe, ROOT / "recipes")
        run.folder.mkdir()
        execution.make_all(run, last="augment")
        made[backend] = digests(run.folder)
    assert made["ray"] == made["processes"]
    assert sum(name.endswith(".flac") for name in made["ray"]) > 15
