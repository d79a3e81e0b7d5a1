"""What a job asks for: the fields of a transcription (`http.fields`), and its own.

A form and JSON say the same: JSON's lists are lists of the form, and its numbers and truth values are texts.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from shoptalk.service.http import fields
from shoptalk.service.http.fields import FALSE, TRUE, Items, Wanted
from shoptalk.service.problems import Problem

INPUT = "input"
OWN = frozenset({INPUT, "output", "webhook_url", "webhook_files", "webhook_text"})
BESIDE = "beside"
S3 = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^\x00-\x1f]*")
MAX_ADDRESS = 1500
"""Characters of an address: S3's keys have 1,024 bytes at most."""
MAX_KEY = 255
"""Characters of an idempotency key."""


@dataclass(frozen=True)
class JobWanted:
    """A job as it was asked for."""

    wanted: Wanted
    fields: Items
    """Those of a transcription, as they came."""
    inputs: tuple[str, ...] = ()
    """Addresses of recordings, or of folders of them."""
    output: str = ""
    webhook_url: str = ""
    tells_files: bool = False
    tells_text: bool = False


def items_of_json(content: object) -> list[tuple[str, str]]:
    """The fields of a JSON body as a form would have them; `Problem` 400 for what is none."""
    if not isinstance(content, Mapping):
        raise Problem(400, 'send a JSON object such as {"input": ["s3://bucket/prefix/"]}', code="invalid_body")
    items = []
    for name, value in content.items():
        if name == INPUT and isinstance(value, list):
            items += [(INPUT, _text(name, item)) for item in value]
        elif isinstance(value, list | Mapping):
            items.append((name, json.dumps(value, ensure_ascii=False)))
        elif value is not None:
            items.append((name, _text(name, value)))
    return items


def read(items: Items, *, is_strict: bool = False) -> JobWanted:
    """The fields as they are meant; `Problem` 400 names the first that is wrong."""
    own = [(_plain(name), value) for name, value in items if _plain(name) in OWN]
    others = [(name, value) for name, value in items if _plain(name) not in OWN]
    wanted = fields.read(others, is_strict=is_strict)
    if wanted.stream:
        raise _wrong("stream", "has no meaning for a job; leave it out")
    last = dict(own)
    inputs = tuple(dict.fromkeys(value for name, value in own if name == INPUT))
    for address in inputs:
        _check_input(address)
    tells_files, tells_text = (_flag(last, name) for name in ("webhook_files", "webhook_text"))
    webhook_url = last.get("webhook_url", "").strip()
    if not webhook_url and (tells_files or tells_text):
        raise _wrong("webhook_url", "is missing; the other fields of a webhook need it")
    if tells_text and not tells_files:
        raise _wrong("webhook_text", "needs `webhook_files`: news of a whole job have no text")
    if webhook_url:
        _check_url(webhook_url)
    output = last.get("output", "").strip()
    _check_output(output, inputs)
    return JobWanted(wanted, tuple(others), inputs, output, webhook_url, tells_files, tells_text)


def idempotency_key(headers: Mapping[str, str]) -> str:
    """The client's own name of a job, if it sent one; `Problem` 400 for one that is too long."""
    key = headers.get("idempotency-key", "")
    if len(key) > MAX_KEY:
        raise Problem(400, f"the Idempotency-Key has {MAX_KEY} characters at most", code="invalid_value")
    return key


def _check_input(address: str) -> None:
    is_s3 = address.startswith("s3:")
    if len(address) > MAX_ADDRESS or not address.strip() or (is_s3 and not S3.fullmatch(address)):
        raise _wrong(
            INPUT, "names s3://BUCKET/KEY, s3://BUCKET/PREFIX/, or a file or folder of the server's jobs_folder"
        )


def _check_output(output: str, inputs: Sequence[str]) -> None:
    if not output:
        return
    if output == BESIDE:
        if not inputs or not all(address.startswith("s3://") for address in inputs):
            raise _wrong("output", "'beside' is for recordings in S3; name s3://BUCKET/PREFIX/ for others")
    elif len(output) > MAX_ADDRESS or not S3.fullmatch(output) or not output.endswith("/"):
        raise _wrong("output", "is 'beside', or s3://BUCKET/PREFIX/ with a / at its end")


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole or parts.scheme not in ("https", "http") or len(url) > MAX_ADDRESS or not url.isascii():
        raise _wrong("webhook_url", "is no address such as https://example.org/news")
    if parts.username is not None or parts.password is not None:
        raise _wrong("webhook_url", "holds a password; the signature tells who sends, leave it out")


def _plain(name: str) -> str:
    return name.removesuffix("[]")


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise Problem(400, f"`{name[:40]}` is no text, number or list of texts", code="invalid_value")


def _flag(values: Mapping[str, Any], name: str) -> bool:
    value = values.get(name, "").lower()
    if value not in TRUE | FALSE:
        raise _wrong(name, "is 'true' or 'false'")
    return value in TRUE


def _wrong(name: str, message: str) -> Problem:
    return Problem(400, f"`{name}` {message}", code="invalid_value", param=name)
