"""What the audition page asks for: terms with their pronunciations, clips, verdicts, and who may ask at all."""

import datetime
import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.corpus import fake_tts

from shoptalk.core.errors import BindingError, RecipeError, TermError
from shoptalk.core.records import Term
from shoptalk.corpus import overrides
from shoptalk.integrations import espeak
from shoptalk.stages.audition import listening as module
from shoptalk.stages.audition.listening import Listening, open_listening, sound_of
from shoptalk.stages.audition.server import MAX_BODY, Server, open_server

TERMS = [
    Term(id="met", text="metformin", category="drug", ipa=("mɛtfˈɔːɹmɪn",)),
    Term(id="vil", text="vildagliptin", category="drug"),
    Term(id="t3", text="Tylenol #3", category="drug", spoken=("Tylenol number 3",), taught=False),
]
TODAY = datetime.date(2026, 11, 27)


def opened(folder: Path) -> Listening:
    return Listening(
        terms=TERMS,
        dictionary=[],
        path=folder / "pronunciations.yaml",
        is_in_recipe=True,
        clips=folder / "audition",
        g2p=espeak.ipa,
        make_tts=fake_tts.make(),
        today=lambda: TODAY,
    )


def row(listening: Listening, id_: str) -> dict[str, Any]:
    return next(row for row in listening.state()["terms"] if row["id"] == id_)


def test_each_term_is_shown_with_its_pronunciation_and_tier(tmp_path: Path) -> None:
    listening = opened(tmp_path)
    assert [row["pronunciations"][0]["tier"] for row in listening.state()["terms"]] == ["lexicon", "stem", "g2p"]
    tylenol = row(listening, "t3")
    assert tylenol["spoken"] == "Tylenol number three" and tylenol["held_out"]
    assert tylenol["pronunciations"][0]["ipa"] == espeak.ipa("Tylenol number three")
    assert listening.heard() == (0, 3) and not listening.path.exists()


def test_a_verdict_is_written_changed_and_taken_back(tmp_path: Path) -> None:
    listening = opened(tmp_path)
    ipa = row(listening, "met")["pronunciations"][0]["ipa"]
    listening.judge("met", ipa, "right", "  A.  Nurse ")
    [entry] = overrides.read(listening.path)
    assert (entry.text, entry.ipa, entry.verified_by, entry.verified_on) == ("metformin", ipa, "A. Nurse", TODAY)
    assert row(listening, "met")["heard"] and listening.heard() == (1, 3)
    listening.judge("met", ipa, "wrong", "B. Doctor")
    assert row(listening, "met")["wrong"] and len(overrides.read(listening.path)) == 1
    listening.judge("met", ipa, "", "B. Doctor")
    assert overrides.read(listening.path) == []


def test_a_correction_is_kept_as_it_was_written_and_replaces_what_the_lexicon_has(tmp_path: Path) -> None:
    listening = opened(tmp_path)
    assert listening.correct("met", " met-FOR-min ", "A. Nurse") == "mɛtˈfɔːɹmɪn"
    listening.correct("met", "/mətfˈɔːɹmɪn/", "A. Nurse")
    first, second = overrides.read(listening.path)
    assert (first.respelling, second.ipa) == ("met-FOR-min", "mətfˈɔːɹmɪn")
    shown = row(listening, "met")["pronunciations"]
    assert [(one["written"], one["used"]) for one in shown] == [
        ("met-FOR-min", True),
        ("mətfˈɔːɹmɪn", True),
        ("mɛtfˈɔːɹmɪn", False),
    ]
    listening.judge("met", first.sound, "wrong", "A. Nurse")
    assert overrides.read(listening.path)[0].respelling == "met-FOR-min"


def test_what_the_stem_says_may_be_wrong_and_the_rules_of_english_follow(tmp_path: Path) -> None:
    listening = opened(tmp_path)
    by_stem = row(listening, "vil")["pronunciations"][0]["ipa"]
    listening.judge("vil", by_stem, "wrong", "A. Nurse")
    wrong, other = row(listening, "vil")["pronunciations"]
    assert (wrong["ipa"], wrong["used"]) == (by_stem, False)
    assert (other["ipa"], other["tier"], other["used"]) == (espeak.ipa("vildagliptin"), "g2p", True)


def test_a_clip_is_spoken_once_for_each_voice_and_pronunciation(tmp_path: Path) -> None:
    listening = opened(tmp_path)
    first = listening.clip("met", "mɛtfˈɔːɹmɪn", "af_heart")
    written = first.stat().st_mtime_ns
    assert listening.clip("met", "mɛtfˈɔːɹmɪn", "af_heart") == first and first.stat().st_mtime_ns == written
    assert listening.clip("met", "mɛtfˈɔːɹmɪn", "bf_emma") != first != listening.clip("met", "ˈeɪ", "af_heart")


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda one: one.judge("met", "ˈeɪ", "right", " "), "who listens"),
        (lambda one: one.judge("met", "ˈeɪ", "right", "x" * 300), "who listens"),
        (lambda one: one.judge("other", "ˈeɪ", "right", "A"), "id of no term"),
        (lambda one: one.judge("met", "ʘ", "right", "A"), "cannot speak"),
        (lambda one: one.judge("met", "ˈeɪ", "maybe", "A"), "right or wrong"),
        (lambda one: one.correct("met", "met-for", "A"), "capitals"),
        (lambda one: one.check(""), "no vowel"),
        (lambda one: one.check("é" * 300), "characters"),
        (lambda one: one.clip("met", "ˈeɪ", "../../x"), "voice"),
        (lambda one: one.clip("../x", "ˈeɪ", "af_heart"), "id of no term"),
    ],
)
def test_what_cannot_be_is_named_and_nothing_is_written(tmp_path: Path, call: Any, named: str) -> None:
    listening = opened(tmp_path)
    with pytest.raises(TermError, match=named):
        call(listening)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(RecipeError, match="a file, not a folder"):
        open_listening(Path("recipes/demo.yaml"), tmp_path / "run", ())


