"""What the OpenAPI description says of handing in a job."""

from typing import Any

from shoptalk.service.http.description import FIELDS

_OWN: dict[str, Any] = {
    "output": {"type": "string", "description": "s3://BUCKET/PREFIX/, or `beside`: results are also written there"},
    "webhook_url": {"type": "string", "description": "gets signed news when the job is over"},
    "webhook_files": {"type": "boolean", "description": "also when a file is over"},
    "webhook_text": {"type": "boolean", "description": "news of a file have its name and its result"},
}
_OF_A_TRANSCRIPTION = {name: field for name, field in FIELDS.items() if name not in ("file", "stream")}
_INPUT = {"type": "array", "items": {"type": "string"}, "description": "s3://BUCKET/PREFIX/, or names in jobs_folder"}
_FILES = {"type": "array", "items": {"type": "string", "format": "binary"}}
JOB: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": _FILES, **_OF_A_TRANSCRIPTION, **_OWN},
                }
            },
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["input"],
                    "properties": {
                        "input": _INPUT,
                        **{name.removesuffix("[]"): field for name, field in _OF_A_TRANSCRIPTION.items()},
                        **_OWN,
                    },
                }
            },
        },
    },
    "responses": {
        "202": {"description": "the job", "content": {"application/json": {"schema": {"type": "object"}}}},
    },
}
