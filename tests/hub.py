"""A stand-in for the Hugging Face hub on the loopback address: what sending and fetching need of it."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = ".safetensors"  # files that the real hub takes apart from the commit


class Hub(ThreadingHTTPServer):
    """Repositories of files in memory."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.stored: dict[str, bytes] = {}  # SHA-256 → content of a large file
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        """The value for HF_ENDPOINT."""
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answers what is there, or sends a file."""
        self._answer()

    do_POST = do_PUT = do_HEAD = do_GET  # noqa: N815 - http.server wants these names

    def _answer(self) -> None:
        body = self._read_body()
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append(f"{self.command} {path}")
        match path.strip("/").split("/"):
            case ["api", "repos", "create"]:
                told = json.loads(body)
                name = f"{told['organization']}/{told['name']}" if told.get("organization") else told["name"]
                if name in self.server.repositories:
                    return self._json({"url": f"{self.server.url}/{name}"}, 409)
                self.server.repositories[name], self.server.private[name] = (
                    {},
                    told.get("visibility") == "private" or bool(told.get("private")),
                )
                return self._json({"url": f"{self.server.url}/{name}"})
            case ["api", "validate-yaml"]:
                return self._json({"errors": [], "warnings": []})
            case ["api", "models", owner, name, *rest] if f"{owner}/{name}" in self.server.repositories:
                return self._of_repository(f"{owner}/{name}", rest, body)
            case [owner, git, "info", "lfs", "objects", "batch"] if git.endswith(".git"):
                return self._large(json.loads(body))
            case ["stored", sha256] if self.command == "PUT":
                self.server.stored[sha256] = body
                return self._json({})
            case [owner, name, "resolve", _, *file] if "/".join(file) in self.server.repositories.get(
                f"{owner}/{name}", {}
            ):
                return self._file(self.server.repositories[f"{owner}/{name}"]["/".join(file)])
        return self._json({"error": "not found"}, 404, {"X-Error-Code": "RepoNotFound"})

    def _of_repository(self, name: str, rest: list[str], body: bytes) -> None:
        files = self.server.repositories[name]
        match rest:
            case ["preupload", _]:
                asked = json.loads(body)["files"]
                modes = {True: "lfs", False: "regular"}
                told = [
                    {"path": f["path"], "uploadMode": modes[f["path"].endswith(LARGE)], "shouldIgnore": False}
                    for f in asked
                ]
                return self._json({"files": told})
            case ["commit", _]:
                for line in map(json.loads, body.splitlines()):
                    value = line["value"]
                    if line["key"] == "file":
                        files[value["path"]] = base64.b64decode(value["content"])
                    elif line["key"] == "lfsFile":
                        files[value["path"]] = self.server.stored[value["oid"]]
                return self._json({"commitUrl": f"{self.server.url}/{name}/commit/{'0' * 40}", "commitOid": "0" * 40})
            case ["tree", *_]:
                return self._json(
                    [
                        {"type": "file", "path": path, "size": len(files[path]), "oid": _oid(files[path])}
                        for path in files
                    ]
                )
        listed = [{"rfilename": path} for path in files]
        return self._json({"id": name, "sha": "0" * 40, "siblings": listed, "private": self.server.private[name]})

    def _large(self, asked: dict[str, Any]) -> None:
        def told(one: dict[str, Any]) -> dict[str, Any]:
            action = {"upload": {"href": f"{self.server.url}/stored/{one['oid']}"}}
            return {**one, "authenticated": True, "actions": action}

        self._json({"transfer": "basic", "objects": [told(one) for one in asked["objects"]]})

    def _file(self, content: bytes) -> None:
        headers = {"ETag": f'"{_oid(content)}"', "X-Repo-Commit": "0" * 40, "Content-Type": "application/octet-stream"}
        self._send(200, content, headers)

    def _json(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(content).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def log_message(self, format: str, *args: Any) -> None:
        """Logs nothing."""


def _oid(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def hub() -> Iterator[Hub]:
    """Yields a running stand-in."""
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
