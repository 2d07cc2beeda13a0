"""The two servers: the hub itself, and the second origin ("CDN") that it sends large files' readers to."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.hub_server.answers import Handler
from tests.hub_server.faults import Fault, Rule, Rules
from tests.hub_server.record import Record
from tests.hub_server.repositories import Repository, made_up, read_repositories


@dataclass
class Gate:
    """A repository whose files need a token, and whether its owner was let in."""

    token: str
    approved: bool


class HubServer:
    """Serves a folder of repositories. A context manager; `stop` and `start` are the network going and coming back."""

    def __init__(self, folder: Path, *, port: int = 0, extra_repositories: int = 0, user: str = "someone") -> None:
        self.folder = folder
        self.user = user
        self.requests: list[Record] = []
        self.rules = Rules()
        self.gates: dict[str, Gate] = {}
        self.released = threading.Event()
        """Set at the end: whoever stalls goes home."""
        self._made_up = made_up(extra_repositories)
        self._ports = {"hub": port, "cdn": port + 1 if port else 0}
        self._servers: dict[str, _Server] = {}

    def __enter__(self) -> HubServer:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, t: TracebackType | None) -> None:
        self.stop()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._ports['hub']}"

    @property
    def cdn(self) -> str:
        return f"http://127.0.0.1:{self._ports['cdn']}"

    @property
    def bytes_sent(self) -> int:
        return sum(record.bytes_sent for record in self.requests)

    @property
    def repositories(self) -> dict[str, Repository]:
        return read_repositories(self.folder) | self._made_up

    def start(self) -> None:
        """Listen, on the ports of before if it is not the first time."""
        self.released.clear()
        for name in ("hub", "cdn"):
            server = _Server(("127.0.0.1", self._ports[name]), self, name)
            self._ports[name] = server.server_address[1]
            self._servers[name] = server
            server.thread.start()

    def stop(self) -> None:
        """Cut all connections and listen no more."""
        self.released.set()
        for server in self._servers.values():
            server.end()
        self._servers.clear()

    def add_fault(self, fault: Fault, *, at: float = 0.5, path: str = "*", times: int = 1, **more: Any) -> None:
        self.rules.add(Rule(fault, at, path, times=times, **more))

    def clear_faults(self) -> None:
        self.rules.clear()

    def gate(self, repository: str, token: str = "hf_secret", approved: bool = True) -> None:
        """From now on the files need this token, and without `approved` answer 403 to it."""
        self.gates[repository] = Gate(token, approved)

    def touch(self, repository: str, path: str, content: bytes) -> None:
        """Another content, and with it another commit."""
        file = self.folder / repository / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # so that the end waits for them
    allow_reuse_address = True
    block_on_close = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], hub: HubServer, name: str) -> None:
        self.hub, self.name = hub, name
        self._open: set[socket.socket] = set()
        super().__init__(address, Handler)
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,), name=f"hub-server-{name}")

    def end(self) -> None:
        self.shutdown()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()
        self.thread.join()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that hangs up is no error here."""
