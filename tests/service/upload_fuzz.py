"""Requests that are wrong in the ways of clients, networks and attackers, sent to the real app on a loopback socket.

    python -m tests.service.upload_fuzz [10000]

sends so many by hand and counts what came of them; `test_fuzz.py` sends a few. 10,000 were sent once, on 2026-11-27:
none was answered with 5xx, and 9,998 within the time allowed. The other two fell into a minute in which the machine
stood still; sent again, they were answered within 0.2 s.

Whatever comes, the answer is no 5xx, has OpenAI's form where it is an error, and comes soon. Only a request that is not
whole may be left without one.
"""

import collections
import json
import random
import socket
import struct
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.core import audio_fuzz
from tests.service.http.serving import FakeRecognizer, recording, served

from shoptalk.service.http import fields
from shoptalk.service.http.answers import FORMS
from shoptalk.service.http.transcriptions import TRANSCRIPTIONS

LIMITS: Mapping[str, float] = {
    "max_upload_mb": 2.0,
    "max_audio_s": 600.0,
    "upload_idle_s": 1.0,
    "header_timeout_s": 1.0,
    "decoders": 2,
}
"""Of the server that is asked: what waits for more gets its answer soon."""
PATIENCE_S = 60.0
"""Far more than any answer takes, on a busy machine too."""
BOUNDARY = b"the-boundary"
NAMES = sorted(fields.SINGLE | fields.LISTS | {"user", "file"})
ODD_TEXTS = (
    "",
    " ",
    "null",
    "true",
    "en",
    "-1",
    "nan",
    "1e999",
    "9" * 400,
    "\x00",
    "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    "\u202eabc",
    "a\r\nx-injected: yes",
    "[" * 5_000,
    '{"a":' * 3_000,
    '["a", 1]',
    "é" * 70,
    "x" * 70_000,
    *FORMS,
)
HEADERS_OF_FILES = (
    b"Content-Type: audio/wav",
    b"Content-Type: text/html; charset=utf-7",
    b"Content-Transfer-Encoding: base64",
    b"Content-Length: 7",
    b"X-Long: " + b"y" * 20_000,
    b"no colon",
    b"",
    b"\xff\xfe: \x00",
)


@dataclass(frozen=True)
class Request:
    """What goes through the socket, and whether the server can know that it is over."""

    kind: str
    content: bytes
    is_whole: bool = True


def make(rng: random.Random) -> Request:
    """A wrong request of any kind."""
    kind = rng.choice(sorted(MAKERS))
    request = MAKERS[kind](rng)
    return Request(kind, request.content, request.is_whole)


def outcome(url: str, request: Request) -> str:
    """What came of it; `AssertionError` for an answer that may not be."""
    host, _, port = url.removeprefix("http://").partition(":")
    began = time.monotonic()
    answer = b""
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
        try:
            connection.sendall(request.content)
            while more := connection.recv(65536):
                answer += more
        except ConnectionError:
            assert not request.is_whole or answer, f"{request.kind}: reset without an answer"
    assert time.monotonic() - began < PATIENCE_S
    if not answer:
        assert not request.is_whole, f"{request.kind}: no answer"
        return "closed"
    return _checked(answer, request.kind)


