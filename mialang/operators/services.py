"""Services: models behind an HTTP endpoint that somebody else runs, asked in batches, within a rate, with patience and at a price."""

from __future__ import annotations

import hashlib
import json
import math
import os
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from email.message import Message
from http.client import HTTPException
from typing import Any, Protocol, Self
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from mialang.operators.artefacts import Array, Artefact
from mialang.operators.batches import Batch, joined, parts
from mialang.operators.errors import OperatorError
from mialang.operators.run import Json

AGAIN = (408, 425, 429, 500, 502, 503, 504)  # what a service says that may say something else a little later
NEVER_LEFT = (
    ConnectionRefusedError,
    socket.gaierror,
    ssl.SSLCertVerificationError,
)  # before anything of a request is sent
LARGEST = 2**28  # bytes of an answer that are read
LONGEST_WAIT = 300.0  # seconds between two attempts
SHOWN = 160  # characters of a service's own words that are shown


@dataclass(frozen=True)
class Connection:
    """How a service is reached (a term of kind `connection`).

    Attributes:
        url: where requests are sent.
        key: name of the environment variable that holds the secret sent as `Authorization: Bearer`; None = none is sent.
        batch: most inputs of a request.
        rate: most requests a minute, over all processes that share a store; None = as fast as it answers.
        timeout: seconds until an answer must be complete.
        attempts: how often a request is sent before the service counts as gone.
        wait: seconds before the second attempt; doubled before every further one.
        price: usd that a question costs.
        token_price: usd that a thousand tokens cost, sent and received together.
    """

    url: str
    key: str | None
    batch: int
    rate: int | None
    timeout: float
    attempts: int
    wait: float
    price: float
    token_price: float

    @property
    def place(self) -> str:
        """Host and port, for messages."""
        return urlsplit(self.url).netloc.rpartition("@")[2] or self.url

    @property
    def address(self) -> str:
        """The url for messages, without what may be secret in it: a name with a password, a query."""
        parts = urlsplit(self.url)
        return parts._replace(netloc=self.place, query="", fragment="").geturl()


def http(
    *,
    url: str,
    key: str | None,
    batch: int,
    rate: int | None,
    timeout: float,
    attempts: int,
    wait: float,
    price: float,
    token_price: float,
) -> Connection:
    """Describe a service over HTTP.

    Raises:
        OperatorError: the address is none of HTTP.
    """
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
        raise OperatorError(
            f"`{url}` is no address of HTTP", help="write for example `https://example.org/v1/embeddings`"
        )
    return Connection(url, key, batch, rate, timeout, attempts, wait, price, token_price)


class Account(Protocol):
    """Who pays for questions and writes down that they were asked. The engine supplies the class."""

    def turn(self, service: str, every: float) -> None:
        """Wait until the service may be asked again, if it may be asked once in so many seconds."""

    def charge(self, questions: int, usd: float) -> None:
        """Pay for a request, before it is sent. May refuse, and then nothing is charged and nothing sent."""

    def withdraw(self, questions: int) -> None:
        """Take back the last request, which never left."""

    def settle(self, usd: float) -> None:
        """Take back what was paid too much."""

    def record(self, entry: Mapping[str, Json], sent: bytes, received: bytes) -> None:
        """Write down a request."""


class Nobody:
    """Pays without counting and writes nothing down: for steps that run alone."""

    def __init__(self) -> None:
        self._next = 0.0

    def turn(self, service: str, every: float) -> None:  # noqa: ARG002 - one service is asked
        """Wait for the turn of this process."""
        now = time.monotonic()
        time.sleep(max(0.0, self._next - now))
        self._next = max(now, self._next) + every

    def charge(self, questions: int, usd: float) -> None:
        """Pay."""

    def withdraw(self, questions: int) -> None:
        """Take nothing back."""

    def settle(self, usd: float) -> None:
        """Take nothing back."""

    def record(self, entry: Mapping[str, Json], sent: bytes, received: bytes) -> None:
        """Write nothing down."""


