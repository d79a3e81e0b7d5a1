"""The page for people in Chromium, with a real service and the tiny base: a file, the microphone, the keyboard alone.

Every page is watched: no error in the console, nothing against the Content-Security-Policy, no request elsewhere.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("playwright")  # of the extra dev; the rest of the project goes without
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Download, Page, Route, expect
from scripts.browser import opened, speaking
from scripts.page_service import serving, write_consultation, write_sentences
from tests.service.http.serving import FakeRecognizer, served

pytestmark = pytest.mark.page
WAIT_MS = 60_000
PREFIX = "/speech"
NARROW = {"width": 360, "height": 740}
WIDE = {"width": 1280, "height": 860}
SPOKEN = ("kok-test-00126", "kok-test-00185", "kok-test-00073")


RECORD_FORM = """() => {
    window.recordedForm = [];
    const append = FormData.prototype.append;
    FormData.prototype.append = function (name, value, file) {
        recordedForm.push([name, file ?? value]);
        append.apply(this, arguments);
    };
}"""
"""Script that notes what a page sends in forms: the browser tells tests no body that has a file."""


WATCH_TAIL = """() => {
    window.sawStable = window.sawTentative = false;
    new MutationObserver(() => {
        const tail = document.querySelector(".tail");
        const tentative = tail?.querySelector(".tentative")?.textContent ?? "";
        sawTentative ||= tentative !== "";
        sawStable ||= (tail?.textContent ?? "").trim() !== tentative.trim();
    }).observe(document.querySelector("#words"), {subtree: true, childList: true});
}"""
"""Script that notes whether words were shown that will not change, and such that may."""


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    write_consultation(folder / "visit.wav", channels=1)
    write_consultation(folder / "noisy.wav", channels=1, snr_db=5.0)
    write_consultation(folder / "two.wav", channels=2)
    write_sentences(folder / "spoken.wav", SPOKEN)
    return folder


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of the page behind a path prefix; the service has it without one, too."""
    with serving(tmp_path_factory.mktemp("service"), f"root_path={PREFIX}") as url:
        yield f"{url}{PREFIX}/"


@pytest.fixture(scope="module")
def browser(recordings: Path) -> Iterator[Browser]:
    with opened(speaking(recordings / "spoken.wav")) as chromium:
        yield chromium


