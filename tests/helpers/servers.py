"""HTTP servers on loopback that fail as real ones do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

QUICK = {"pause_seconds": 0.001, "timeout_seconds": 5.0}


class Server:
    """Serves a folder on loopback; ``fault(name, number)`` may spoil the given request for a file (counted from 0)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[tuple[str, str | None]] = []
        self.fault: Callable[[str, int], str | None] = lambda name, number: None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.rsplit("/", 1)[-1]
                asked = self.headers.get("Range")
                fault = outer.fault(name, sum(seen == name for seen, _ in outer.requests))
                outer.requests.append((name, asked))
                path = outer.folder / name
                if fault is not None and fault.isdecimal():
                    self.send_error(int(fault))
                    return
                if not path.is_file():
                    self.send_error(404)
                    return
                body = path.read_bytes()
                start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
                if fault == "no ranges":
                    start = 0
                if start and start >= len(body):
                    self.send_error(416)
                    return
                self.send_response(206 if start else 200)
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
                body = body[start:]
                if fault == "other bytes":
                    body = body[:100] + bytes(50) + body[150:]
                if fault == "endless":
                    body += bytes(1 << 16)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if fault == "cut" else body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/data/shards"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def count(self, name: str) -> int:
        return sum(seen == name for seen, _ in self.requests)
