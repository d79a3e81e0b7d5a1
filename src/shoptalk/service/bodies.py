"""Reading a JSON body: after the key was checked, bounded in time; `http.edge` bounds its size.

FastAPI would read a body that a route declares before it looks at the key, and for as long as the client likes. So no
route declares one.
"""

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from shoptalk.service import clock
from shoptalk.service.problems import SHOWN, Problem

BODY_S = 30.0
"""A body that takes longer is refused."""

Content = TypeVar("Content", bound=BaseModel)


async def read_json(request: Request) -> object:
    """What a body says; `Problem` 408 if it takes too long, 400 if it is no JSON.

    A POST must say that it is JSON: other types a browser sends from any page, without asking first.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method == "POST" and kind != "application/json" and not kind.endswith("+json"):
        raise Problem(400, "send the body as application/json", code="invalid_content_type")
    try:
        async with clock.timeout(BODY_S):
            body = await request.body()
    except TimeoutError:
        raise Problem(408, f"the body took longer than {BODY_S:g} s; send it again", code="upload_stalled") from None
    except ClientDisconnect:
        raise Problem(400, "the body broke off; send it again", code="invalid_body") from None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Problem(400, "the body is no JSON; send application/json", code="invalid_body") from None


async def read_model(request: Request, model: type[Content]) -> Content:
    """A body as a pydantic model; `Problem` as for `read_json`, and 400 that names the first wrong field."""
    content = await read_json(request)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])[:SHOWN] or "body"
        raise Problem(400, f"{place}: {first['msg']}", code="invalid_value", param=place) from None


def described(schema: dict[str, Any]) -> dict[str, Any]:
    """A route's body in its OpenAPI description: ``openapi_extra=described(Model.model_json_schema())``.

    The schema must hold no references to others.
    """
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
