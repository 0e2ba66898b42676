"""Serves a study to a room: it hands the page out, and stores each answer before it acknowledges it.

The server is Python's own `http.server`, because three routes and JSON of a few bytes need no framework. It serves only
the page, which it holds in memory; the key never leaves the server.
"""

import json
import sys
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from threading import Lock
from typing import Any

from benchmark.contracts.result import Record
from benchmark.study.hosts import refusal
from benchmark.study.schema import KEY_FILE, PAGE_FILE, Answer, Key, Posted, StudyError, Token, parse, read
from benchmark.study.store import AnswerStore, DuplicateError, StorageError
from benchmark.support.errors import BenchError, InputError

ANSWERS_FILE = "answers.sqlite"
MAX_BODY_BYTES = 4096
IDLE_SECONDS = 60  # time after which an idle connection is closed
WAITING = 256  # connections that the system queues; Python's default of 5 would reset those of a full room
RATE, BURST = 50, 500  # requests per second and at once from one address, which a hundred people may share
CLIENTS = 10_000  # number of addresses to remember


class StartRequest(Record):
    """The request of someone who opens the study or comes back."""

    study: Token
    participant: Token | None = None
    number: Posted | None = None


class AnswerRequest(Record):
    """The request that brings one answer."""

    study: Token
    participant: Token
    answer: Answer


class RefusedError(BenchError):
    """A request is refused."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class RateLimit:
    """A bucket of requests for each client, refilled at a steady rate. Safe to use from several threads."""

    def __init__(self, rate: float, burst: int) -> None:
        self.rate, self.burst = rate, burst
        self._buckets: dict[str, tuple[float, float]] = {}  # client → (requests left, time of that count)
        self._lock = Lock()

    def allows(self, client: str, now: float) -> bool:
        """Takes a request at time `now` (seconds) from the client's bucket; returns whether the limit allows it."""
        with self._lock:
            left, before = self._buckets.pop(client, (self.burst, now))
            left = min(self.burst, left + (now - before) * self.rate)
            self._buckets[client] = (left - 1 if left >= 1 else left, now)  # goes behind longer silent clients
            if len(self._buckets) > CLIENTS:
                del self._buckets[next(iter(self._buckets))]
            return left >= 1


class StudyServer(ThreadingHTTPServer):
    """The server of one study."""

    daemon_threads = True
    request_queue_size = WAITING

    def __init__(self, address: tuple[str, int], page: bytes, store: AnswerStore) -> None:
        """Binds the address.

        Raises:
            InputError: the address cannot be bound.
        """
        self.page = page
        self.store = store
        self.limit = RateLimit(RATE, BURST)
        try:
            super().__init__(address, Handler)
        except OSError as error:
            raise InputError(
                f"cannot serve on {address[0]}:{address[1]}: {error.strerror}; try another --port"
            ) from None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Shows an error, unless a window was closed in the middle of a reply, which is no error of ours."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        """The address to open in a browser."""
        return f"http://{self.server_address[0]!s}:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: StudyServer
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    server_version, sys_version = "colorbench", ""

    def do_GET(self) -> None:
        """Sends the page."""
        try:
            self._admit()
            if self.path.partition("?")[0] not in ("/", f"/{PAGE_FILE}"):
                raise RefusedError(HTTPStatus.NOT_FOUND, "there is only the page: /")
            self._send(HTTPStatus.OK, self.server.page, "text/html; charset=utf-8")
        except RefusedError as error:
            self.close_connection = True
            self._send_json(error.status, {"error": str(error)})

    def do_POST(self) -> None:
        """Handles a start or an answer."""
        try:
            self._admit()
            self._send_json(HTTPStatus.OK, self._act(self._body()))
        except RefusedError as error:
            self.close_connection = True  # the body may not have been read
            self._send_json(error.status, {"error": str(error)})
        except DuplicateError as error:
            self._send_json(HTTPStatus.CONFLICT, {"error": str(error)})
        except StorageError as error:  # the page will send it again
            self.close_connection = True
            self._send_json(HTTPStatus.SERVICE_UNAVAILABLE, {"error": str(error)})
        except StudyError as error:
            self._send_json(HTTPStatus.BAD_REQUEST, {"error": str(error)})

    def _act(self, body: bytes) -> dict[str, Any]:
        store = self.server.store
        if self.path == "/start":
            asked = parse(StartRequest, body, "the request")
            self._check_study(asked.study)
            return store.start(asked.participant, asked.number).model_dump(
                mode="json", by_alias=True, exclude_none=True
            )
        if self.path == "/answer":
            given = parse(AnswerRequest, body, "the request")
            self._check_study(given.study)
            store.add(given.participant, given.answer)
            return {"stored": given.answer.trial}
        raise RefusedError(HTTPStatus.NOT_FOUND, "there are only /start and /answer")

    def _check_study(self, study: str) -> None:
        if study != self.server.store.key.study:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "this is another study's page; reload it")

    def _admit(self) -> None:
        if not self.server.limit.allows(self.client_address[0], time.monotonic()):
            raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, "too many requests; wait a moment, then reload")
        bound = str(self.server.server_address[0])
        if reason := refusal(bound, self.headers.get("Host", ""), self.headers.get("Origin")):
            raise RefusedError(HTTPStatus.FORBIDDEN, reason)

    def _body(self) -> bytes:
        if self.headers.get_content_type() != "application/json":
            raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "application/json is wanted")
        length = self.headers.get("Content-Length", "")
        if not length:
            raise RefusedError(HTTPStatus.LENGTH_REQUIRED, "the header Content-Length is missing")
        if not (length.isascii() and length.isdigit()):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "Content-Length: a whole number of bytes is wanted")
        if len(length) > 9 or int(length) > MAX_BODY_BYTES:
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {MAX_BODY_BYTES} bytes")
        return self.rfile.read(int(length))

    def _send_json(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        self._send(status, json.dumps(content).encode(), "application/json")

    def _send(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Logs nothing: answers are in the file, and addresses are private."""


def open_server(folder: Path, answers: Path | None, host: str, port: int) -> StudyServer:
    """Makes a server for the study in `folder` that does not run yet.

    Args:
        folder: the folder that `bench study build` wrote.
        answers: the SQLite file, or None for one in the same folder.
        host: the IP address to listen on.
        port: the port, or 0 for any free one.

    Raises:
        InputError: the folder holds no study, or the address cannot be used.
        BenchError: the file of answers cannot be used.
    """
    try:
        ip_address(host)
    except ValueError:
        raise InputError(
            f"--host {host!r}: an IP address is wanted: 127.0.0.1, or 0.0.0.0 for the whole network"
        ) from None
    if not (folder / KEY_FILE).is_file():
        raise InputError(
            f"no study in {folder}: {KEY_FILE} is missing; make one: bench study build --data … -o {folder}"
        )
    key = read(Key, folder / KEY_FILE)
    try:
        page = (folder / PAGE_FILE).read_bytes()
    except OSError as error:
        raise InputError(f"{folder / PAGE_FILE}: {error.strerror}") from None
    if f'"id": "{key.study}"'.encode() not in page:
        raise InputError(f"{folder / PAGE_FILE} is not the page of {folder / KEY_FILE}")
    return StudyServer((host, port), page, AnswerStore(answers or folder / ANSWERS_FILE, key))


def serve(server: StudyServer) -> None:
    """Serves until Ctrl-C."""
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
        server.store.close()