def _checked(answer: bytes, kind: str) -> str:
    """The status of an answer that is as it should be."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    told = f"{kind}: {status} {body[:300]!r}"
    assert status < 500, told
    lines = head.decode("latin-1").lower().split("\r\n")[1:]
    headers = dict(line.split(": ", 1) for line in lines)
    assert "x-injected" not in headers, told
    if status == 200:
        assert b"It" in body or not body.strip(), told
    elif status >= 400:
        error = json.loads(body)["error"]
        assert set(error) == {"message", "type", "param", "code"} and error["message"] and error["code"], told
        assert "Traceback" not in error["message"] and "/src/" not in error["message"], told
    return str(status)


def _http(
    body: bytes, *, content_type: bytes = b"", headers: Sequence[bytes] = (), length: bytes | None = None
) -> bytes:
    content_type = content_type or b"multipart/form-data; boundary=" + BOUNDARY
    lines = [
        b"POST " + TRANSCRIPTIONS.encode() + b" HTTP/1.1",
        b"Host: here",
        b"Connection: close",
        b"Content-Type: " + content_type,
        *headers,
    ]
    if length != b"none":
        lines.append(b"Content-Length: " + (str(len(body)).encode() if length is None else length))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _part(disposition: bytes, content: bytes, *headers: bytes) -> bytes:
    lines = [b"--" + BOUNDARY, b"Content-Disposition: form-data; " + disposition, *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + content + b"\r\n"


def _file(content: bytes, *headers: bytes) -> bytes:
    return _part(b'name="file"; filename="a.wav"', content, *headers)


def _form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"


def _recordings() -> list[bytes]:
    if not _made:
        _made.extend(recording(1.0, form) for form in ("wav", "flac", "mp3", "ogg"))
        _made.append(recording(0.5, rate_hz=44_100, channels=2))
    return _made


_made: list[bytes] = []


def _damaged_audio(rng: random.Random) -> Request:
    content = audio_fuzz.damaged(rng.choice(_recordings()), _recordings(), rng)
    return Request("", _http(_form(_file(content))))


def _any_bytes(rng: random.Random) -> Request:
    magic = rng.choice((b"", b"RIFF", b"OggS", b"fLaC", b"ID3", b"\x1aE\xdf\xa3", b"\x00\x00\x00\x20ftyp", b"FORM"))
    return Request("", _http(_form(_file(magic + rng.randbytes(int(10 ** rng.uniform(0, 4.5)))))))


def _claims_hours(rng: random.Random) -> Request:
    """A WAV whose head speaks of far more than comes, with formats at their bounds."""
    channels, rate_hz = rng.choice((0, 1, 2, 255, 65_535)), rng.choice((0, 1, 8, 16_000, 2**31, 2**32 - 1))
    bits, code = rng.choice((0, 1, 8, 16, 24, 64, 65_535)), rng.choice((1, 3, 6, 7, 2, 0x11, 0x55, 0xFFFE))
    size = rng.choice((0, 1, 2**31 - 1, 2**32 - 1))
    form = struct.pack("<HHIIHH", code, channels, rate_hz, rng.choice((0, 2**32 - 1)), rng.choice((0, 1, 4)), bits)
    data = bytes(int(10 ** rng.uniform(0, 5)))
    head = b"RIFF" + struct.pack("<I", size) + b"WAVEfmt " + struct.pack("<I", len(form)) + form
    return Request("", _http(_form(_file(head + b"data" + struct.pack("<I", size) + data))))


def _torn_form(rng: random.Random) -> Request:
    """The form ends anywhere; its length is told truly."""
    form = _form(_part(b'name="model"', b"whisper-1"), _file(_recordings()[0]))
    return Request("", _http(form[: rng.randrange(len(form))]))


def _damaged_form(rng: random.Random) -> Request:
    form = _form(_part(b'name="model"', b"whisper-1"), _file(_recordings()[2]))
    return Request("", _http(audio_fuzz.damaged(form, [form, rng.randbytes(999)], rng)))


def _wrong_boundary(rng: random.Random) -> Request:
    form = _form(_file(_recordings()[0]))
    boundary = rng.choice(
        (b"", b'""', b"other", b"the-boundar", BOUNDARY + b" ", b"x" * 5_000, b"\xff\xfe", b'"the', b"-")
    )
    kinds = (
        b"multipart/form-data",
        b"multipart/form-data; boundary=" + boundary,
        b"multipart/form-data; charset=utf-16; boundary=" + BOUNDARY,
        b"multipart/form-data; charset=nonsense; boundary=" + BOUNDARY,
        b"multipart/mixed; boundary=" + BOUNDARY,
        b"multipart/form-data; boundary=" + BOUNDARY + b"; boundary=" + boundary,
        b"MULTIPART/FORM-DATA; BOUNDARY=" + BOUNDARY,
        b"application/json",
        b"application/x-www-form-urlencoded",
    )
    return Request("", _http(form, content_type=rng.choice(kinds)))


def _odd_parts(rng: random.Random) -> Request:
    """Nested forms, files twice, files as fields, odd headers and names."""
    wav = _recordings()[0]
    nested = _part(b'name="file"', _form(_file(wav)), b"Content-Type: multipart/mixed; boundary=" + BOUNDARY)
    parts = [
        nested,
        _file(wav),
        _file(b""),
        _part(b'name="file"', wav[:1000]),
        _part(b'name="file[]"; filename="a.wav"', wav),
        _part(b"name=\"file\"; filename*=utf-8''%ff%fe.wav", wav),
        _part(b'name="file"; filename="' + rng.randbytes(20).replace(b"\r", b"").replace(b"\n", b"") + b'"', wav),
        _part(b'name="model"; filename="m"', b"whisper-1"),
        _part(b"name=model", b"whisper-1"),
        _part(b'filename="a.wav"', wav),
        _part(b"", b"x"),
        b"--" + BOUNDARY + b"\r\n\r\nno headers\r\n",
        b"--" + BOUNDARY + b"\n" + b'Content-Disposition: form-data; name="file"; filename="a"\n\n' + wav + b"\n",
        _file(wav, rng.choice(HEADERS_OF_FILES), rng.choice(HEADERS_OF_FILES)),
        _file(wav, *[b"X-%d: y" % number for number in range(rng.choice((50, 3_000)))]),
        rng.randbytes(30),
    ]
    return Request("", _http(_form(*rng.sample(parts, rng.randint(1, 4)))))


def _many_fields(rng: random.Random) -> Request:
    name = rng.choice((b"keywords[]", b"x", b"model", b"include[]"))
    fields_of = [_part(b'name="' + name + b'"', b"a%d" % number) for number in range(rng.choice((900, 5_000, 5_200)))]
    return Request("", _http(_form(*fields_of, _file(_recordings()[0]))))


def _odd_fields(rng: random.Random) -> Request:
    """Known names with values that nobody expects, in any encoding."""
    parts = []
    for _ in range(rng.randint(1, 4)):
        name = rng.choice(NAMES) + rng.choice(("", "", "[]", "[0]", "[a]", "[["))
        value = rng.choice(ODD_TEXTS) if rng.random() < 0.7 else "".join(map(chr, rng.choices(range(0xD7FF), k=20)))
        encoding = rng.choice(("utf-8", "utf-8", "utf-16", "utf-7"))
        content = value.encode(encoding, "replace") if rng.random() < 0.9 else rng.randbytes(30)
        parts.append(
            _part(f'name="{name}"'.encode(), content, b"Content-Type: text/plain; charset=" + encoding.encode())
        )
    return Request("", _http(_form(*parts, _file(_recordings()[0]))))


def _lying_length(rng: random.Random) -> Request:
    form = _form(_file(_recordings()[2]))
    more, less = str(len(form) + rng.randint(1, 10**6)).encode(), str(rng.randrange(len(form))).encode()
    huge = rng.choice((b"9" * 30, b"999999999999", b"3000000"))
    odd = rng.choice((b"-1", b"+5", b"0x10", b"1e3", b"", b"5, 6", b"\xb2", b"ten"))
    length = rng.choice((more, less, huge, odd, b"0"))
    return Request("", _http(form, length=length), is_whole=length in (huge, b"0"))


def _chunks(rng: random.Random) -> Request:
    """Chunked bodies, some with sizes that are none, some beside a length."""
    form = _form(_file(_recordings()[2]))
    size = rng.choice((b"%x" % len(form), b"%x" % (len(form) + 99), b"fffffffffffffffff", b"-1", b"zz", b"", b"5"))
    body = size + b"\r\n" + form + b"\r\n0\r\n\r\n"
    headers = [b"Transfer-Encoding: " + rng.choice((b"chunked", b"chunked", b"gzip, chunked", b"identity"))]
    length = rng.choice((b"none", b"none", b"10"))
    return Request("", _http(body, headers=headers, length=length), is_whole=False)


def _odd_heads(rng: random.Random) -> Request:
    form = _form(_file(_recordings()[2]))
    odd = (
        b"X-Long: " + b"y" * rng.choice((1_000, 60_000, 100_000)),
        b"Authorization: Bearer " + rng.randbytes(20).translate(None, b"\r\n\0"),
        b"Expect: 100-continue",
        b"X-Request-Id: " + b"\x07" * 9,
        b"Content-Encoding: gzip",
        b"traceparent: 00-zz-zz-01",
        b"Upgrade: websocket",
        b"Range: bytes=0-",
        b"no colon here",
        b"Cookie: " + b"a=b; " * 2_000,
    )
    whole = _http(form, headers=rng.sample(odd, rng.randint(1, 3)))
    torn = whole[: rng.randrange(1, whole.find(b"\r\n\r\n"))]
    return rng.choice((Request("", whole), Request("", whole), Request("", torn, is_whole=False)))


def _no_http(rng: random.Random) -> Request:
    content = rng.choice(
        (rng.randbytes(rng.randint(1, 3_000)), b"\r\n" * 50, b"GET / HTTP/9.9\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\n")
    )
    return Request("", content, is_whole=False)


MAKERS: Mapping[str, Callable[[random.Random], Request]] = {
    "damaged audio": _damaged_audio,
    "any bytes as audio": _any_bytes,
    "audio that claims hours": _claims_hours,
    "torn form": _torn_form,
    "damaged form": _damaged_form,
    "wrong boundary": _wrong_boundary,
    "odd parts": _odd_parts,
    "many fields": _many_fields,
    "odd fields": _odd_fields,
    "lying length": _lying_length,
    "chunks": _chunks,
    "odd heads": _odd_heads,
    "no HTTP": _no_http,
}


def main() -> None:
    """Send many, and count what came of each kind."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    _recordings()
    with served(FakeRecognizer(), **LIMITS) as url, ThreadPoolExecutor(8) as pool:

        def ask(seed: int) -> tuple[str, str]:
            request = make(random.Random(seed))
            try:
                return request.kind, outcome(url, request)
            except (AssertionError, OSError, ValueError, KeyError) as error:
                print(f"seed {seed}: {type(error).__name__}: {error}", flush=True)
                return request.kind, "WRONG"

        counts.update(pool.map(ask, range(number)))
    for (kind, what), count in sorted(counts.items()):
        print(f"{kind:25} {what:8} {count}")


if __name__ == "__main__":
    main()
