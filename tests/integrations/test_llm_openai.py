"""The LLM behind an endpoint, against a real local server of the chat completions form, and dictations through it."""

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from shoptalk.core.errors import LlmAnswerError, LlmError
from shoptalk.core.recipe import TranscriptsSection
from shoptalk.core.records import Transcript
from shoptalk.core.terms import occurrences
from shoptalk.corpus import dictations, lexicon, splits
from shoptalk.integrations.llm_openai import OpenAiLlm

ROOT = Path(__file__).parents[2]
ALL = lexicon.load([ROOT / "lexicons/clinical.yaml"], only=["metformin", "apixaban", "hba1c", "sarcoidosis"])
TERMS = [term.model_copy(update={"taught": term.id != "apixaban"}) for term in ALL]
CONFIG = TranscriptsSection(train_per_term=3, dev_per_term=1, test_per_term=2)


class Server(ThreadingHTTPServer):
    """Answers as told: `script` holds statuses to answer first; then dictations around the terms asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[tuple[int, str]] = []
        self.requests: list[dict[str, object]] = []
        self.most_at_once = self.at_once = 0
        self.lock = threading.Lock()
        self.template: str | None = None
        self.every = 1
        """Each so many-th answer is the template's, if there is one."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests.append(body | {"path": self.path, "key": self.headers.get("Authorization")})
            status, content = self.server.script.pop(0) if self.server.script else (200, "")
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
            written = dictation(body)
            if self.server.template is not None and len(self.server.requests) % self.server.every == 0:
                written = self.server.template.format(named=named_in(body), words=noise_of(body["seed"]))
        answer = content or json.dumps({"choices": [{"message": {"role": "assistant", "content": written}}]})
        threading.Event().wait(0.01)
        with self.server.lock:
            self.server.at_once -= 1
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer.encode())))
        self.send_header("Retry-After", "0.01")
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


def named_in(body: dict) -> str:  # type: ignore[type-arg]
    """The terms that are asked for, as they stand in a sentence."""
    asked = body["messages"][-1]["content"]
    named = re.sub(r" \(.*?\)", "", asked.partition("exactly as written: ")[2].rstrip("."))
    return named.replace("; ", " and ")


def noise_of(seed: int) -> str:
    """Different words for each seed."""
    noise = " ".join(
        f"{chr(97 + (seed >> shift) % 23)}{'aeiou'[(seed >> shift) % 5]}{shift}n" for shift in range(0, 30, 3)
    )
    return re.sub(r"\d+", lambda digits: chr(97 + int(digits.group()) % 26), noise)


def dictation(body: dict) -> str:  # type: ignore[type-arg]
    """Different words for each seed; the first answer for a seed divisible by five lacks its terms."""
    noise = noise_of(body["seed"])
    if body["seed"] % 5 == 0:
        return f"Nothing {noise}. Really nothing."
    return f"Seen {noise} in 2024. There is {named_in(body)} at 5 mg now."


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


ASKED = [{"role": "user", "content": "Write. exactly as written: metformin."}]


def test_it_speaks_the_chat_completions_form(server: Server) -> None:
    llm = OpenAiLlm(server.url + "/", name="big", api_key="secret", temperature=0.3)
    assert "metformin" in llm.complete(ASKED, seed=1, max_tokens=50)
    [request] = server.requests
    assert request["path"] == "/v1/chat/completions"
    assert request["key"] == "Bearer secret"
    assert (request["model"], request["seed"], request["max_tokens"], request["temperature"]) == ("big", 1, 50, 0.3)
    assert request["messages"] == ASKED


def test_it_tries_again(server: Server) -> None:
    server.script = [(429, "slow down"), (503, "busy")]
    assert OpenAiLlm(server.url, name="big").complete(ASKED, seed=1, max_tokens=9)
    assert len(server.requests) == 3


def test_what_it_cannot_mend_is_an_llm_error(server: Server) -> None:
    llm = OpenAiLlm(server.url, name="big", attempts=2)
    for script, words in (
        ([(401, "bad key")], "refused: HTTP 401: bad key"),
        ([(500, "oops"), (500, "oops")], "failed 2 times, last with HTTP 500: oops"),
    ):
        server.script = script
        with pytest.raises(LlmError, match=words):
            llm.complete(ASKED, seed=1, max_tokens=9)
    with pytest.raises(LlmError, match="is the endpoint up"):
        OpenAiLlm("http://127.0.0.1:9/v1", name="big", attempts=2).complete(ASKED, seed=1, max_tokens=9)
    with pytest.raises(LlmError, match="base_url"):
        OpenAiLlm("", name="big")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("<html>", "no chat completion"),
        ('{"choices": []}', "no chat completion"),
        ('{"choices": [{"message": {"content": "The te', "no chat completion"),
        ("[" * 9_999, "no chat completion"),
        ('{"choices": ["text"]}', "no chat completion"),
        ('{"choices": [{"message": {"content": null}}]}', "no text"),
        ('{"choices": [{"message": {"content": null}, "finish_reason": "length"}]}', "no text"),
        ('{"choices": [{"message": {"content": "He was"}, "finish_reason": "length"}]}', "cut off"),
    ],
)
def test_an_answer_that_is_none_is_told_by_its_kind(server: Server, answer: str, kind: str) -> None:
    server.script = [(200, answer)]
    with pytest.raises(LlmAnswerError) as caught:
        OpenAiLlm(server.url, name="big").complete(ASKED, seed=1, max_tokens=9)
    assert caught.value.kind == kind


def written_by(
    llm: OpenAiLlm, *, done: Sequence[Transcript] = (), refused: Counter[str] | None = None, workers: int = 1
) -> list[Transcript]:
    counts = Counter[str]() if refused is None else refused
    asked = dictations.write_dictations(llm, TERMS, CONFIG, seed=7, done=done, refused=counts, workers=workers)
    return list(asked)


