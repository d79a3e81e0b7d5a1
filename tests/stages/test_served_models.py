"""Bundles behind the service: their names, golden recordings and lexicons, and swaps between real ones."""

import asyncio
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from starlette.testclient import TestClient
from tests.service.http.serving import until as wait_until
from tests.service.model.fakes import until

from shoptalk.core import audio
from shoptalk.core.bundle import CHECKSUMS, open_bundle
from shoptalk.core.errors import ChecksumError, ModelError, WrongModelError
from shoptalk.core.files import file_sha256
from shoptalk.core.recipe import EngineSection, PackageSection, Recipe
from shoptalk.core.records import Example, Hypothesis, Term
from shoptalk.core.resources import locate
from shoptalk.release import packaging
from shoptalk.release.card import Origin
from shoptalk.service.access.access import Access
from shoptalk.service.app import create_app
from shoptalk.service.http.transcriptions import TRANSCRIPTIONS
from shoptalk.service.model.work import Work
from shoptalk.service.settings import Settings
from shoptalk.stages.packaging import golden_of
from shoptalk.stages.served_models import SHIPPED, ModelFiles, comparison, named_paths, open_models

BASE = locate(Path("models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"))
ORIGIN = Origin("base", licence="CC-BY-4.0", attributions=(), recipe="demo", data=())
PLAIN = EngineSection(beam=1, fill_holes=False, require_speech=False)
RECORDING = locate(Path("assets/general/test/fotaq/2300B4P3.opus"))
TEXT = "And I know that I can find them in the valley."


def bundled(nemo: Path, folder: Path, name: str, **more: Any) -> Path:
    section = PackageSection(name=name, title="A model")
    return packaging.write(nemo, folder, config=section, origin=ORIGIN, scores=None, **more)


def signed(folder: Path) -> Path:
    """With checksums of the files as they are now."""
    names = [path.name for path in sorted(folder.iterdir()) if path.name != CHECKSUMS]
    (folder / CHECKSUMS).write_text(json.dumps({name: file_sha256(folder / name) for name in names}))
    return folder


