"""`/v1/corrections`, and `DELETE /v1/requests/{request_id}`, which reaches every place that kept something of it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from shoptalk.core.errors import DiskFullError, StoreError
from shoptalk.service import bodies, store
from shoptalk.service.access.access import Access
from shoptalk.service.access.callers import Caller
from shoptalk.service.account import account_of
from shoptalk.service.corrections.forgetting import Forgetting
from shoptalk.service.corrections.records import Asked, Correction, Sent, Taken
from shoptalk.service.corrections.trained import Search
from shoptalk.service.problems import Problem
from shoptalk.service.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from shoptalk.service.corrections.corrections import Corrections

MOST_CHARACTERS = 250_000
"""Of a text; three hours of speech have some 150,000."""
MOST_ON_PAGE = 1_000
LINES = "application/jsonl"

Answer = TypeVar("Answer")
SearchModels = Callable[[Sequence[str]], Awaitable[Search]]
"""Looks for the models that were trained on corrections of these ids."""


class Body(BaseModel):
    """What `POST /v1/corrections` takes."""

    model_config = ConfigDict(extra="forbid")

    request_id: str = Field(pattern=r"^[A-Za-z0-9._-]{1,128}$")
    text: str = Field(max_length=MOST_CHARACTERS)
    consent: StrictBool
    """Whether it may be used for training."""
    start_s: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    end_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    original: str | None = Field(default=None, max_length=MOST_CHARACTERS)


@dataclass(frozen=True)
class Desk:
    """What the routes need."""

    access: Access
    metrics: Metrics
    forgetting: Forgetting
    search_models: SearchModels
    corrections: "Corrections | None"
    """None where there is no store."""

    def required(self) -> "Corrections":
        """The corrections; `Problem` 404 where there is no store."""
        if self.corrections is None:
            raise store.missing("corrections")
        return self.corrections


def router(desk: Desk) -> APIRouter:
    """All routes; they ask for the scope `transcribe` or `jobs`, and `admin` sees and deletes what all keys have."""
    routes = APIRouter()
    identified = Depends(desk.access.require("transcribe", "jobs", "admin"))
    may_correct = Depends(desk.access.require("transcribe", "jobs"))
    described = bodies.described(Body.model_json_schema())

    @routes.post("/v1/corrections", status_code=201, openapi_extra=described)
    async def correct(request: Request, caller: Annotated[Caller, may_correct]) -> dict[str, Any]:
        """Take the corrected text of a request, or of a part of it."""
        corrections = desk.required()
        sent = _sent(await bodies.read_model(request, Body))
        taken = await _in_thread(corrections.take, caller.id, sent)
        account_of(request).subject = sent.request_id
        _count(desk.metrics, taken)
        return _taken_as_json(taken)

    @routes.get("/v1/corrections", response_class=Response)
    async def listed(
        caller: Annotated[Caller, identified],
        limit: Annotated[int, Query(ge=1, le=MOST_ON_PAGE)] = 100,
        after: Annotated[str, Query(max_length=128)] = "",
        request_id: Annotated[str | None, Query(max_length=128)] = None,
        consent: bool | None = None,
        form: Annotated[Literal["json", "jsonl"], Query(alias="format")] = "json",
    ) -> Response:
        """The corrections of the key, or of all keys; `format=jsonl` has all of them, a line each."""
        corrections = desk.required()
        asked = Asked(_owner(caller), request_id, consent)
        if form == "jsonl":
            return await _lines(corrections, asked)
        place = await _in_thread(corrections.place_of, after) if after else None
        page = await _in_thread(corrections.page, asked, place, limit + 1)
        shown = page[:limit]
        content = {
            "object": "list",
            "data": [_as_json(correction) for correction in shown],
            "first_id": shown[0].id if shown else None,
            "last_id": shown[-1].id if shown else None,
            "has_more": len(page) > limit,
        }
        return JSONResponse(content)

    @routes.delete("/v1/requests/{request_id}")
    async def forget(request_id: str, request: Request, caller: Annotated[Caller, identified]) -> dict[str, Any]:
        """Delete what was kept of a request, wherever it was."""
        answer = await _forgotten(desk, request_id, _owner(caller))
        account_of(request).subject = request_id  # it is one of ours: others may be any text
        return answer

    return routes


async def _forgotten(desk: Desk, request_id: str, owner: str | None) -> dict[str, Any]:
    """What was deleted where; `Problem` 404 for a request that nobody ever knew."""
    corrections = desk.corrections
    ids = await _in_thread(corrections.ids_of, request_id, owner) if corrections else ()
    was_known = bool(ids) or (corrections is not None and await _in_thread(corrections.was_deleted, request_id, owner))
    deleted = await _in_thread(desk.forgetting.forget, request_id, owner)
    if not (any(deleted.values()) or was_known):
        message = "no request with this id is known here; send the x-request-id of its answer"
        raise Problem(404, message, code="request_not_found", param="request_id")
    if corrections is not None:
        await _in_thread(corrections.remember, request_id, owner)
    exports = await _in_thread(corrections.exports, ids) if corrections else []
    search = await desk.search_models(ids)
    return {
        "object": "request.deleted",
        "request_id": request_id,
        "deleted": deleted,
        "corrections": list(ids),
        "exports": [
            {
                "correction": copy.correction_id,
                "folder": copy.folder if owner is None else copy.folder.rpartition("/")[2],
                "at": int(copy.at_s),
            }
            for copy in exports
        ],
        "models": [
            {"name": model.name, "place": model.place, "corrections": list(model.corrections)}
            for model in search.models
        ],
        "not_searched": search.not_searched,
    }


def _owner(caller: Caller) -> str | None:
    """Whose corrections and requests a caller may see and delete; None: everybody's."""
    return None if "admin" in caller.scopes else caller.id