@dataclass(frozen=True, eq=False)
class Service(Artefact, kind="service"):
    """A model that somebody else runs.

    Attributes:
        connection: how it is reached.
        natives: what it answers.
        form: how it is asked, a name in `FORMS`.
        model: its name there; empty where the address says it all.
        request: the request as JSON, with `"$inputs"` (or `"$input"`, one at a time), `"$pictures"` or `"$picture"` (PNG in base 64), and `"$model"`.
        answer: where the answers lie in what comes back, as `data[].embedding`.
        classes: class ids by column; empty for what is no classifier.
        shape: of one input; empty where it is a string.
        account: who pays.
    """

    connection: Connection
    natives: tuple[str, ...]
    form: str
    model: str
    request: str = ""
    answer_path: str = ""
    classes: tuple[int, ...] = ()
    shape: tuple[int, ...] = ()
    account: Account = field(default_factory=Nobody, repr=False)

    @property
    def identity(self) -> str:
        """Hash of all that is known to decide its answers; what the service changes behind its address is not known."""
        told = [self.connection.url, self.form, self.model, self.request, self.answer_path, *self.natives]
        return hashlib.blake2b(json.dumps(told).encode(), digest_size=16).hexdigest()

    @property
    def many(self) -> bool:
        """Whether a request holds a list of inputs, and not one input."""
        return '"$input"' not in self.request and '"$picture"' not in self.request

    def connect(self, account: Account) -> Self:
        """Return the same service, paid for by somebody."""
        return replace(self, account=account)

    def answer(self, name: str, x: Batch, **size: Any) -> Batch:
        """Answer a batch of n inputs, request by request.

        Raises:
            OperatorError: the service does not answer, or answers what it should not.
        """
        if name not in self.natives:
            raise OperatorError(
                f"this service has no observable `{name}`", help=f"it answers {', '.join(self.natives)}"
            )
        ask = FORMS[self.form]
        most = self.connection.batch if self.many else 1
        made = [ask(self, name, part, size) for part in parts(x, most)]
        return joined(made) if made else ask(self, name, x, size)

    def exchange(self, body: Json, n: int, name: str, tokens: int = 0) -> Json:
        """Send a request and return what comes back.

        Args:
            body: the request.
            n: how many inputs it asks about.
            name: the observable.
            tokens: most tokens that it makes the service write.
        """
        return exchanged(self.connection, self.account, body, n, name, tokens)

    def arrays(self) -> dict[str, Array]:
        """Return nothing: the weights are elsewhere."""
        return {}

    def facts(self) -> dict[str, Json]:
        """Return everything but who pays. The key is a name, not the secret."""
        return {
            "connection": asdict(self.connection),
            "natives": list(self.natives),
            "form": self.form,
            "model": self.model,
            "request": self.request,
            "answer_path": self.answer_path,
            "classes": list(self.classes),
            "shape": list(self.shape),
        }

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], facts: Mapping[str, Json]) -> Self:
        """Rebuild from the plain form."""
        del arrays
        tuples = {name: tuple(facts[name]) for name in ("natives", "classes", "shape")}
        return cls(**{**facts, **tuples, "connection": Connection(**facts["connection"])})


Form = Callable[[Service, str, Batch, Mapping[str, Any]], Batch]
FORMS: dict[str, Form] = {}


def form(name: str) -> Callable[[Form], Form]:
    """Register a function that asks a service in one way, under the name of the way."""

    def register(function: Form) -> Form:
        FORMS[name] = function
        return function

    return register


# -- one request ---------------------------------------------------------------------------------------------------


class _Stay(HTTPRedirectHandler):
    """Follows nobody elsewhere: the secret is for the address that the spec names."""

    def redirect_request(self, *_: Any) -> None:
        """Stay."""
        return


OPENER = build_opener(_Stay)


@dataclass(frozen=True)
class _Reply:
    status: int
    data: bytes
    after: float


class _NeverLeftError(Exception):
    """A request that was not sent, for sure: there was nobody to send it to."""


