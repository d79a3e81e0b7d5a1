"""Pages: `/` for people (`service.web`), and `/docs` for programmers; neither needs another host.

The page's files lie below `/page`, with addresses relative to `/`, so that any path prefix works. `/docs` is Swagger UI
from the package `fastapi-swagger`.
"""

import hashlib
from dataclasses import dataclass
from importlib import resources

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, Response

from shoptalk.service.problems import Problem

WEB = "shoptalk.service.web"
INDEX = "index.html"
WEB_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "woff2": "font/woff2",
}
"""By the end of a file's name; other files of the package are not served."""
CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "font-src 'self'",
        "img-src 'self'",
        "media-src blob:",  # the recording, which the page plays out of its memory
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ]
)
WEB_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",  # a browser asks whether its copy is current
}
SWAGGER = "fastapi_swagger.resources"
SWAGGER_TYPES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}


@dataclass(frozen=True)
class _File:
    content: bytes
    media_type: str
    tag: str
    """Of the content, as the header ETag has it."""


def router(title: str) -> APIRouter:
    """Both pages, and the files they need."""
    routes = APIRouter(include_in_schema=False)
    _add_page(routes)
    _add_docs(routes, title)
    return routes


def _add_page(routes: APIRouter) -> None:
    files = _web_files()

    @routes.get("/")
    async def page(request: Request) -> Response:
        return _answer(files[INDEX], request)

    @routes.get("/page/{name}")
    async def page_file(name: str, request: Request) -> Response:
        if name not in files or name == INDEX:
            raise _no_such_file()
        return _answer(files[name], request)


def _add_docs(routes: APIRouter, title: str) -> None:
    @routes.get("/docs", response_class=HTMLResponse)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title=title,
            swagger_js_url="docs/swagger-ui-bundle.js",
            swagger_css_url="docs/swagger-ui.css",
            swagger_favicon_url="docs/favicon-32x32.png",
        )

    @routes.get("/docs/{name}", response_class=Response)
    def docs_file(name: str) -> Response:  # in a thread: it reads a file
        if name not in SWAGGER_TYPES:
            raise _no_such_file()
        content = resources.files(SWAGGER).joinpath(name).read_bytes()
        return Response(content, media_type=SWAGGER_TYPES[name], headers={"cache-control": "max-age=86400"})


def _web_files() -> dict[str, _File]:
    """The page's files by their names, read once."""
    files = {}
    for entry in resources.files(WEB).iterdir():
        media_type = WEB_TYPES.get(entry.name.rpartition(".")[2])
        if media_type:
            content = entry.read_bytes()
            files[entry.name] = _File(content, media_type, f'"{hashlib.sha256(content).hexdigest()[:16]}"')
    return files


def _answer(file: _File, request: Request) -> Response:
    """The file, or only that the browser's copy is current."""
    headers = {**WEB_HEADERS, "etag": file.tag}
    if file.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)


def _no_such_file() -> Problem:
    return Problem(404, "there is no such file", code="unknown_url")
