"""`/v1/vocabularies`: the lists of phrases of the key that asks."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.requests import Request

from shoptalk.service import bodies
from shoptalk.service.access.access import Access
from shoptalk.service.access.callers import Caller
from shoptalk.service.access.vocabularies import as_json

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

    @router.get("/v1/vocabularies")
    async def names(caller: Annotated[Caller, identified]) -> dict[str, Any]:
        known = await asyncio.to_thread(vocabularies.names, caller.id)
        return {"object": "list", "data": [{"object": "vocabulary", "name": name} for name in known]}

    @router.get("/v1/vocabularies/{name}")
    async def get(name: str, caller: Annotated[Caller, identified]) -> dict[str, Any]:
        phrases = await asyncio.to_thread(vocabularies.get, caller.id, name)
        return {"object": "vocabulary", "name": name, "phrases": as_json(phrases)}

    @router.put("/v1/vocabularies/{name}", openapi_extra=bodies.described(_BODY))
    async def put(name: str, request: Request, caller: Annotated[Caller, identified]) -> dict[str, Any]:
        content = await bodies.read_json(request)
        phrases = await asyncio.to_thread(vocabularies.put, caller.id, name, content)
        return {"object": "vocabulary", "name": name, "phrases": as_json(phrases)}

    @router.delete("/v1/vocabularies/{name}")
    async def delete(name: str, caller: Annotated[Caller, identified]) -> dict[str, Any]:
        await asyncio.to_thread(vocabularies.delete, caller.id, name)
        return {"object": "vocabulary.deleted", "name": name, "deleted": True}

    return router