def exchanged(connection: Connection, account: Account, body: Json, n: int, name: str, tokens: int = 0) -> Json:
    """Send a request, again where the service is busy or broken, and return what comes back as JSON.

    Every attempt is paid before it is made, answered or not, at the price of the most tokens that it can cost (a token is a
    byte at least); what an answer says that it cost less is taken back, and so is an attempt that never left.

    Raises:
        OperatorError: the service does not answer, refuses, or answers what is no JSON.
    """
    headers = _headers(connection)  # whoever lacks the key pays nothing
    sent = json.dumps(body).encode()
    most = connection.price * n + connection.token_price * (len(sent) + tokens) / 1000
    why = ""
    for attempt in range(connection.attempts):
        if connection.rate:
            account.turn(connection.url, 60.0 / connection.rate)
        try:
            account.charge(n, most)
        except OperatorError as problem:
            if not why:
                raise
            note = f"the service at {connection.address} was to be asked again, since {why}; {problem.note}"
            raise type(problem)(problem.title, note=note, help=problem.help) from problem
        began = time.monotonic()
        reply: _Reply | None = None
        try:
            reply, why = _sent(connection, sent, headers)
        except _NeverLeftError as problem:
            account.withdraw(n)
            why = str(problem)
        received = reply.data if reply else b""
        entry = {"observable": name, "inputs": n, "attempt": attempt + 1, "status": reply.status if reply else None,
                 "seconds": round(time.monotonic() - began, 3), "why": why}  # fmt: skip
        account.record(entry, sent, received)
        if reply is not None and reply.status == 200:
            return _read(connection, account, received, most, n)
        if reply is not None and reply.status not in AGAIN:
            raise _refused(connection, reply)
        if attempt + 1 < connection.attempts:
            time.sleep(min(LONGEST_WAIT, max(reply.after if reply else 0.0, connection.wait * 2**attempt)))
    times = "once" if connection.attempts == 1 else f"{connection.attempts} times"
    raise OperatorError(
        f"the service at {connection.address} does not answer: {why}",
        note=f"it was asked {times}, with longer and longer pauses",
        help="look whether it runs; raise `attempts`, `wait` or `timeout`, or lower `rate` or `batch`",
    )


def _headers(connection: Connection) -> dict[str, str]:
    found = {"Content-Type": "application/json", "Accept": "application/json"}
    return {**found, "Authorization": f"Bearer {_secret(connection.key)}"} if connection.key else found


def _sent(connection: Connection, sent: bytes, headers: Mapping[str, str]) -> tuple[_Reply | None, str]:
    """One attempt: what came back, and in words why that is no answer.

    Raises:
        _NeverLeftError: it cannot have been received.
    """
    request = Request(connection.url, sent, dict(headers))  # noqa: S310 - checked by `http`
    end = time.monotonic() + connection.timeout
    try:
        with OPENER.open(request, timeout=connection.timeout) as answer:
            return _Reply(answer.status, _whole(answer, end), 0.0), ""
    except HTTPError as problem:
        with problem:
            reply = _Reply(problem.code, _whole(problem, end), _after(problem.headers))
        said = _said(reply.data)
        return reply, f"it says {problem.code} {problem.reason}" + (f": {said}" if said else "")
    except TimeoutError:
        return None, f"it said nothing complete for {connection.timeout:g} s, its `timeout`"
    except URLError as problem:
        if isinstance(problem.reason, TimeoutError):
            return None, f"it said nothing complete for {connection.timeout:g} s, its `timeout`"
        why = f"no connection: {getattr(problem.reason, 'strerror', None) or problem.reason}"
        if isinstance(problem.reason, NEVER_LEFT):
            raise _NeverLeftError(why) from problem
        return None, why
    except (OSError, HTTPException) as problem:
        return None, f"the connection broke: {problem or type(problem).__name__}"


def _whole(answer: Any, end: float) -> bytes:
    """What comes, until it ends; a service that sends a byte now and then is out of time all the same."""
    found = bytearray()
    while True:
        if time.monotonic() > end:
            raise TimeoutError
        part = answer.read1(2**16) if hasattr(answer, "read1") else answer.read(2**16)
        if not part:
            return bytes(found)
        found += part
        if len(found) > LARGEST:
            raise OperatorError(f"a service answers with more than {LARGEST:,} bytes", help="lower `batch`")


def _secret(name: str) -> str:
    found = os.environ.get(name)
    if not found:
        raise OperatorError(
            f"the environment variable `{name}` is not set", note="it should hold the key of the service",
            help=f"set it before the run: export {name}=…",
        )  # fmt: skip
    return found


def _after(headers: Message | None) -> float:
    """How long a busy service asks to be left alone; 0 where it does not say."""
    text = str(headers.get("Retry-After", "")) if headers else ""
    return float(text) if text.isdigit() else 0.0


def _said(data: bytes) -> str:
    """The beginning of what a service says, as words that move no cursor."""
    text = " ".join(data[: 4 * SHOWN].decode(errors="replace").split())
    shown = "".join(each if each.isprintable() else "�" for each in text)
    return shown if len(shown) <= SHOWN else shown[: SHOWN - 1] + "…"