@contextmanager
def watched(browser: Browser, address: str, *, allowed: str = "", **context: Any) -> Iterator[Page]:
    """A fresh page; in the end there was no error but those that `allowed`, a pattern, names, and no other host."""
    told: list[str] = []
    hosts: set[str] = set()
    opened_in = browser.new_context(**{"viewport": WIDE, "reduced_motion": "reduce", **context})
    opened_in.set_default_timeout(WAIT_MS)
    page = opened_in.new_page()
    page.on("console", lambda message: told.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    page.on("websocket", lambda socket: hosts.add(urlsplit(socket.url).netloc))
    try:
        page.goto(address)
        yield page
        unexpected = [text for text in told if not (allowed and re.search(allowed, text))]
        assert unexpected == []
        assert hosts <= {urlsplit(address).netloc, ""}  # without a host: the recording in the page's memory
    finally:
        opened_in.close()


def transcribed(page: Page, recording: Path) -> None:
    page.set_input_files("#file", recording)
    page.wait_for_selector("body[data-view=result]")


def texts(page: Page) -> list[str]:
    return page.locator("#words .word").all_text_contents()


def saved(page: Page, button: str) -> str:
    with page.expect_download() as waiting:
        page.click(button)
    download: Download = waiting.value
    return download.path().read_text(encoding="utf-8")


def drop(page: Page, recording: Path) -> None:
    """Drop a file on the page, as a file manager would."""
    content = list(recording.read_bytes())
    data = page.evaluate_handle(
        """content => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(content)], "visit.wav", {type: "audio/wav"}));
            return data;
        }""",
        content,
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": data})


# ---- a file


def test_a_dropped_file_is_read_played_corrected_and_sent(browser: Browser, address: str, recordings: Path) -> None:
    with watched(browser, address) as page:
        drop(page, recordings / "visit.wav")
        page.wait_for_selector("body[data-view=result]")
        words = texts(page)
        assert {"headaches.", "vomiting?", "morning."} <= set(words)

        page.locator("#words .word", has_text="headaches.").click()
        page.wait_for_function("() => document.querySelector('#audio').currentTime > 4")
        playing = page.locator("#words .playing")
        expect(playing).to_have_count(1)
        assert words.index(playing.text_content() or "") >= words.index("headaches.")
        page.keyboard.press("Space")
        assert page.evaluate("document.querySelector('#audio').paused")

        wrong = page.locator("#words .word.low").first
        original = wrong.text_content() or ""
        wrong.dblclick()
        page.keyboard.type("afternoon.")
        page.keyboard.press("Enter")
        corrected = page.locator("#words .word.corrected")
        assert corrected.all_text_contents() == ["afternoon."]

        page.check("#consent")
        with page.expect_response("**/v1/corrections") as waiting:
            page.click("#send")
        sent = json.loads(waiting.value.request.post_data or "")
        assert waiting.value.status == 201, waiting.value.text()
        assert sent["text"] == "afternoon." and sent["original"] == original and sent["consent"] is True
        assert sent["request_id"].startswith("req_") and 0 <= sent["start_s"] < sent["end_s"]
        expect(page.locator("#corrections")).to_be_hidden()
        expect(page.locator("#status")).to_have_text("1 correction sent. Thank you.")


def test_what_needs_review_comes_first_and_is_settled(browser: Browser, address: str, recordings: Path) -> None:
    with watched(browser, address) as page:
        transcribed(page, recordings / "noisy.wav")
        places = page.locator(".place")
        count = places.count()
        assert count >= 4
        review, words = page.locator("#review").bounding_box(), page.locator("#words").bounding_box()
        assert review and words and review["x"] < words["x"]
        confidences = [int(text.split()[1]) for text in page.locator(".place-reason").all_text_contents()]
        assert confidences == sorted(confidences)
        page.select_option("#order", "time")
        times = page.locator(".place .time").all_text_contents()
        assert times == sorted(times, key=lambda text: [int(part) for part in text.split(":")])

        with_choice = page.locator(".place", has=page.locator(".alternative")).first
        chosen = with_choice.locator(".alternative").first.text_content() or ""
        with_choice.locator(".alternative").first.click()
        expect(places).to_have_count(count - 1)
        assert " ".join(page.locator("#words .corrected").all_text_contents()).startswith(chosen)
        page.locator(".place").first.get_by_text("Right").click()
        expect(places).to_have_count(count - 2)
        page.click("#undo")
        expect(places).to_have_count(count - 1)
        page.locator(".place-jump").first.click()
        expect(page.locator(".place").first).to_have_class(re.compile("is-current"))
        expect(page.locator("#words .cursor")).to_have_count(1)


def test_a_passage_is_corrected_and_files_have_it(browser: Browser, address: str, recordings: Path) -> None:
    with watched(browser, address) as page:
        transcribed(page, recordings / "visit.wav")
        page.locator("#words .word").nth(1).click()
        page.locator("#words .word").nth(3).click(modifiers=["Shift"])
        page.click("#edit")
        page.keyboard.type("<b>A passage</b> & more")
        page.get_by_text("Accept").click()
        assert texts(page)[1:5] == ["<b>A", "passage</b>", "&", "more"]
        assert page.locator("#words b").count() == 0
        text, srt, vtt = (saved(page, f"[data-form={form}]") for form in ("txt", "srt", "vtt"))
        content = json.loads(saved(page, "[data-form=json]"))
        assert "<b>A passage</b> & more" in text and "&lt;b&gt;A passage&lt;/b&gt; &amp; more" in vtt
        assert re.match(r"1\n00:00:\d\d,\d{3} --> 00:00:\d\d,\d{3}\n", srt)
        assert all(len(line) <= 42 for line in srt.splitlines())
        assert content["text"] + "\n" == text and content["corrections"][0]["text"] == "<b>A passage</b> & more"
        starts = [word["start"] for word in content["words"]]
        assert starts == sorted(starts)


def test_two_channels_are_turns_of_doctor_and_patient(browser: Browser, address: str, recordings: Path) -> None:
    with watched(browser, address) as page:
        page.check("input[value=each]")
        transcribed(page, recordings / "two.wav")
        assert page.locator(".speaker").all_text_contents()[:4] == ["Doctor", "Patient", "Doctor", "Patient"]
        assert "\nPatient: " in saved(page, "[data-form=txt]")
        assert "<v Patient>" in saved(page, "[data-form=vtt]")


def test_terms_are_chips_and_vocabularies_are_offered(browser: Browser, address: str, recordings: Path) -> None:
    with watched(browser, address) as page:
        page.request.put(f"{address}v1/vocabularies/cardio", data={"phrases": ["Zoloft"]})
        page.reload()
        page.fill("#term", "apixaban")
        page.keyboard.press("Enter")
        page.evaluate(
            """() => {
                const data = new DataTransfer();
                data.setData("text", "metoprolol\\nfurosemide; ramipril,\\napixaban");
                const pasting = new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true});
                document.querySelector("#term").dispatchEvent(pasting);
            }"""
        )
        page.click("[aria-label='Remove furosemide']")
        page.check("#vocabulary-list input")
        page.evaluate(RECORD_FORM)
        transcribed(page, recordings / "visit.wav")
        form = page.evaluate("recordedForm")
        assert [value for name, value in form if name in ("keywords[]", "vocabulary[]")] == [
            "apixaban",
            "metoprolol",
            "ramipril",
            "cardio",
        ]
        assert form[-1] == ["file", "recording"]  # the name of a file may tell who was recorded


def test_the_microphone_is_transcribed_while_somebody_speaks(browser: Browser, address: str) -> None:
    with watched(browser, address) as page:
        page.fill("#term", "nausea")
        page.evaluate(WATCH_TAIL)
        page.click("#record")
        page.wait_for_selector("#words .tail:not(:empty)")
        page.wait_for_function("() => document.querySelector('#words').textContent.includes('procedure')")
        assert page.evaluate("document.querySelector('#level').value") <= 1
        page.click("#stop")
        page.wait_for_selector("body[data-view=result]")
        stable, tentative = page.evaluate("[sawStable, sawTentative]")
        assert stable and tentative
        words = texts(page)
        spoken = " ".join(words).lower()
        assert all(term in spoken for term in ("nausea", "feeling", "breath", "procedure"))
        times = page.evaluate("document.querySelector('#audio').duration")
        assert 8 < times < 120
        last = page.locator("#words .word", has_text="procedure").last
        last.click()
        page.wait_for_function("() => !document.querySelector('#audio').paused")
        assert page.evaluate("document.querySelector('#audio').currentTime") > 5
        with page.expect_response("**/v1/corrections") as waiting:
            last.dblclick()
            page.keyboard.type("operation")
            page.keyboard.press("Enter")
            page.click("#send")
        assert waiting.value.status == 201, waiting.value.text()
        page.keyboard.press("Home")
        page.keyboard.press("Shift+End")
        page.keyboard.press("e")
        page.keyboard.type("All of it, across the pauses")
        page.keyboard.press("Enter")  # it belongs to no single request
        expect(page.locator("#corrections-text")).to_contain_text("cannot be sent")
        expect(page.locator("#send")).to_be_hidden()
        assert saved(page, "[data-form=txt]") == "All of it, across the pauses\n"


# ---- what goes wrong


def test_a_busy_service_is_asked_again(browser: Browser, address: str, recordings: Path) -> None:
    with watched(browser, address, allowed="429") as page:
        refused: list[str] = []

        def refuse_once(route: Route) -> None:
            if refused:
                route.continue_()
                return
            refused.append(route.request.url)
            error = {"error": {"message": "the server is busy", "type": "rate_limit_error", "param": None, "code": "x"}}
            route.fulfill(status=429, headers={"retry-after": "1"}, json=error)

        page.route("**/transcriptions", refuse_once)
        page.set_input_files("#file", recordings / "visit.wav")
        expect(page.locator("#progress-text")).to_contain_text("tries again by itself")
        page.wait_for_selector("body[data-view=result]")
        assert len(texts(page)) > 30


def test_errors_say_what_to_do(browser: Browser, address: str, recordings: Path, tmp_path: Path) -> None:
    with watched(browser, address, allowed="400|ERR_FAILED") as page:
        (tmp_path / "text.txt").write_text("no audio")
        page.set_input_files("#file", tmp_path / "text.txt")
        expect(page.locator("#problem-text")).to_contain_text("audio")
        expect(page.locator("#start")).to_be_visible()
        expect(page.locator("#problem-action")).to_be_hidden()
        page.route("**/transcriptions", lambda route: route.abort())
        page.set_input_files("#file", recordings / "visit.wav")
        expect(page.locator("#problem-text")).to_contain_text("cannot be reached")
        page.unroute_all()
        page.click("#problem-action")
        page.wait_for_selector("body[data-view=result]")


def test_a_transcription_is_cancelled(browser: Browser, address: str, recordings: Path) -> None:
    with watched(browser, address) as page:
        page.route("**/transcriptions", lambda route: None)  # never answered
        page.set_input_files("#file", recordings / "visit.wav")
        page.click("#cancel")
        expect(page.locator("#start")).to_be_visible()
        expect(page.locator("#again")).to_have_text("Transcribe visit.wav again")


def test_a_key_is_asked_for_and_kept_in_the_tab_alone(browser: Browser) -> None:
    with served(FakeRecognizer(), api_key="a-good-key") as url, watched(browser, url, allowed="401|404") as page:
        expect(page.locator("#key-section")).to_be_visible()
        page.fill("#key", "wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#problem-text")).to_contain_text("does not accept")
        page.fill("#key", "a-good-key")
        page.keyboard.press("Enter")
        expect(page.locator("#key-section")).to_be_hidden()
        assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 1, ""]


