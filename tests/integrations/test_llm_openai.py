"""The LLM behind an endpoint, against a real local server of the chat completions form, and dictations through it."""

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from shoptalk.core.errors import LlmAnswerError, LlmBudgetError, LlmError
from shoptalk.core.pace import Pace
from shoptalk.core.recipe import TranscriptsSection
from shoptalk.core.records import Transcript
from shoptalk.core.terms import occurrences
from shoptalk.corpus import carriers, dictations, lexicon, splits
from shoptalk.integrations.kept_answers import KeptAnswers
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
        self.retry_after: list[str | None] = []
        """Of the next answers; then a hundredth of a second."""
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
            retry_after = self.server.retry_after.pop(0) if self.server.retry_after else "0.01"
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
            written = dictation(body)
            if self.server.template is not None and len(self.server.requests) % self.server.every == 0:
                written = self.server.template.format(named=named_in(body), words=noise_of(body.get("seed", 1)))
        answer = content or json.dumps({"choices": [{"message": {"role": "assistant", "content": written}}]})
        threading.Event().wait(0.01)
        with self.server.lock:
            self.server.at_once -= 1
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer.encode())))
        if retry_after is not None:
            self.send_header("Retry-After", retry_after)
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
    noise = noise_of(body.get("seed", 1))
    if body.get("seed", 1) % 5 == 0:
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


# ---- waits, limits, a budget, answers that are kept


def answered(content: str, finish: str = "stop", prompt_tokens: int = 30, answer_tokens: int = 20) -> str:
    choice = {"message": {"content": content}, "finish_reason": finish}
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": answer_tokens}
    return json.dumps({"choices": [choice], "usage": usage})


def asked(llm: OpenAiLlm, seed: int) -> str:
    return llm.complete(ASKED, seed=seed, max_tokens=50)


def test_it_waits_as_long_as_the_server_asks(server: Server) -> None:
    clock = [100.0]
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock[0] += seconds

    server.script = [(429, "slow down"), (503, "busy")]
    server.retry_after = ["90", None]
    assert asked(OpenAiLlm(server.url, name="big", pace=Pace(clock=lambda: clock[0], sleep=sleep)), 1)
    assert waits[0] == 90.0 and waits[1:] == [1.0], "as asked; then by the back-off of a second attempt"
    server.script, server.retry_after = [(429, "come back tomorrow")], ["86400"]
    with pytest.raises(LlmError, match="left alone for 86400 s.*goes on where it stopped"):
        asked(OpenAiLlm(server.url, name="big"), 1)