def _refused(connection: Connection, reply: _Reply) -> OperatorError:
    helps = {
        401: "set the environment variable that `key` names to a valid key",
        403: "ask whoever runs the service for access",
        404: "look at `url` and at the name of the model",
        413: "lower `batch`",
    }
    said = _said(reply.data)
    moved = " (it sends elsewhere, and nobody follows with a key)" if 300 <= reply.status < 400 else ""
    return OperatorError(
        f"the service at {connection.address} refuses: {reply.status}{moved}" + (f": {said}" if said else ""),
        help=helps.get(reply.status, "look at `request`, and at what the service expects"),
    )


def _read(connection: Connection, account: Account, received: bytes, paid: float, n: int) -> Json:
    try:
        found = json.loads(received)
    except ValueError as problem:
        raise OperatorError(
            f"the service at {connection.address} answers what is no JSON", note=f"it begins: {_said(received) or 'with nothing'}",
            help="look whether `url` is that of the interface, and not of a page",
        ) from problem  # fmt: skip
    usage = found.get("usage") if isinstance(found, dict) else None
    total = usage.get("total_tokens") if isinstance(usage, dict) else None
    if isinstance(total, int) and total >= 0:
        account.settle(max(0.0, paid - connection.price * n - connection.token_price * total / 1000))
    return found


# -- what comes back -----------------------------------------------------------------------------------------------


def found_at(answer: Json, path: str, connection: Connection) -> Json:
    """What lies at a path in an answer: names with dots between them, `[]` for every entry of a list.

    Raises:
        OperatorError: nothing lies there.
    """
    if not path:
        return answer
    head, _, rest = path.partition(".")
    name = head.removesuffix("[]")
    value = answer
    if name:
        if not isinstance(answer, dict) or name not in answer:
            here = (
                ", ".join(f"`{each}`" for each in list(answer)[:8])
                if isinstance(answer, dict)
                else f"a {type(answer).__name__}"
            )
            raise OperatorError(
                f"an answer of {connection.place} has no `{name}`", note=f"it has {here or 'nothing'}",
                help="look at `answer`, the path to what the service answers",
            )  # fmt: skip
        value = answer[name]
    if head.endswith("[]"):
        if not isinstance(value, list):
            raise OperatorError(
                f"`{name or 'an answer'}` of {connection.place} is no list", help="leave `[]` out of `answer`"
            )
        return [found_at(each, rest, connection) for each in value]
    return found_at(value, rest, connection)


def matched(found: Json, n: int, connection: Connection) -> list[Json]:
    """The answers of a request, one for each of n inputs.

    Raises:
        OperatorError: there are more, or fewer.
    """
    if not isinstance(found, list) or len(found) != n:
        count = f"{len(found)} answers" if isinstance(found, list) else "what is no list"
        raise OperatorError(f"{connection.place} gives {count} to {n} inputs", help="look at `answer` and `batch`")
    return found


def numbers(rows: Sequence[Json], width: int | None, connection: Connection) -> list[list[float]]:
    """Rows of finite numbers, all of one width.

    Raises:
        OperatorError: they are none.
    """
    for row in rows:
        fine = isinstance(row, list) and all(isinstance(each, int | float) and math.isfinite(each) for each in row)
        if not fine or len(row) != (width if width is not None else len(rows[0])):
            wanted = f"{width} finite numbers" if width is not None else "as many finite numbers as the others"
            raise OperatorError(
                f"an answer of {connection.place} is no row of {wanted}", note=f"it is {_said(json.dumps(row).encode())}",
                help="look at `answer`, and at the classes that the target names",
            )  # fmt: skip
    return list(rows)


def filled(request: str, values: Mapping[str, Json]) -> Json:
    """A request with values in place of the texts that name them.

    Raises:
        OperatorError: the request is no JSON.
    """
    try:
        tree = json.loads(request)
    except ValueError as problem:
        raise OperatorError(
            f"`request` is no JSON: {problem}", help='write for example `{"inputs": "$inputs"}`'
        ) from problem

    def put(part: Json) -> Json:
        if isinstance(part, dict):
            return {name: put(value) for name, value in part.items()}
        if isinstance(part, list):
            return [put(value) for value in part]
        return values.get(part, part) if isinstance(part, str) else part

    return put(tree)
