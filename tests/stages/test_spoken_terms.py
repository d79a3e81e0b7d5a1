"""Terms that are not said as they are written, from the lexicon to the dataset, by the real stages 10 to 50."""

from pathlib import Path

import pytest
from tests.corpus import fake_tts
from tests.stages.test_wiring import general

from shoptalk.core import config, files
from shoptalk.core.examples import read_manifest
from shoptalk.core.records import Term, Transcript, Utterance
from shoptalk.integrations import kokoro
from shoptalk.stages import execution
from shoptalk.stages.run import Run

ROOT = Path(__file__).parents[2]
TERMS = """\
- {text: "Tylenol #3", category: drug, spoken: [Tylenol number three], facts: {dose: ["2 tablets"]}}
- {text: "HLA-B*5701", category: lab, spoken: [H L A B fifty-seven oh one]}
- {text: "vildagliptin", category: drug, facts: {dose: ["50 mg"]}}
"""
PRONUNCIATIONS = """\
- text: HLA-B*5701
  respelling: AYCH EL AY BEE FIF-tee SEV-en OH WUN
  verified_by: A. Nurse
  verified_on: 2026-11-27
"""
RECIPE = """\
lexicon: {files: [terms.yaml], untaught: 0, pronunciations: pronunciations.yaml}
transcripts: {train_per_term: 1, dev_per_term: 1, test_per_term: 1}
speech: {workers: 1}
augment: {copies: 0}
dataset: {general_test_utterances: 2, general_dev_utterances: 2}
"""
SAID = {"tylenol-3": "Tylenol number three", "hla-b-5701": "H L A B fifty-seven oh one", "vildagliptin": "vildagliptin"}
WRITTEN = {"tylenol-3": "Tylenol #3", "hla-b-5701": "HLA-B*5701", "vildagliptin": "vildagliptin"}


@pytest.mark.parametrize("engine", ["fake", pytest.param("kokoro", marks=pytest.mark.slow)])
def test_terms_that_are_spoken_otherwise_come_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    if engine == "fake":
        monkeypatch.setattr(kokoro, "prepare", lambda: None)
        monkeypatch.setattr(kokoro, "load", fake_tts.make())
    for name, content in {"terms": TERMS, "pronunciations": PRONUNCIATIONS, "recipe": RECIPE}.items():
        (tmp_path / f"{name}.yaml").write_text(content)
    recipe = config.load(tmp_path / "recipe.yaml", (f"dataset.general={general(tmp_path)}",))
    run = Run(tmp_path / "run", recipe, tmp_path)
    run.folder.mkdir()
    for stage in ("lexicon", "transcripts", "speech", "augment", "dataset"):
        execution.make(run, stage)

    terms = {term.id: term for term in files.read(run.product("lexicon"), Term)}
    assert {term.id: term.pronounced_by for term in terms.values()} == {
        "tylenol-3": "g2p",
        "hla-b-5701": "override",
        "vildagliptin": "stem",
    }
    for transcript in files.read(run.product("transcripts"), Transcript):
        for id_ in transcript.term_ids:
            assert WRITTEN[id_].casefold() in transcript.text.casefold()
            assert SAID[id_].casefold() in transcript.spoken.casefold()
        assert not set(transcript.spoken) & set("#*")
    utterances = {utterance.id: utterance for utterance in files.read(run.product("speech"), Utterance)}
    for split in ("train", "dev", "test-taught"):
        lines = read_manifest(run.product("dataset") / f"{split}.jsonl")
        lines = [line for line in lines if line.id in utterances]
        assert {id_ for line in lines for id_ in line.term_ids} == set(SAID)
        for line in lines:
            assert line.audio.is_file()
            assert "hla-b-5701" not in line.unverified_terms
            assert set(line.unverified_terms) == set(line.term_ids) - {"hla-b-5701"}