def test_a_service_that_keeps_no_corrections_says_so(browser: Browser, recordings: Path) -> None:
    with served(FakeRecognizer()) as url, watched(browser, url, allowed="404") as page:
        transcribed(page, recordings / "visit.wav")
        page.locator("#words .word").first.dblclick()
        page.keyboard.type("That")
        page.keyboard.press("Enter")
        page.click("#send")
        expect(page.locator("#corrections-text")).to_contain_text("keeps no corrections")
        assert saved(page, "#save-corrected").startswith("That ")


# ---- for everyone


def test_the_keyboard_alone_is_enough(browser: Browser, address: str, recordings: Path) -> None:
    with watched(browser, address) as page:
        page.on("filechooser", lambda _: None)  # choosers are told from now on, not only from a moment before the key
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        focus_by_tab(page, "choose")
        with page.expect_file_chooser() as choosing:
            page.keyboard.press("Enter")
        choosing.value.set_files(recordings / "visit.wav")
        page.wait_for_selector("body[data-view=result]")
        assert page.evaluate("document.activeElement.id") == "words"

        count = page.locator(".place").count()
        page.keyboard.press("n")
        page.keyboard.press("a")  # it is right, go on
        expect(page.locator(".place")).to_have_count(count - 1)
        page.keyboard.press("e")
        page.keyboard.type("corrected")
        page.keyboard.press("Enter")
        assert page.locator("#words .corrected").all_text_contents() == ["corrected"]
        page.keyboard.press("Control+z")
        assert page.locator("#words .corrected").count() == 0
        page.keyboard.press("Home")
        page.keyboard.press("Shift+ArrowRight")
        assert page.locator("#words .chosen").count() == 2
        page.keyboard.press("e")
        page.keyboard.type("Thirty six")
        page.keyboard.press("Enter")
        assert texts(page)[:2] == ["Thirty", "six"]
        page.keyboard.press("End")
        page.keyboard.press("Enter")
        page.wait_for_function("() => document.querySelector('#audio').currentTime > 20")
        page.keyboard.press("j")
        page.keyboard.press("Space")
        assert page.evaluate("document.querySelector('#audio').paused")
        with page.expect_response("**/v1/corrections") as sending:
            page.keyboard.press("Control+Enter")
        assert sending.value.status == 201
        page.keyboard.press("?")
        expect(page.locator("#shortcuts")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("#shortcuts")).to_be_hidden()


