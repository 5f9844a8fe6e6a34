"""A service on this machine for tests: it classifies, embeds and writes, and is as difficult as it is asked to be."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = Any
WIDTH = 6


@dataclass
class Desk:
    """What a service was asked, and how it is to behave.

    Attributes:
        requests: bodies, in order.
        keys: what came as `Authorization`.
        times: when requests came.
        troubles: by number of the request, what goes wrong: a status, `hang`, `drip`, `garbage`, `close`, `elsewhere`.
        tokens: what it says that a request took.
    """

    url: str = ""
    requests: list[Json] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    troubles: dict[int, Any] = field(default_factory=dict)
    tokens: int | None = None

    @property
    def questions(self) -> int:
        """How many inputs came, answered or not."""
        return sum(len(each.get("inputs", each.get("input", each.get("prompt", [0])))) for each in self.requests)


def answer(path: str, body: Json) -> Json:
    """What the service answers when nothing goes wrong."""
    match path:
        case "/scores":
            rows = [_scores(each) for each in body["inputs"]]
            return {"scores": rows, "labels": [max(range(3), key=row.__getitem__) for row in rows]}
        case "/one":
            return {"result": {"scores": _scores(body["picture"])}}
        case "/embeddings":
            made = [{"index": place, "embedding": vector(text)} for place, text in enumerate(body["input"])]
            return {"data": made[::-1]}
        case "/completions":
            made = [{"index": place, "text": f"{prompt} and so on"} for place, prompt in enumerate(body["prompt"])]
            return {"choices": made}
    return {"error": {"message": "no such thing"}}


def _scores(row: Json) -> list[float]:
    total = sum(map(ord, json.dumps(row))) % 97
    raw = [1.0 + total % 3, 1.0 + total % 5, 1.0 + total % 7]
    return [each / sum(raw) for each in raw]


def vector(text: str) -> list[float]:
    """A vector that only depends on the letters of a text."""
    count = Counter(text.lower())
    return [1.0 + sum(count[letter] for letter in "abcdefghijklmnopqrstuvwxyz"[place::WIDTH]) for place in range(WIDTH)]


@contextmanager
def serving() -> Iterator[Desk]:  # noqa: C901 - a service and all its troubles
    """Serve on 127.0.0.1 until the block ends."""
    desk = Desk()
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            desk.requests.append(body)
            desk.keys.append(self.headers.get("Authorization"))
            desk.times.append(time.monotonic())
            self._behave(desk.troubles.get(len(desk.requests), desk.troubles.get(0)), body)

        def _behave(self, trouble: Any, body: Json) -> None:
            match trouble:
                case None:
                    made = answer(self.path, body)
                    if desk.tokens is not None:
                        made["usage"] = {"total_tokens": desk.tokens}
                    self._send(200, json.dumps(made).encode())
                case "hang":
                    over.wait(20)
                case "drip":
                    self.send_response(200)
                    self.send_header("Content-Length", "1000000")
                    self.end_headers()
                    while not over.wait(0.05):
                        self.wfile.write(b" ")
                case "garbage":
                    self._send(200, b"<html>\x1b[2J It works! </html>")
                case "close":
                    self.connection.close()
                case "elsewhere":
                    self._send(302, b"", {"Location": f"{desk.url}/scores"})
                case (int() as status, str() as after):
                    self._send(status, b'{"error":"later"}', {"Retry-After": after})
                case int():
                    self._send(trouble, b'{"error":{"message":"it is broken"}}')
                case _:
                    self._send(200, json.dumps(trouble).encode())

        def _send(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Keep silent."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """Keep silent where somebody hangs up."""

    server = Server(("127.0.0.1", 0), Handler)
    desk.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield desk
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def texts(*, count: int, run: Any) -> Any:
    """Some texts."""
    from mialang.operators.text.texts import Texts

    del run
    return Texts(tuple(f"text {number}" for number in range(count)))
