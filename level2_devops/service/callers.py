"""Who may call: a server on this machine refuses the pages of other sites, which any browser here may show."""

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = (b"127.0.0.1", b"localhost")
READING = ("GET", "HEAD", "OPTIONS")


class CallerMiddleware:
    """ASGI middleware that refuses a request with a foreign Host, or with a foreign Origin if it changes something.

    Host: the name in a page's address may be made to mean this machine (DNS rebinding). It is checked where the request
    arrived on loopback; in a container, the person who runs it chooses the name. Origin: browsers send it with each
    request that may change something; a client without one is no page.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it with 403."""
        if scope["type"] == "lifespan" or not (why := _foreign(scope)):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # before it is accepted: uvicorn answers with 403
        else:
            await JSONResponse({"detail": why}, 403, {"connection": "close"})(scope, receive, send)


def _foreign(scope: Scope) -> str:
    """Why the caller is refused, or nothing."""
    host = origin = None
    for name, value in scope["headers"]:
        if name == b"host":
            host = value.lower()
        elif name == b"origin":
            origin = value.lower()
    on_loopback = scope["server"] and scope["server"][0].startswith("127.")
    if on_loopback and (not host or (host.rpartition(b":")[0] or host) not in LOOPBACK):
        return f"the header Host must be 127.0.0.1 or localhost, with the port; it is {host!r}"
    if origin not in (None, b"http://" + (host or b"")) and scope.get("method") not in READING:
        return f"only this server's own pages may do that, not those of {origin!r}"
    return ""