def focus_by_tab(page: Page, name: str) -> None:
    """Press Tab until an element has the focus; each on the way shows that it has it."""
    for _ in range(40):
        page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
        if page.evaluate("document.activeElement.id") == name:
            return
    raise AssertionError(f"the key Tab does not reach {name}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_nobody_is_shut_out(
    browser: Browser, address: str, recordings: Path, scheme: str, viewport: dict[str, int]
) -> None:
    """axe finds nothing, and nothing is cut off at a phone's width: at the start, with a transcript, with an error."""
    with watched(browser, address, allowed="400", viewport=viewport, color_scheme=scheme) as page:
        assert_open_to_all(page)
        page.check("input[value=each]")
        page.fill("#term", "a very long term that nobody would ever say in one breath, apixaban,")
        transcribed(page, recordings / "two.wav")
        page.locator("#words .word").nth(2).dblclick()
        page.keyboard.type("corrected")
        assert_open_to_all(page)
        page.keyboard.press("Enter")
        page.locator("#words .word").nth(4).click()
        assert_open_to_all(page)
        page.keyboard.press("?")
        assert_open_to_all(page)


def assert_open_to_all(page: Page) -> None:
    found = Axe().run(page).response["violations"]
    assert [(own["id"], own["nodes"][0]["html"], own["help"]) for own in found] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def test_the_colours_are_chosen_and_kept(browser: Browser, address: str) -> None:
    with watched(browser, address, color_scheme="light") as page:
        light = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        page.select_option("#theme", "dark")
        page.reload()
        assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") != light
        page.select_option("#theme", "")
        assert page.evaluate("localStorage.length") == 0


