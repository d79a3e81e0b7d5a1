"""What the OpenAPI description says beside what FastAPI reads from the routes: the form, the answers, the errors."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from shoptalk import __version__
from shoptalk.core.protocols import MAX_ALTERNATIVES
from shoptalk.service.http.answers import FORMS

_TEXTS: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
_BLANK: dict[str, Any] = {"type": "string", "pattern": r"^\s*$", "description": "counts as not given"}


def _any_of(*values: str) -> dict[str, Any]:
    """A list of some of the values; clients also send the field with nothing in it."""
    return {"type": "array", "items": {"anyOf": [{"type": "string", "enum": list(values)}, _BLANK]}}


FIELDS: dict[str, Any] = {
    "file": {"type": "string", "format": "binary", "description": "a recording; its content decides the format"},
    "model": {"type": "string", "description": "name or alias of a model; the default model without"},
    "language": {"type": "string", "description": "en, or what means it or nothing: en-US, english, auto, empty"},
    "languages[]": {**_TEXTS, "description": "what may be spoken; English must be among it"},
    "prompt": {"type": "string", "description": "a list of phrases, or prose whose names become phrases"},
    "keywords[]": {**_TEXTS, "description": "words or phrases that are recognised more readily"},
    "vocabulary[]": {**_TEXTS, "description": "names of lists of phrases that the API key stored"},
    "response_format": {"type": "string", "enum": list(FORMS), "default": "json"},
    "timestamp_granularities[]": _any_of("word", "segment"),
    "include[]": _any_of("logprobs"),
    "stream": {"type": "boolean", "default": False, "description": "server-sent events"},
    "channels": {
        "type": "string",
        "enum": ["mix", "each"],
        "default": "mix",
        "description": "each: every channel is transcribed for itself",
    },
    "channel_names[]": {**_TEXTS, "description": "who speaks on each channel, from the first on"},
    "alternatives": {"type": "integer", "minimum": 0, "maximum": MAX_ALTERNATIVES, "default": 0},
    "review": {"type": "boolean", "default": False, "description": "tell the places that a person should look at"},
    "chunking_strategy": {"type": "string", "description": "checked, without effect"},
    "temperature": {"type": "number", "minimum": 0, "maximum": 1, "description": "checked, without effect"},
}
_TRANSCRIPT = {
    "type": "object",
    "required": ["text"],
    "properties": {"text": {"type": "string"}, "usage": {"type": "object"}},
}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
TRANSCRIPTION: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"multipart/form-data": {"schema": {"type": "object", "required": ["file"], "properties": FIELDS}}},
    },
    "responses": {
        "200": {
            "description": "the transcript; a form of it for each `response_format`",
            "content": {
                "application/json": {"schema": _TRANSCRIPT},
                "text/plain": {"schema": {"type": "string"}},
                "text/event-stream": {"schema": {"type": "string"}},
            },
        }
    },
}
"""Of `POST /v1/audio/transcriptions`."""


def describe(app: FastAPI, root_path: str) -> dict[str, Any]:
    """The description of an app, made once: every error has OpenAI's form, whatever its status."""
    if app.openapi_schema:
        return app.openapi_schema
    told: dict[str, Any] = get_openapi(
        title=app.title,
        version=__version__,
        description=app.description,
        routes=app.routes,
        servers=[{"url": root_path}] if root_path else None,
    )
    schemas = told.setdefault("components", {}).setdefault("schemas", {})
    schemas["Error"] = _ERROR
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own form, which is never sent
        schemas.pop(name, None)
    error = {
        "description": "what went wrong, in OpenAI's form",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    for operations in told["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = error
    app.openapi_schema = told
    return told
