"""A service's pages for people: an index at `/`, and the API at `/docs`, whose script and style need no internet."""

import json
from collections.abc import Callable
from html import escape

from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

ASSETS = "/assets"  # Swagger UI, from the package fastapi-offline
INDEX = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="{assets}/favicon.png">
<style>:root {{ color-scheme: light dark }} body {{ font: 1.1rem/1.5 system-ui; max-width: 50rem; margin: 3rem auto }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; padding: 1rem; border: 1px solid gray }}</style></head>
<body><h1>{title}</h1><ul>{links}</ul><p>Try it in a terminal:</p><pre>{example}</pre></body></html>"""


def pages(title: str, links: dict[str, str], example: Callable[[str], str]) -> list[BaseRoute]:
    """The routes of both pages. links: path of another page -> what it shows; example: a command, for an address."""
    links = {"/docs": "every request, with its schema, to try out", **links}

    async def index(request: Request) -> Response:
        items = "".join(f'<li><a href="{path}">{path}</a>: {escape(what)}</li>' for path, what in links.items())
        shown = escape(example(str(request.base_url).rstrip("/")))
        return HTMLResponse(INDEX.format(title=escape(title), assets=ASSETS, links=items, example=shown))

    async def docs(_request: Request) -> Response:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=title,
            swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{ASSETS}/favicon.png",
        )

    assets = StaticFiles(packages=[("fastapi_offline", "static")])
    return [Route("/", index), Route("/docs", docs), Mount(ASSETS, assets)]


def curl(url: str, body: object = None) -> str:
    """The command for a terminal that sends `body` as JSON to `url`; without a body, the one that reads it."""
    sent = f" -H 'content-type: application/json' -d '{json.dumps(body)}'" if body else ""
    return f"curl -s {url}{sent}"
