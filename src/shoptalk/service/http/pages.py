"""`/docs` without a network: Swagger UI from the package `fastapi-swagger`, with relative addresses."""

from importlib import resources

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, Response

from shoptalk.service.problems import Problem

PACKAGE = "fastapi_swagger.resources"
TYPES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}


def router(title: str) -> APIRouter:
    """The page, and the files it needs."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/docs", response_class=HTMLResponse)
    async def page() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title=title,
            swagger_js_url="docs/swagger-ui-bundle.js",
            swagger_css_url="docs/swagger-ui.css",
            swagger_favicon_url="docs/favicon-32x32.png",
        )

    @routes.get("/docs/{name}", response_class=Response)
    def file(name: str) -> Response:  # in a thread: it reads a file
        if name not in TYPES:
            raise Problem(404, "there is no such file", code="unknown_url")
        content = resources.files(PACKAGE).joinpath(name).read_bytes()
        return Response(content, media_type=TYPES[name], headers={"cache-control": "max-age=86400"})

    return routes