def test_dictations_over_http(server: Server) -> None:
    llm = OpenAiLlm(server.url, name="big")
    written = written_by(llm, workers=4)
    assert server.most_at_once > 1
    assert [one.id for one in written][:3] == ["metformin.test.0", "metformin.test.1", "metformin.dev.0"]
    assert written_by(llm, done=written[:1], workers=2) == written[1:]
    by_id = {term.id: term for term in TERMS}
    for one in written:
        assert one.source == "llm:big"
        assert 1 <= len(one.term_ids) <= 3
        assert all(
            occurrences(by_id[name], one.text) and not occurrences(by_id[name], one.carrier) for name in one.term_ids
        )
        assert one.split == "test" or "apixaban" not in one.text
        assert "five milligrams" in one.spoken and "twenty twenty-four" in one.spoken
        assert "HbA1c" not in one.spoken or "hba1c" not in one.term_ids
    kept, problems = dictations.settle(written, TERMS, CONFIG)
    carriers = {split: [one.carrier for one in kept if one.split == split] for split in ("train", "dev", "test")}
    assert splits.near_duplicates(carriers["train"] + carriers["dev"], carriers["test"]) == []
    counts = Counter((name, one.split) for one in kept for name in one.term_ids)
    for term in TERMS:
        short = any(
            counts[term.id, s] < n for s, n in (("test", 2), *((("train", 3), ("dev", 1)) if term.taught else ()))
        )
        assert short == any(problem.term_id == term.id for problem in problems)


def test_near_duplicates_stay_in_one_split(server: Server) -> None:
    llm = OpenAiLlm(server.url, name="big")
    [first, second, *_] = written_by(llm)
    copy = second.model_copy(
        update={"id": "copy", "split": "train", "text": first.text + " Yes.", "carrier": first.carrier + " Yes."}
    )
    kept, problems = dictations.settle([copy, first], TERMS, CONFIG)
    assert [one.id for one in kept] == [first.id]
    assert any(problem.term_id == "metformin" and "0 of 3 train" in problem.message for problem in problems)


TWO = "The {words} improved on {named}. Then the cough settled."
MODES = {
    "refusal": "I'm sorry, but I can't write medical records about {named}. Please consult a licensed physician.",
    "remark": f"Sure! Here are two sentences for your general medicine note: {TWO}",
    "list": "1. The {words} improved on {named}.\n2. Then the cough settled.",
    "quotation marks": f'"{TWO}"',
    "heading": f"Plan: {TWO}",
    "cut off": f"{TWO} Afterwards the patient was started on a new med",
    "markup": f"**{TWO}**",
    "empty": "",
    "a term is missing or misspelt": "The {words} improved today. Then the cough settled.",
    "too long": f"{TWO} " + "So it went on, " * 40 + "to the end.",
    "not 2 to 6 sentences": "The {words} improved on {named} and then the cough settled.",
}
"""By kind what a model may answer instead of a dictation."""


@pytest.mark.parametrize("kind", MODES)
def test_a_model_that_writes_no_dictations_is_given_up_soon_and_told(server: Server, kind: str) -> None:
    server.template = MODES[kind]
    refused: Counter[str] = Counter()
    with pytest.raises(LlmError, match="big: of 30 answers in a row none is a dictation"):
        written_by(OpenAiLlm(server.url, name="big"), refused=refused)
    assert refused == {kind: dictations.GIVE_UP}


@pytest.mark.parametrize("kind", ["refusal", "cut off", "a term is missing or misspelt"])
def test_a_model_that_often_writes_none_still_gets_done(server: Server, kind: str) -> None:
    """Every second answer is bad; none of these is among what was written."""
    server.template, server.every = MODES[kind], 2
    refused: Counter[str] = Counter()
    written = written_by(OpenAiLlm(server.url, name="big"), refused=refused)
    assert dictations.settle(written, TERMS, CONFIG)[1] == []
    assert refused[kind] >= len(written) / 2
    assert all(one.text.startswith("Seen ") and one.text.endswith("now.") for one in written)


def test_answers_without_text_do_not_end_it(server: Server) -> None:
    null = '{"choices": [{"message": {"content": null}, "finish_reason": "length"}]}'
    html = "<html>Too many requests</html>"
    server.script = [(200, null), (200, html), (200, ""), (200, null)] * 2
    refused: Counter[str] = Counter()
    written = written_by(OpenAiLlm(server.url, name="big"), refused=refused)
    assert dictations.settle(written, TERMS, CONFIG)[1] == []
    assert (refused["no text"], refused["no chat completion"]) == (4, 2)


def test_what_was_refused_is_asked_again_by_the_next_run(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dictations, "ROUNDS", 1)
    null = '{"choices": [{"message": {"content": null}}]}'
    server.script = [(200, null)] * 6
    refused: Counter[str] = Counter()
    llm = OpenAiLlm(server.url, name="big")
    first = written_by(llm, refused=refused)
    assert refused["no text"] == 6
    second = written_by(llm, done=first)
    assert [one.id for one in second][:2] == ["metformin.test.0", "metformin.test.1"]


def test_dictations_that_are_too_alike_are_replaced_by_others(server: Server) -> None:
    text = "The cough was better on {} in the morning. There is no fever and the chest is clear."

    def same(named: str) -> str:
        return json.dumps({"choices": [{"message": {"content": text.format(named)}}]})

    server.script = [(200, same("metformin"))] * 5
    written = written_by(OpenAiLlm(server.url, name="big"))
    kept, problems = dictations.settle(written, TERMS, CONFIG)
    assert len(kept) < len(written) and problems == []
    assert any(one.id == "metformin.dev.1" for one in kept), "of the second round"