def copied(bundle: Path, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A bundle whose `bundle.json` was changed."""
    shutil.copytree(bundle, folder)
    about = json.loads((folder / "bundle.json").read_text())
    change(about)
    (folder / "bundle.json").write_text(json.dumps(about))
    return signed(folder)


def that_is_deaf(nemo: Path, target: Path) -> Path:
    """The model with a bias of its joiner that always gives a blank: it answers, but writes nothing."""
    with tarfile.open(nemo) as source, tarfile.open(target, "w:") as out:
        for member in source.getmembers():
            file = source.extractfile(member)
            content = file.read() if file else b""
            if member.name.endswith("model_weights.ckpt"):
                weights = torch.load(io.BytesIO(content), weights_only=True)
                [bias] = [name for name in weights if name.startswith("joint.joint_net") and name.endswith("bias")]
                weights[bias][-6] += 1000.0  # the blank, before five durations
                changed = io.BytesIO()
                torch.save(weights, changed)
                content = changed.getvalue()
                member.size = len(content)
            out.addfile(member, io.BytesIO(content) if file else None)
    return target


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "tuned"
    return bundled(BASE, folder, "tuned", golden=packaging.Golden(RECORDING, TEXT))


@pytest.fixture(scope="module")
def first_release(tuned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle as 0.1.0 made them: neither a calibration nor a lexicon nor a golden recording."""
    folder = tmp_path_factory.mktemp("first") / "bundle"
    shutil.copytree(tuned, folder)
    for name in ("golden.json", f"golden{RECORDING.suffix}", "calibration.json", "terms.jsonl"):
        (folder / name).unlink(missing_ok=True)
    return signed(folder)


def test_a_bundle_has_its_own_name_and_others_the_settings(tuned: Path) -> None:
    named = named_paths(tuned, [("base", BASE)])
    assert named == {"tuned": tuned, "base": BASE}
    assert named_paths(BASE) == {BASE.stem: BASE}
    assert list(named_paths(None, [("b", BASE), ("a", tuned)])) == ["b", "a"]


def test_the_same_name_twice_is_told(tuned: Path) -> None:
    for further in ([("tuned", BASE)], [("base", BASE), ("base", tuned)]):
        with pytest.raises(ModelError, match="give one of them another name"):
            named_paths(tuned, further)
    with pytest.raises(ModelError, match="no model to serve"):
        named_paths(None)
    with pytest.raises(ModelError, match="no such bundle"):
        named_paths(tuned, [("other", Path("missing"))])
    with pytest.raises(ModelError, match="empty name"):
        named_paths(tuned, [(" ", BASE)])


def test_a_bundle_of_the_first_release_is_opened_and_asked_for_the_shipped_recording(first_release: Path) -> None:
    assert open_bundle(first_release).temperature is None
    about = ModelFiles(PLAIN, Settings()).about(first_release)
    assert about.golden is not None and about.golden.text.startswith("And I know that I can find them")
    assert about.compare("a b", "a c").terms == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda about: about.update(format=0), "bundle format 0, this version reads 1; package it again"),
        (lambda about: about.update(format=2), "bundle format 2, this version reads 1; install a newer Shoptalk"),
        (lambda about: about.update(format="1"), "bundle format '1', this version reads 1; package it again"),
        (lambda about: about.pop("format"), "bundle format None"),
        (lambda about: about.pop("name"), "has no name"),
        (lambda about: (about.pop("origin"), about.pop("title")), "has no origin, title"),
    ],
)
def test_a_bundle_of_another_version_is_refused_by_name(
    tuned: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    folder = copied(tuned, tmp_path / "other", change)
    for opens in (open_bundle, ModelFiles(PLAIN, Settings()).about, named_paths):
        with pytest.raises(ModelError, match=message):
            opens(folder)


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"3", b"{"])
def test_a_bundle_json_that_is_none_is_refused_by_name(tuned: Path, tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "other"
    shutil.copytree(tuned, folder)
    (folder / "bundle.json").write_bytes(content)
    with pytest.raises(ModelError):
        named_paths(signed(folder))


def test_the_golden_recording_is_the_settings_or_the_bundles_own(tuned: Path) -> None:
    own = ModelFiles(PLAIN, Settings()).about(tuned).golden
    assert own is not None and own.text == TEXT
    np.testing.assert_array_equal(own.samples_T, audio.decode(RECORDING))
    settings = Settings(golden_recording=RECORDING, golden_text="something else", golden_max_wer=0.1)
    given = ModelFiles(PLAIN, settings).about(tuned).golden
    assert given is not None and (given.text, given.max_wer) == ("something else", 0.1)
    assert ModelFiles(PLAIN, Settings(golden_check=False)).about(tuned).golden is None
    with pytest.raises(ModelError, match="golden_text"):
        ModelFiles(PLAIN, Settings(golden_recording=RECORDING)).about(tuned)
    assert SHIPPED[1] == RECORDING.stem


def test_a_golden_recording_that_was_changed_is_told(tuned: Path, tmp_path: Path) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(tuned, folder)
    (folder / "golden.opus").write_bytes(b"x")
    with pytest.raises(ChecksumError, match=r"golden\.opus"):
        ModelFiles(PLAIN, Settings()).about(folder)


@pytest.mark.parametrize("content", ["", "[]", "3", "{}", '{"audio": "golden.opus"}', '{"audio": "../x", "text": "a"}'])
def test_a_golden_recording_without_audio_or_text_is_told(tuned: Path, tmp_path: Path, content: str) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(tuned, folder)
    (folder / "golden.json").write_text(content)
    with pytest.raises(ModelError, match=r"golden\.json|is missing"):
        ModelFiles(PLAIN, Settings()).about(signed(folder))


def test_differences_are_counted_in_words_and_terms() -> None:
    terms = [Term(id="met", text="metformin", category="drug")]
    terms += [Term(id="apix", text="apixaban", category="drug", variants=("Eliquis",))]
    compare = comparison(terms)
    assert compare("Take metformin, 5 mg.", "take Metformin five milligrams").differing == 0
    found = compare("Metformin and apixaban now.", "Metformin and a pixie ban now, Metformin")
    assert (found.words, found.terms, found.terms_differing) == (4, 2, 2)
    assert found.differing == 4 and found.rate == 1.0
    assert compare("", "").rate == 0.0 and compare("", "word").rate == float("inf")
    assert compare("Eliquis", "apixaban").terms_differing == 0


def hypothesis(id_: str, text: str, heard: str) -> Hypothesis:
    return Hypothesis(id=id_, reference=text, heard=heard, set="taught")


def test_the_golden_recording_of_a_bundle_tells_it_from_its_base(tmp_path: Path) -> None:
    def example(id_: str, text: str, **more: Any) -> Example:
        return Example(
            id=id_, audio=tmp_path / f"{id_}.flac", duration_s=2.0, text=text, **{"voice": "af_kore", **more}
        )

    texts = {"a": "take metformin now", "b": "take apixaban again now", "c": "hold warfarin", "d": "give it"}
    texts["e"] = "stop it"
    examples = [example(id_, text) for id_, text in texts.items()]
    examples[2] = example("c", texts["c"], voice="dr_smith")  # a person
    examples[3] = example("d", texts["d"], patient=True)
    examples[4] = example("e", texts["e"], offset_s=1.0)  # a part of a recording
    before = [hypothesis(id_, text, "x y z") for id_, text in texts.items()]
    before[0] = hypothesis("a", texts["a"], "take met form in now")
    after = [hypothesis(id_, text, text) for id_, text in texts.items()]
    golden = golden_of(examples, before=before, after=after)
    assert golden == packaging.Golden(tmp_path / "b.flac", "take apixaban again now")
    assert golden_of(examples[2:], before=before, after=after) is None
    assert golden_of(examples, before=before, after=[]) is None


@pytest.mark.slow  # four workers that load the tiny base
def test_real_bundles_are_swapped_without_a_failed_request_and_bad_ones_are_not(
    tuned: Path, first_release: Path, tmp_path: Path
) -> None:
    deaf = bundled(that_is_deaf(BASE, tmp_path / "deaf.nemo"), tmp_path / "deaf", "tuned")
    torn = tmp_path / "torn"
    shutil.copytree(first_release, torn)
    with (torn / "model.nemo").open("r+b") as file:
        file.seek(5000)
        file.write(b"torn")

    async def scenario() -> None:
        recipe = Recipe(engine=PLAIN)
        models = open_models(named_paths(tuned), recipe, Settings(golden_every_s=0, batch_wait_ms=0))
        models.start()
        await until(lambda: models.ready, 120)
        samples_T = audio.decode(RECORDING)
        texts: list[str] = []
        ends = asyncio.Event()

        async def client() -> None:
            while not ends.is_set():
                texts.append((await models.resolve("whisper-1").transcribe(Work(samples_T))).text)

        clients = [asyncio.create_task(client()) for _ in range(3)]
        for path, error, message in [(deaf, WrongModelError, "100%"), (torn, ChecksumError, "model.nemo")]:
            with pytest.raises(error, match=message):
                await models.swap("tuned", path)
        before = len(texts)
        await models.swap("tuned", first_release)
        assert len(texts) > before > 0
        since = len(texts)
        await until(lambda: len(texts) > since + 10, 60)
        ends.set()
        await asyncio.gather(*clients)
        assert len(set(texts)) == 1 and comparison([])(TEXT, texts[0]).rate < 0.3
        [report] = models.report()
        assert (report.swaps, report.reason) == (1, "") and report.golden_wer < 0.3
        await models.stop()

    asyncio.run(scenario())


def test_a_review_by_http_finds_the_high_risk_terms_of_the_bundle(tmp_path: Path) -> None:
    terms = (
        Term(id="valley", text="valley", category="test", risk="high"),
        Term(id="find", text="find", category="test", risk="low"),
    )
    path = bundled(BASE, tmp_path / "ward", "ward", golden=packaging.Golden(RECORDING, TEXT), terms=terms)
    settings = Settings(golden_every_s=0)
    section = EngineSection(fill_holes=False)
    models = open_models({"ward": path}, Recipe(engine=section), settings)
    with TestClient(create_app(models, settings, access=Access())) as client:
        wait_until(lambda: client.get("/health/ready").status_code == 200, 60)
        answers = {
            asked: client.post(TRANSCRIPTIONS, files={"file": RECORDING.read_bytes()}, data={"review": asked})
            for asked in ("true", "false")
        }
    assert "review" not in answers["false"].json()
    told = answers["true"].json()
    [place] = [place for place in told["review"] if "high_risk_term" in place["reasons"]]
    assert place["text"].strip(".,").lower() == "valley" and "valley" in told["text"]
    assert not any("find" in place["text"] and "high_risk_term" in place["reasons"] for place in told["review"])
