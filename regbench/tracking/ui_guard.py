"""MLflow's server, for those who know the token of the session: every local user can reach a port of 127.0.0.1.

`regbench ui` starts it by ``mlflow server --app-name regbench``, an entry point in pyproject.toml. The link that the
verb prints holds the token; the first page turns it into a cookie. A program sends it as ``MLFLOW_TRACKING_TOKEN``.
"""

import hmac
import os
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

Scope = MutableMapping[str, Any]  # of ASGI, as are the messages
Send = Callable[[Scope], Awaitable[None]]
Application = Callable[[Scope, Callable[[], Awaitable[Scope]], Send], Awaitable[None]]

TOKEN = "REGBENCH_UI_TOKEN"
ASKED = "token"  # in a link
OPEN = "/health"  # says that the server runs, and nothing else
REFUSED = b"Open the link that `regbench ui` printed: it holds the token of its session.\n"


class Guard:
    """An ASGI application that lets nobody through without the token."""

    def __init__(self, served: Application, token: str) -> None:
        self.served, self.token = served, token.encode()

    async def __call__(self, scope: Scope, receive: Callable[[], Awaitable[Scope]], send: Send) -> None:
        """Pass on, turn a link's token into a cookie, or refuse."""
        if scope["type"] == "lifespan" or self._known(scope):
            await self.served(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif (place := self._linked(scope)) is not None:
            cookie = f"{_cookie(scope)}={self.token.decode()}; Path=/; HttpOnly; SameSite=Strict"
            await _answer(send, 303, b"", location=place, set_cookie=cookie)
        else:
            await _answer(send, 401, REFUSED, content_type="text/plain; charset=utf-8")

    def _known(self, scope: Scope) -> bool:
        if scope["type"] == "http" and scope["path"] == OPEN:
            return True
        headers = {name.lower(): value.decode("latin-1") for name, value in scope.get("headers", ())}
        kind, _, given = headers.get(b"authorization", "").partition(" ")
        if kind.lower() == "bearer" and self._is(given.strip()):
            return True
        try:
            cookie = SimpleCookie(headers.get(b"cookie", "")).get(_cookie(scope))
        except CookieError:
            return False
        return cookie is not None and self._is(cookie.value)

    def _linked(self, scope: Scope) -> str | None:
        """Where a link with the right token leads without it; None for any other."""
        query = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        if scope.get("method") != "GET" or not any(name == ASKED and self._is(value) for name, value in query):
            return None
        rest = urlencode([(name, value) for name, value in query if name != ASKED])
        # One slash, for two would be another host; quoted, for a line break would be another header.
        return "/" + quote(str(scope["path"]).lstrip("/\\")) + (f"?{rest}" if rest else "")

    def _is(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self.token)


def _cookie(scope: Scope) -> str:
    """Its name: cookies of one host are shared by all its ports, where other sessions may run."""
    return f"regbench-ui-{(scope.get('server') or ('', 0))[1]}"


async def _answer(send: Send, status: int, body: bytes, **headers: str) -> None:
    named = [(name.replace("_", "-").encode(), value.encode("latin-1", "ignore")) for name, value in headers.items()]
    named += [(b"cache-control", b"no-store"), (b"referrer-policy", b"no-referrer")]
    await send({"type": "http.response.start", "status": status, "headers": named})
    await send({"type": "http.response.body", "body": body})


def app() -> Guard:
    """MLflow's own application behind the guard; uvicorn calls this.

    Raises:
        KeyError: without a token in the environment.
    """
    from mlflow.server.fastapi_app import app as served  # noqa: PLC0415  all of MLflow

    return Guard(served, os.environ[TOKEN])
