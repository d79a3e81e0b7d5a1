"""The LLM behind an endpoint, against a real local server of the chat completions form, and dictations through it."""

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from shoptalk.core.errors import LlmError
from shoptalk.core.recipe import TranscriptsSection
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
        answer = content or json.dumps({"choices": [{"message": {"role": "assistant", "content": dictation(body)}}]})
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


def dictation(body: dict) -> str:  # type: ignore[type-arg]
    """Different words for each seed; the first answer for a seed divisible by five lacks its terms."""
    seed, asked = body["seed"], body["messages"][-1]["content"]
    named = re.sub(r" \(.*?\)", "", asked.partition("exactly as written: ")[2].rstrip("."))
    noise = " ".join(
        f"{chr(97 + (seed >> shift) % 23)}{'aeiou'[(seed >> shift) % 5]}{shift}n" for shift in range(0, 30, 3)
    )
    noise = re.sub(r"\d+", lambda digits: chr(97 + int(digits.group()) % 26), noise)
    if seed % 5 == 0:
        return f"Nothing {noise}. Really nothing."
    return f"Seen {noise} in 2024. There is {named.replace('; ', ' and ')} at 5 mg now."


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
        ([(200, "<html>")], "no chat completion"),
        ([(200, '{"choices": []}')], "no chat completion"),
        ([(200, '{"choices": [{"message": {"content": null}}]}')], "without text"),
    ):
        server.script = script
        with pytest.raises(LlmError, match=words):
            llm.complete(ASKED, seed=1, max_tokens=9)
    with pytest.raises(LlmError, match="is the endpoint up"):
        OpenAiLlm("http://127.0.0.1:9/v1", name="big", attempts=2).complete(ASKED, seed=1, max_tokens=9)
    with pytest.raises(LlmError, match="base_url"):
        OpenAiLlm("", name="big")


def test_dictations_over_http(server: Server) -> None:
    llm = OpenAiLlm(server.url, name="big")
    written = list(dictations.write_dictations(llm, TERMS, CONFIG, seed=7, done=frozenset(), workers=4))
    assert server.most_at_once > 1
    assert [one.id for one in written][:3] == ["metformin.test.0", "metformin.test.1", "metformin.dev.0"]
    again = list(dictations.write_dictations(llm, TERMS, CONFIG, seed=7, done=frozenset([written[0].id]), workers=2))
    assert again == written[1:]
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
    [first, second, *_] = dictations.write_dictations(llm, TERMS, CONFIG, seed=7, done=frozenset())
    copy = second.model_copy(
        update={"id": "copy", "split": "train", "text": first.text + " Yes.", "carrier": first.carrier + " Yes."}
    )
    kept, problems = dictations.settle([copy, first], TERMS, CONFIG)
    assert [one.id for one in kept] == [first.id]
    assert any(problem.term_id == "metformin" and "0 of 3 train" in problem.message for problem in problems)
