"""Stage 20 by an endpoint: stopped by its budget and resumed, it pays nothing twice; and it says why it fell short."""

import importlib.util
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shoptalk.core import files
from shoptalk.core.errors import CoverageError, LlmBudgetError, PrivacyError
from shoptalk.core.recipe import Recipe
from shoptalk.core.records import Transcript
from shoptalk.integrations.kept_answers import KeptAnswers
from shoptalk.stages import corpus
from shoptalk.stages.run import Run

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("llm_server", ROOT / "tests/integrations/test_llm_openai.py")
if _spec is None or _spec.loader is None:
    raise ImportError("tests/integrations/test_llm_openai.py")
llm_server = importlib.util.module_from_spec(_spec)
sys.modules["llm_server"] = llm_server
_spec.loader.exec_module(llm_server)


@pytest.fixture
def server() -> Iterator[Any]:
    with llm_server.Server() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def opened(folder: Path, server: Any, **llm: Any) -> Run:
    """A run with its lexicon; the endpoint is asked one thing at a time, so that a budget stops it at one place."""
    asked = {"kind": "openai", "base_url": server.url, "model": "big", "concurrency": 1, **llm}
    recipe = Recipe.model_validate(
        {
            "lexicon": {"only": ["metformin", "apixaban"]},
            "transcripts": {"llm": asked, "train_per_term": 2, "dev_per_term": 1, "test_per_term": 1},
        }
    )
    run = Run(folder, recipe, ROOT)
    folder.mkdir(exist_ok=True)
    if not run.product("lexicon").is_file():
        corpus.lexicon(run.of_stage("lexicon"))
    return run


def written(run: Run) -> bytes:
    corpus.transcripts(run.of_stage("transcripts"))
    return run.product("transcripts").read_bytes()


def test_a_stage_that_its_budget_stopped_goes_on_and_pays_nothing_twice(server: Any, tmp_path: Path) -> None:
    whole = written(opened(tmp_path / "whole", server))
    requests = len(server.requests)
    spent = KeptAnswers(tmp_path / "whole" / corpus.ANSWERS).spent
    server.requests.clear()
    with pytest.raises(LlmBudgetError, match="tokens are spent on"):
        written(opened(tmp_path / "stopped", server, token_budget=spent // 2))
    assert 0 < len(server.requests) < requests
    assert KeptAnswers(tmp_path / "stopped" / corpus.ANSWERS).spent <= spent // 2
    assert written(opened(tmp_path / "stopped", server, token_budget=10 * spent)) == whole
    assert len(server.requests) == requests


def test_a_stage_that_falls_short_says_why_and_asks_anew(server: Any, tmp_path: Path) -> None:
    run = opened(tmp_path / "run", server)
    server.template, server.every = "The cough settled. There is {named} for it.", 1
    with pytest.raises(CoverageError, match=r"(?s)metformin: .*answers of the language model were refused: \d+ "):
        written(run)
    asked = len(server.requests)
    server.template = None
    assert written(run)
    assert len(server.requests) > asked


def test_an_endpoint_writes_carriers_where_the_recipe_says_so(server: Any, tmp_path: Path) -> None:
    run = opened(tmp_path / "run", server)
    section = run.recipe.transcripts.model_copy(update={"write": "carriers", "live_carriers": 3})
    run = Run(run.folder, run.recipe.model_copy(update={"transcripts": section}), ROOT)
    server.script = [(200, llm_server.answered(llm_server.CARRIERS))]
    written(run)
    sources = {transcript.source for transcript in files.read(run.product("transcripts"), Transcript)}
    assert len(server.requests) == 1 and "shipped:hand" in sources
    carriers = (run.folder / "20-carriers.jsonl").read_text(encoding="utf-8")
    assert carriers.count('"source":"llm:big"') == 3


def test_a_users_own_transcripts_are_not_spoken_if_they_tell_who_a_person_is(server: Any, tmp_path: Path) -> None:
    run = opened(tmp_path / "run", server)
    text = "Mrs Okonkwo takes metformin."
    told = Transcript(
        id="t0", text=text, spoken=text, term_ids=("metformin",), carrier=text, split="test", source="own"
    )
    own = tmp_path / "own.jsonl"
    own.write_text(told.model_dump_json() + "\n")
    run = Run(run.folder, run.recipe.model_copy(update={"products": {"transcripts": own}}), ROOT)
    with pytest.raises(PrivacyError, match="t0: a name: Mrs Okonkwo"):
        corpus.speech(run.of_stage("speech"))