def _sent(body: Body) -> Sent:
    """What the body says; `Problem` 400 for a part that is none, and for what is no text."""
    if (body.start_s is None) != (body.end_s is None):
        missing = "start_s" if body.start_s is None else "end_s"
        message = f"a part has start_s and end_s; send {missing} too, or neither for the whole request"
        raise Problem(400, message, code="invalid_value", param=missing)
    if body.start_s is not None and body.end_s is not None and body.end_s <= body.start_s:
        raise Problem(400, "a part ends after its start; send a later end_s", code="invalid_value", param="end_s")
    for name, text in [("text", body.text), ("original", body.original or "")]:
        try:
            text.encode()  # JSON may hold halves of characters, which could not be written again
        except UnicodeEncodeError:
            raise Problem(
                400, f"{name}: has half a character; send whole ones", code="invalid_value", param=name
            ) from None
    return Sent(body.request_id, body.text, body.consent, body.original, body.start_s, body.end_s)


def _count(metrics: Metrics, taken: Taken) -> None:
    """Figures, with no text in them."""
    model = metrics.model_label(taken.correction.model)
    metrics.corrections.labels(model, "yes" if taken.correction.consent else "no").inc()
    if taken.changed_words is not None:
        metrics.corrected_words.labels(model).inc(taken.changed_words)


def _taken_as_json(taken: Taken) -> dict[str, Any]:
    correction = taken.correction
    return {
        "id": correction.id,
        "object": "correction",
        "request_id": correction.request_id,
        "consent": correction.consent,
        "created_at": int(correction.at_s),
        "expires_at": int(correction.expires_s),
        "audio": taken.has_audio,
        "replaced": list(taken.replaced),
    }


def _as_json(correction: Correction) -> dict[str, Any]:
    return {
        "id": correction.id,
        "object": "correction",
        "request_id": correction.request_id,
        "key": correction.caller,
        "model": correction.model,
        "text": correction.text,
        "original": correction.original,
        "start_s": correction.start_s,
        "end_s": correction.end_s,
        "consent": correction.consent,
        "audio": correction.consent and bool(correction.recordings),
        "created_at": int(correction.at_s),
        "expires_at": int(correction.expires_s),
    }


async def _lines(corrections: "Corrections", asked: Asked) -> Response:
    """All corrections as JSON Lines, read a page at a time."""
    each = corrections.all(asked)
    first = await _in_thread(next, each, None)  # a store that does not answer is told with a status

    async def lines() -> AsyncIterator[bytes]:
        correction = first
        while correction is not None:
            yield json.dumps(_as_json(correction), ensure_ascii=False).encode() + b"\n"
            correction = await asyncio.to_thread(next, each, None)

    return StreamingResponse(lines(), media_type=LINES)


async def _in_thread(call: Callable[..., Answer], *arguments: Any) -> Answer:
    """The call in a thread; a store that does not answer, or a full disk, is `Problem` 503."""
    try:
        return await asyncio.to_thread(call, *arguments)
    except StoreError as error:
        raise Problem(503, str(error), code="storage_failed", headers={"Retry-After": "5"}) from None
    except DiskFullError:
        message = "the server has no space left to store it; whoever runs it must free some"
        raise Problem(503, message, code="storage_full") from None