def test_an_hour_stays_fluid(browser: Browser, address: str, recordings: Path) -> None:
    """Of 10,000 words, a key changes the few that it is about."""
    with watched(browser, address) as page:
        body = f"data: {json.dumps(an_hour())}\n\ndata: [DONE]\n\n"
        answer = {"status": 200, "content_type": "text/event-stream", "body": body}
        page.route("**/transcriptions", lambda route: route.fulfill(**answer))
        transcribed(page, recordings / "visit.wav")
        assert page.locator("#words .word").count() == 10_000
        expect(page.locator("#words .gap")).to_have_text("speech without words, 2.5 s")
        changed = page.evaluate(
            """async () => {
                let count = 0;
                const words = document.querySelector("#words");
                const everything = {subtree: true, childList: true, attributes: true};
                new MutationObserver(changes => { count += changes.length; }).observe(words, everything);
                words.focus();
                for (const key of ["ArrowRight", "ArrowDown", "n", "End", "n"]) {
                    words.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
                }
                await new Promise(resolve => setTimeout(resolve));
                return count;
            }"""
        )
        assert 0 < changed < 50


def an_hour() -> dict[str, Any]:
    """The last event of an answer with 10,000 words, of which a tenth is to be looked at."""
    words = []
    for number in range(10_000):
        start_s = 0.36 * number
        words.append({"word": f"word{number}", "start": start_s, "end": start_s + 0.3, "confidence": 0.9})
    places = []
    for word in words[::10]:
        word["confidence"] = 0.5
        place = {"text": word["word"], "start": word["start"], "end": word["end"], "confidence": 0.5}
        places.append({**place, "reasons": ["low_confidence"], "alternatives": []})
    timed = {"words": words, "segments": [], "review": places, "gaps": [{"start": 10.0, "end": 12.5}]}
    return {"type": "transcript.text.done", "text": "", "duration": 3600.0, **timed}
