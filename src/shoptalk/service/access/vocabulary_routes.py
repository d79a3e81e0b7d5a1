"""`/v1/vocabularies`: the lists of phrases of the key that asks."""

import asyncio
import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.requests import ClientDisconnect, Request

from shoptalk.service.access.access import Access
from shoptalk.service.access.callers import Caller
from shoptalk.service.access.vocabularies import as_json
from shoptalk.service.problems import Problem

MAX_BODY_BYTES = 2**20
BODY_S = 30.0
"""A body that takes longer is refused."""
_BODY = {
    "type": "object",
    "required": ["phrases"],
    "properties": {
        "phrases": {
            "type": "array",
            "items": {
                "anyOf": [
                    {"type": "string"},
                    {
                        "type": "object",
                        "required": ["text"],
                        "properties": {"text": {"type": "string"}, "weight": {"type": "number"}},
                    },
                ]
            },
        }
    },
}


def routes(access: Access) -> APIRouter:
    """PUT, GET and DELETE of one vocabulary, and the list of all; they ask for the scope `vocabularies`."""
    router = APIRouter()
    vocabularies = access.vocabularies
    identified = Depends(access.require("vocabularies"))
    body = {"requestBody": {"required": True, "content": {"application/json": {"schema": _BODY}}}}

    @router.get("/v1/vocabularies")
    async def names(caller: Annotated[Caller, identified]) -> dict[str, Any]:
        known = await asyncio.to_thread(vocabularies.names, caller.id)
        return {"object": "list", "data": [{"object": "vocabulary", "name": name} for name in known]}

    @router.get("/v1/vocabularies/{name}")
    async def get(name: str, caller: Annotated[Caller, identified]) -> dict[str, Any]:
        phrases = await asyncio.to_thread(vocabularies.get, caller.id, name)
        return {"object": "vocabulary", "name": name, "phrases": as_json(phrases)}

    @router.put("/v1/vocabularies/{name}", openapi_extra=body)
    async def put(name: str, request: Request, caller: Annotated[Caller, identified]) -> dict[str, Any]:
        content = await _content(request)
        phrases = await asyncio.to_thread(vocabularies.put, caller.id, name, content)
        return {"object": "vocabulary", "name": name, "phrases": as_json(phrases)}

    @router.delete("/v1/vocabularies/{name}")
    async def delete(name: str, caller: Annotated[Caller, identified]) -> dict[str, Any]:
        await asyncio.to_thread(vocabularies.delete, caller.id, name)
        return {"object": "vocabulary.deleted", "name": name, "deleted": True}

    return router


async def _content(request: Request) -> object:
    """The JSON of a body; `Problem` 413 if it is too large, 408 if it takes too long, 400 if it is no JSON."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    message = f"a vocabulary has {MAX_BODY_BYTES:,} bytes at most; cut it into several"
                    raise Problem(413, message, code="body_too_large", headers={"Connection": "close"})
    except TimeoutError:
        message = f"the body took longer than {BODY_S:g} s; send it again"
        raise Problem(408, message, code="upload_stalled", headers={"Connection": "close"}) from None
    except ClientDisconnect:
        raise Problem(400, "the body broke off; send it again", code="invalid_body") from None
    try:
        return json.loads(bytes(body))
    except (ValueError, RecursionError):
        raise Problem(400, "the body is no JSON; send application/json", code="invalid_body") from None
