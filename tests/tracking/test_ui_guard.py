"""Who may see the UI: only who knows the token of its session."""

import asyncio

import pytest

from regbench.tracking.ui_guard import Guard

TOKEN = "r4nd0m-tOken_0123456789abcdef"


def ask(path="/", query="", *, method="GET", kind="http", port=5000, **headers):
    """Status, headers and body of an answer; ``(200, {}, b"served")`` where the request was passed on."""
    sent = []

    async def served(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"served"})

    async def send(message):
        sent.append(message)

    scope = {
        "type": kind,
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "server": ("127.0.0.1", port),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
    }
    asyncio.run(Guard(served, TOKEN)(scope, None, send))
    start, *rest = sent
    if start["type"] == "websocket.close":
        return start["code"], {}, b""
    return start["status"], dict(start["headers"]), rest[0]["body"]


PLACES = [
    "/",
    "/ajax-api/2.0/mlflow/runs/delete",
    "/api/2.0/mlflow/experiments/search",
    "/get-artifact",
    "/health/../x",
    "//health",
    "/healthz",
    "/static-files/x.js",
    "/graphql",
]


@pytest.mark.parametrize("path", PLACES)
@pytest.mark.parametrize(
    "known",
    [
        {},
        {"cookie": "regbench-ui-5000=no"},
        {"cookie": f"regbench-ui-5001={TOKEN}"},
        {"cookie": f"other={TOKEN}"},
        {"cookie": "=;;\x00"},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": f"Bearer {TOKEN[:-1]}"},
        {"authorization": "Bearer "},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": "Bearer \xe9"},
    ],
)
def test_nobody_without_it(path, known):
    for method in ("GET", "POST", "OPTIONS"):
        status, headers, body = ask(path, method=method, **known)
        assert (status, b"set-cookie" in headers) == (401, False)
        assert b"`regbench ui`" in body
        assert TOKEN.encode() not in body


@pytest.mark.parametrize("query", ["token=", "token=x", f"token={TOKEN}x", f"Token={TOKEN}", "token=%00", "token=%E9"])
def test_a_wrong_link(query):
    assert ask(query=query)[0] == 401


def test_a_link_becomes_a_cookie_and_loses_its_token():
    status, headers, body = ask("/", f"token={TOKEN}")
    assert (status, body) == (303, b"")
    assert headers[b"location"] == b"/"
    cookie = headers[b"set-cookie"].decode()
    assert cookie == f"regbench-ui-5000={TOKEN}; Path=/; HttpOnly; SameSite=Strict"
    assert headers[b"referrer-policy"] == b"no-referrer"
    assert ask("/", cookie=cookie.partition(";")[0])[2] == b"served"
    assert ask("/", cookie=f"a=b; {cookie.partition(';')[0]}; c=d")[2] == b"served"


@pytest.mark.parametrize(
    ("path", "query", "place"),
    [
        ("/x", f"a=1&token={TOKEN}&b=%26", b"/x?a=1&b=%26"),
        ("//evil.org/x", f"token={TOKEN}", b"/evil.org/x"),
        ("/\\evil.org", f"token={TOKEN}", b"/evil.org"),
        ("/a\r\nset-cookie: b=c", f"token={TOKEN}", b"/a%0D%0Aset-cookie%3A%20b%3Dc"),
    ],
)
def test_a_link_leads_nowhere_else(path, query, place):
    status, headers, _ = ask(path, query)
    assert (status, headers[b"location"]) == (303, place)


def test_a_link_only_shows():
    assert ask(query=f"token={TOKEN}", method="POST")[0] == 401


def test_programs_and_the_look_whether_it_runs():
    assert ask("/api", authorization=f"Bearer {TOKEN}")[2] == b"served"
    assert ask("/health")[2] == b"served"
    assert ask("/", kind="lifespan")[2] == b"served"
    assert ask("/", kind="websocket") == (1008, {}, b"")
