"""The study's server answers any bytes in HTTP or closes the line, raises nothing, and goes on."""

import json
import random
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import pytest
from fuzzing import NUMBERS, TEXTS, cases, fuzzer, mutated, watched
from study_data import make_key

from benchmark.study.schema import KEY_FILE, PAGE_FILE, write
from benchmark.study.serve import RateLimit, StudyServer, open_server

VALUES: tuple[Any, ...] = (*TEXTS, *NUMBERS, None, True, [], {}, 0.5, {"trial": 0, "choice": 0, "milliseconds": 1})


def request(study: str, participant: str, rng: random.Random) -> bytes:
    """Returns one request, changed in its values, its headers or its bytes."""
    answer: dict[str, Any] = {"trial": rng.randrange(12), "choice": rng.randrange(3), "milliseconds": 700}
    if rng.random() < 0.5:
        answer[rng.choice((*answer, "realism", "extra"))] = rng.choice(VALUES)
    body: dict[str, Any] = {"study": study, "participant": participant, "answer": answer}
    if rng.random() < 0.3:
        body[rng.choice((*body, "number"))] = rng.choice(VALUES)
    data = json.dumps(body).encode()
    headers = {"Host": "localhost", "Content-Type": "application/json", "Content-Length": str(len(data))}
    if rng.random() < 0.3:
        headers[rng.choice((*headers, "Origin", "Transfer-Encoding"))] = str(rng.choice(VALUES))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    path = rng.choice(("/answer", "/answer", "/start", "/", "/key.json", rng.choice(TEXTS)))
    whole = f"{rng.choice(('POST', 'POST', 'GET', 'PUT'))} {path} HTTP/1.1\r\n{lines}\r\n".encode() + data
    return mutated(whole, rng) if rng.random() < 0.3 else whole


def send(port: int, data: bytes) -> bytes:
    """Sends bytes and returns the reply until the line is closed."""
    reply = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                reply += part
        except OSError:  # a server that has hung up gives ENOTCONN, which is no ConnectionError
            pass
    return reply


@fuzzer
def test_the_server_answers_or_hangs_up_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = make_key()
    (tmp_path / PAGE_FILE).write_bytes(f'"id": "{key.study}"'.encode())
    write(key, tmp_path / KEY_FILE)
    server = open_server(tmp_path, None, "127.0.0.1", 0)
    server.limit = RateLimit(1e9, 10**9)
    failed: list[str] = []
    participant = ""
    told = StudyServer.handle_error

    def handle_error(self: StudyServer, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            failed.append(traceback.format_exc())
        told(self, request, client_address)

    monkeypatch.setattr(StudyServer, "handle_error", handle_error)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        for case, rng in cases("posts"):
            if case % 50 == 0 or not participant:  # a new participant has unanswered trials
                participant = server.store.start(None, rng.choice((None, 3))).participant
            data = request(key.study, participant, rng)
            with watched("posts", case, data):
                reply = send(server.server_port, data)
                assert not reply or reply.startswith((b"HTTP/1.1 ", b"{", b"<", b'"id"')), reply
                assert not failed, failed[0]
        assert send(server.server_port, b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").startswith(
            b"HTTP/1.1 200"
        )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        server.store.close()
