"""A small model hub on this machine: the part of the real one's interface that downloads use, with its checksums."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef" * 2 + "01234567"
LARGE = (".safetensors", ".bin")
"""Large files: known by their sha256, and served from another host. The others are known as git knows them."""


class Hub:
    """Repositories ("models/org/name" and "datasets/org/name") with their files at one commit, and its moods."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        self.gated: set[str] = set()
        self.wrong: dict[str, bytes] = {}
        """Bytes that are served under a file's name in place of its own."""
        self.cuts: dict[str, int] = {}
        """How often a file's transfer breaks off half-way."""
        self.log: list[str] = []
        self.url = ""

    def add(self, repo: str, folder: Path) -> None:
        found = (path for path in sorted(folder.rglob("*")) if path.is_file())
        self.files[repo] = {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}

    def gets(self) -> list[str]:
        """Names of the files whose bytes were asked for."""
        return [line.rsplit("/", 1)[1] for line in self.log if line.startswith("GET") and "/api/" not in line]


def checksum(name: str, data: bytes) -> str:
    if name.endswith(LARGE):
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def tree_entry(name: str, data: bytes) -> dict[str, Any]:
    known = checksum(name, data)
    large = {"lfs": {"oid": known, "size": len(data), "pointerSize": 130}} if name.endswith(LARGE) else {}
    return {"type": "file", "path": name, "size": len(data), "oid": known[:40], **large}


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """The hub at `hub.url`, until the block ends; after that nothing answers there."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            hub.log.append(f"{self.command} {self.path}")

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            parts = unquote(urlsplit(self.path).path).strip("/").split("/")
            listing = parts[0] == "api"
            parts = parts[1:] if listing or parts[0] == "large" else parts
            parts = parts if parts[0] in ("models", "datasets") else ["models", *parts]
            repo, verb, commit, name = "/".join(parts[:3]), parts[3], parts[4], "/".join(parts[5:])
            files = hub.files.get(repo)
            if files is None:
                return self.say(401, {"X-Error-Code": "RepoNotFound"})
            if commit != COMMIT:
                return self.say(404, {"X-Error-Code": "RevisionNotFound"})
            if listing:
                assert verb == "tree", self.path
                return self.say(200, {}, json.dumps([tree_entry(*item) for item in files.items()]).encode())
            if repo in hub.gated:
                return self.say(403, {"X-Error-Code": "GatedRepo"})
            return self.give(name, files[name])

        def give(self, name: str, data: bytes) -> None:
            known = {"X-Repo-Commit": COMMIT, "ETag": f'"{checksum(name, data)}"'}
            if name.endswith(LARGE) and not self.path.startswith("/large/"):
                at = f"http://localhost:{self.server.server_address[1]}/large{self.path}"
                linked = {"X-Linked-Etag": f'"{checksum(name, data)}"', "X-Linked-Size": str(len(data))}
                return self.say(302, known | linked | {"Location": at})
            data = hub.wrong.get(name, data)
            start = int(self.headers.get("Range", "bytes=0-").split("=")[1].split("-")[0])
            code, part = (206, data[start:]) if start else (200, data)
            if self.command == "GET" and hub.cuts.get(name, 0) > 0:
                hub.cuts[name] -= 1
                self.close_connection = True
                return self.say(code, known, part[: len(part) // 2], length=len(part))
            return self.say(code, known, part)

        def say(self, code: int, headers: dict[str, str], body: bytes = b"", length: int | None = None) -> None:
            self.send_response(code)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