def test_no_answer_is_paid_for_twice(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "run" / "20-answers.jsonl"

    def llm(temperature: float = 0.3) -> OpenAiLlm:
        return OpenAiLlm(server.url, name="big", temperature=temperature, answers=KeptAnswers(path))

    server.script = [(200, answered("He was well.")), (200, answered("He was", "length")), (200, "<html>")]
    assert asked(llm(), 1) == "He was well."
    for _ in range(2):
        with pytest.raises(LlmAnswerError, match="cut off"):
            asked(llm(), 2)
    with pytest.raises(LlmAnswerError, match="no chat completion"):
        asked(llm(), 3)
    assert asked(llm(), 1) == "He was well."
    assert len(server.requests) == 3
    server.script = [(200, answered("She was well.")), (200, answered("All were well."))]
    assert asked(llm(), 3) == "She was well.", "what was no answer is asked for again"
    assert asked(llm(0.9), 1) == "All were well.", "another temperature is another question"
    assert KeptAnswers(path).spent == 4 * 50


def test_a_torn_line_of_kept_answers_is_cut(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "20-answers.jsonl"
    server.script = [(200, answered("He was well."))] * 2
    assert asked(OpenAiLlm(server.url, name="big", answers=KeptAnswers(path)), 1)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"id": "torn", "con')
    assert asked(OpenAiLlm(server.url, name="big", answers=KeptAnswers(path)), 2)
    assert path.read_bytes().startswith(whole) and path.read_bytes().count(b"\n") == 2


def test_answers_that_were_of_no_use_are_asked_for_anew(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "20-answers.jsonl"
    server.script = [(200, answered("I'm sorry.")), (200, answered("He was well."))]
    assert asked(OpenAiLlm(server.url, name="big", answers=KeptAnswers(path)), 1) == "I'm sorry."
    KeptAnswers(path).forget()
    assert asked(OpenAiLlm(server.url, name="big", answers=KeptAnswers(path)), 1) == "He was well."
    assert KeptAnswers(path).spent == 100


def test_a_budget_stops_before_it_is_spent_and_goes_on_under_a_larger_one(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "20-answers.jsonl"

    def written(budget: int) -> list[str]:
        llm = OpenAiLlm(server.url, name="big", answers=KeptAnswers(path), token_budget=budget)
        return [asked(llm, seed) for seed in range(4)]

    server.script = [(200, answered(f"Answer {number}.")) for number in range(4)]
    with pytest.raises(LlmBudgetError, match=r"100 tokens are spent on 2 answers.*token_budget` is 150\. Raise it"):
        written(150)
    assert len(server.requests) == 2
    assert written(1_000) == [f"Answer {number}." for number in range(4)]
    assert len(server.requests) == 4


def test_at_once_no_more_is_set_aside_than_the_budget_has() -> None:
    answers = KeptAnswers()
    assert [answers.reserve(60, budget=100), answers.reserve(60, budget=100)] == [True, False]
    answers.release(60)
    assert answers.reserve(60, budget=100)


@pytest.mark.parametrize(
    ("words", "sent"),
    [
        ("Unsupported parameter: 'max_tokens'; use 'max_completion_tokens' instead.", "max_completion_tokens"),
        ("Unsupported value: 'temperature' does not support 0.3.", "max_tokens"),
        ("unknown field: seed", "max_tokens"),
    ],
)
def test_a_parameter_that_the_server_lacks_is_sent_otherwise_or_not(server: Server, words: str, sent: str) -> None:
    server.script = [(400, words), (200, answered("He was well."))]
    llm = OpenAiLlm(server.url, name="big", temperature=0.3, reasoning_tokens=100)
    assert asked(llm, 1) == "He was well."
    assert server.requests[-1][sent] == 150
    for name in ("temperature", "seed"):
        assert (name in server.requests[-1]) == (name not in words)
    server.script = [(400, words)] * 3
    with pytest.raises(LlmError, match="refused: HTTP 400"):
        asked(llm, 2)


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        ("<think>Two sentences with it.</think>\nHe was well.", "He was well."),
        ("<thinking>a</thinking><thinking>b</thinking>He was well.", "He was well."),
        ("So I write it.\n</think>\n\nHe was well.", "He was well."),
        ("<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>He was well.<|return|>",
         "He was well."),
        ("<think>He was well. He was", ""),
        ("<|channel|>analysis<|message|>He was well.", ""),
    ],
)  # fmt: skip
def test_reasoning_never_reaches_a_sentence(server: Server, content: str, kept: str) -> None:
    server.script = [(200, answered(content))]
    llm = OpenAiLlm(server.url, name="big")
    if kept:
        assert asked(llm, 1) == kept
        return
    with pytest.raises(LlmAnswerError) as caught:
        asked(llm, 1)
    assert (caught.value.kind, caught.value.text) == ("reasoning", "")


# ---- carriers by an endpoint


CARRIERS = "\n".join(
    f"{number}. The {word} was seen before {{drug}} was given." for number, word in enumerate("cough rash scan".split())
)
ODD = {
    "refusal": "I'm sorry, but I cannot write about {drug} here.",
    "remark": "Sure, here are sentences with {drug} for you.",
    "fenced": "```\n**The nurse gave {drug} today.**\n```",
    "private": "Mrs Okonkwo was given {drug} before the scan.",
    "reasoning": "<think>\nThe nurse wants a sentence with {drug}.",
    "empty": "",
}


@pytest.mark.parametrize("kind", ODD)
def test_carriers_by_an_endpoint_have_nothing_of_a_bad_answer(server: Server, kind: str) -> None:
    null = '{"choices": [{"message": {"content": null}}]}'
    cut = answered(CARRIERS + "\n4. The liver was examined before {drug} was", "length")
    server.script = [(200, answered(ODD[kind])), (200, null), (200, '{"choices": [{"mess'), (200, cut)]
    refused: Counter[str] = Counter()
    llm = OpenAiLlm(server.url, name="big")
    drugs = [term for term in TERMS if term.category == "drug"]
    written = carriers.write_carriers(llm, 3, seed=7, done=frozenset(), terms=drugs, examples=[], refused=refused)
    assert [carrier.text for carrier in written] == [line[3:] for line in CARRIERS.splitlines()]
    assert refused["no text"] == refused["no chat completion"] == refused["cut off"] == 1
    assert kind == "empty" or refused.total() > 3