def test_ipa_and_english_letters_are_told_apart() -> None:
    assert sound_of("met-FOR-min") == ("respelling", "mɛtˈfɔːɹmɪn")
    assert sound_of(" /mɛtˈfɔːɹmɪn/ ") == ("ipa", "mɛtˈfɔːɹmɪn")


def test_the_file_is_the_recipes_or_beside_it(tmp_path: Path) -> None:
    (tmp_path / "terms.yaml").write_text("- {text: metformin, category: drug}\n")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("lexicon: {files: [terms.yaml]}\n")
    plain = open_listening(recipe, tmp_path / "run", [], listener="A. Nurse")
    assert (plain.path, plain.is_in_recipe) == (tmp_path / module.FILE, False)
    named = open_listening(recipe, tmp_path / "run", ["lexicon.pronunciations=mine.yaml"])
    assert (named.path, named.is_in_recipe) == (tmp_path / "mine.yaml", True)
    named.correct("metformin", "met-FOR-min", "A. Nurse")
    assert open_listening(recipe, tmp_path / "run", ["lexicon.pronunciations=mine.yaml"]).heard() == (1, 1)
    assert not (tmp_path / "run").exists()


# ---- who may ask


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with open_server(opened(tmp_path)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def asked(
    server: Server, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None
) -> tuple[int, bytes, Mapping[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=20)
    try:
        connection.putrequest(method, path, skip_host=True)
        given = {"Host": server.origin.removeprefix("http://"), **headers}
        if body is not None:
            given.setdefault("Content-Length", str(len(body)))
        for name, value in given.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())
    finally:
        connection.close()


def posted(server: Server, name: str, content: Any, **headers: str) -> tuple[int, Any]:
    own = {"Origin": server.origin, "Content-Type": "application/json"}
    given = {**own, **{key.replace("_", "-"): value for key, value in headers.items()}}
    status, body, _ = asked(server, "POST", f"/api/{name}", given, json.dumps(content).encode())
    return status, json.loads(body) if body[:1] == b"{" else body


def test_the_page_is_served_with_its_own_policy_and_answers_its_requests(server: Server) -> None:
    status, body, headers = asked(server, "GET", "/", {})
    assert status == 200 and b"<title>Audition" in body and "default-src 'none'" in headers["Content-Security-Policy"]
    for name in ("page.css", "audition.css", "audition.js", "elements.js", "theme.js", "atkinson.woff2", "icon.svg"):
        assert asked(server, "GET", f"/page/{name}", {})[0] == 200
    assert len(posted(server, "state", {})[1]["terms"]) == 3
    assert posted(server, "check", {"written": "met-FOR-min"}) == (200, {"ipa": "mɛtˈfɔːɹmɪn"})
    assert posted(server, "clip", {"id": "met", "ipa": "ˈeɪ", "voice": "af_heart"})[1][:4] == b"fLaC"
    status, state = posted(server, "judge", {"id": "met", "ipa": "ˈeɪ", "verdict": "right", "by": "A. Nurse"})
    assert status == 200 and state["terms"][0]["heard"]


@pytest.mark.parametrize(
    "path",
    ["/page/../server.py", "/page/%2e%2e/server.py", "/../../etc/passwd", "/page/index.html", "/page/", "/x?y"],
)
def test_no_path_reaches_a_file_that_is_not_the_pages(server: Server, path: str) -> None:
    assert asked(server, "GET", path, {})[0] == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Host": "evil.example"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Content_Type": "text/plain"},
    ],
)
def test_other_sites_may_not_ask(server: Server, headers: dict[str, str]) -> None:
    content = {"id": "met", "ipa": "ˈeɪ", "verdict": "right", "by": "A"}
    assert posted(server, "judge", content, **headers)[0] == 403
    assert not server.listening.path.exists()


def test_a_request_without_an_origin_or_with_another_host_is_refused(server: Server) -> None:
    assert asked(server, "POST", "/api/state", {"Content-Type": "application/json"}, b"{}")[0] == 403
    assert asked(server, "GET", "/", {"Host": "rebound.example"})[0] == 403
    assert asked(server, "GET", "/", {"Sec-Fetch-Site": "cross-site"})[0] == 403


def test_what_is_no_request_of_the_page_is_told(server: Server) -> None:
    own = {"Origin": server.origin, "Content-Type": "application/json"}
    assert posted(server, "other", {})[0] == 404
    assert posted(server, "state", [])[0] == 400
    assert posted(server, "judge", {"id": 7})[0] == 400
    assert "capitals" in posted(server, "check", {"written": "met-for"})[1]["error"]
    assert asked(server, "POST", "/api/state", own, b"{")[0] == 400
    for length in ("-1", "x", str(MAX_BODY + 1)):
        assert asked(server, "POST", "/api/state", {**own, "Content-Length": length}, b"")[0] == 400


def test_a_port_that_is_taken_is_named(server: Server, tmp_path: Path) -> None:
    for port in (server.server_address[1], 99_999):
        with pytest.raises(BindingError, match="--port"):
            open_server(opened(tmp_path), port=port)
