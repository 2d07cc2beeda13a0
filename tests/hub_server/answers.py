"""What is answered to each request. Source: huggingface_hub 2.4.0, which must be able to work with it."""

from __future__ import annotations

import email.utils
import hashlib
import json
import re
import socket
import struct
import time
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from tests.hub_server import faults
from tests.hub_server.faults import HOSTILE, Fault, Rule
from tests.hub_server.record import Record
from tests.hub_server.repositories import File, Repository

if TYPE_CHECKING:
    from tests.hub_server.server import HubServer

_CHUNK = 1 << 18
_SIGNED_S = 3600
_RESOLVE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
_MODEL = re.compile(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree|paths-info)/([^/]+)(?:/(.*))?)?")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


class Handler(BaseHTTPRequestHandler):
    """One connection to one of the two servers."""

    protocol_version = "HTTP/1.1"
    server: Any
    disable_nagle_algorithm = True

    @property
    def hub(self) -> HubServer:
        return self.server.hub

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: `HubServer.requests` has it."""

    # which answer

    def _answer(self) -> None:
        self._record = self._new_record()
        self._body_in = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            rule = self.hub.rules.take(faults.WHOLE_ANSWER, self.server.name, urlsplit(self.path).path)
            if rule is not None:
                self._refuse(rule)
            elif self.server.name == "cdn":
                self._cdn()
            else:
                self._route()
        except (BrokenPipeError, ConnectionError):
            self.close_connection = True

    def _new_record(self) -> Record:
        headers = {name.lower(): value for name, value in self.headers.items()}
        record = Record(self.server.name, self.command, self.path, headers)
        self.hub.requests.append(record)
        return record

    def _refuse(self, rule: Rule) -> None:
        if rule.fault is Fault.NO_ANSWER:
            self._stall()
        elif rule.fault is Fault.TOO_MANY:
            self._error(429, "Too many requests", **{"Retry-After": str(rule.retry_after_s)})
        elif rule.fault is Fault.HTML:
            self._send(200, b"<html><body>Log in to the hotel's network</body></html>", {"Content-Type": "text/html"})
        else:
            code = {Fault.UNAVAILABLE: 503, Fault.FORBIDDEN: 403, Fault.UNAUTHORIZED: 401}[rule.fault]
            self._error(code, "Refused on purpose")

    def _route(self) -> None:
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), parse_qs(parts.query)
        if path == "/api/models":
            self._search(query)
        elif path == "/api/whoami-v2":
            self._whoami()
        elif match := _RESOLVE.fullmatch(path):
            self._resolve(*match.groups())
        elif match := _MODEL.fullmatch(path):
            self._model(match, query)
        else:
            self._error(404, "Not found", **{"X-Error-Code": "EntryNotFound"})

    # the interface for programs

    def _search(self, query: dict[str, list[str]]) -> None:
        def one(name: str, default: str = "") -> str:
            return query.get(name, [default])[0]

        words, author = one("search").lower(), one("author").lower()
        filters = {tag for value in query.get("filter", []) for tag in value.split(",")}
        sort, limit, start = one("sort", "trendingScore"), int(one("limit", "100")), int(one("cursor", "0"))
        found = []
        for repository in self.hub.repositories.values():
            row = repository.information(full=False)
            if words in row["id"].lower() and author in ("", row["author"].lower()) and filters <= set(row["tags"]):
                found.append(row)
        found.sort(key=lambda row: row.get(sort) or 0, reverse=True)
        headers = {}
        if start + limit < len(found):
            following = [(k, v) for k, values in query.items() if k != "cursor" for v in values]
            following.append(("cursor", str(start + limit)))
            headers["Link"] = f'<{self.hub.endpoint}/api/models?{urlencode(following)}>; rel="next"'
        self._json(found[start : start + limit], headers)

    def _whoami(self) -> None:
        token = self._token()
        if any(token == gate.token for gate in self.hub.gates.values()):
            self._json({"name": self.hub.user, "type": "user", "auth": {"type": "access_token"}, "orgs": []})
        else:
            self._error(401, "Invalid username or password.")

    def _model(self, match: re.Match[str], query: dict[str, list[str]]) -> None:
        repository = self._repository(match[1], match[3] or "main")
        if repository is None:
            return
        if match[2] == "tree":
            self._json([*self._listing(repository, [file.entry() for file in repository.files.values()], "path")])
        elif match[2] == "paths-info":
            wanted = parse_qs(self._body_in.decode()).get("paths") or json.loads(self._body_in or b"{}").get("paths")
            self._json([file.entry() for path, file in repository.files.items() if path in (wanted or [])])
        else:
            row = repository.information(full=True)
            row["siblings"] = self._listing(repository, row["siblings"], "rfilename")
            self._json(row)

    def _listing(self, repository: Repository, entries: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
        rule = self.hub.rules.take(frozenset({Fault.HOSTILE_NAMES}), "hub", urlsplit(self.path).path)
        wrong = self.hub.rules.take(frozenset({Fault.WRONG_SIZE}), "hub", urlsplit(self.path).path)
        if rule is not None:
            model = next((e for e in entries if str(e[key]).endswith(".gguf")), None) or {"size": 100, "oid": "0" * 40}
            entries = [*entries, *({**model, key: name} for name in HOSTILE)]
        if wrong is not None:
            entries = [{**entry, "size": entry["size"] + 1000} for entry in entries]
        return entries

    def _repository(self, identity: str, revision: str) -> Repository | None:
        repository = self.hub.repositories.get(identity)
        if repository is None:
            self._error(404, "Repository not found", **{"X-Error-Code": "RepoNotFound"})
        elif revision not in ("main", repository.commit):
            self._error(404, "Invalid rev id", **{"X-Error-Code": "RevisionNotFound"})
        else:
            return repository
        return None

    # files

    def _resolve(self, identity: str, revision: str, path: str) -> None:
        repository = self._repository(identity, revision)
        if repository is None or not self._is_let_in(identity, path):
            return
        file = repository.files.get(path)
        if file is None:
            self._error(404, "Entry not found", **{"X-Error-Code": "EntryNotFound"})
            return
        headers = {"X-Repo-Commit": repository.commit, "ETag": f'"{file.git_sha1}"', "Accept-Ranges": "bytes"}
        if self._take(Fault.RENAMED) and "?" not in self.path:
            self._send(307, b"", {"Location": f"{self.hub.endpoint}{self.path}?renamed=1"})
            return
        if self._take(Fault.NO_CHECKSUM):
            del headers["ETag"]
            self._file(file, headers)
        elif file.is_lfs:
            wrong = self._take(Fault.WRONG_SIZE)
            size = file.size + (wrong.by if wrong else 0)
            headers |= {"X-Linked-Size": str(size), "X-Linked-Etag": f'"{file.sha256}"', "ETag": f'"{file.sha256}"'}
            self._send(302, b"", headers | {"Location": self._signed(identity, path)})
        else:
            self._file(file, headers)

    def _take(self, fault: Fault) -> Rule | None:
        return self.hub.rules.take(frozenset({fault}), "hub", urlsplit(self.path).path)

    def _is_let_in(self, identity: str, path: str) -> bool:
        gate = self.hub.gates.get(identity)
        if gate is None or path == "README.md" or (gate.approved and self._token() == gate.token):
            return True
        code = 403 if self._token() == gate.token else 401
        words = f"Access to model {identity} is restricted."
        self._error(code, words, **{"X-Error-Code": "GatedRepo"})
        return False

    def _token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def _signed(self, identity: str, path: str) -> str:
        until = str(int(time.time()) + _SIGNED_S)
        return f"{self.hub.cdn}/{identity}/{quote(path)}?" + urlencode({"until": until, "sign": _sign(path, until)})

    def _cdn(self) -> None:
        parts = urlsplit(self.path)
        owner, name, path = unquote(parts.path).lstrip("/").split("/", 2)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        expired = int(query.get("until", "0")) < time.time() or query.get("sign") != _sign(path, query.get("until", ""))
        file = self.hub.repositories[f"{owner}/{name}"].files.get(path)
        if expired or file is None:
            self._error(403, "The address has expired")
        elif "Authorization" in self.headers:
            self._error(400, "A token was sent to a host that is not the hub")
        else:
            self._file(file, {"ETag": f'"{file.sha256}"', "Accept-Ranges": "bytes"})

    def _file(self, file: File, headers: dict[str, str]) -> None:
        path = urlsplit(self.path).path
        rule = None if self.command == "HEAD" else self.hub.rules.take(faults.IN_BODY, self.server.name, path)
        size, start, end, status = file.size, 0, file.size, 200
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        if asked and not (rule and rule.fault in (Fault.IGNORE_RANGE, Fault.NO_RANGES)):
            start, status = int(asked[1]), 206
            end = min(int(asked[2]) + 1 if asked[2] else size, size)
            if start >= size:
                self._send(416, b"", {"Content-Range": f"bytes */{size}"})
                return
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        self._body(file, start, end, status, headers, rule)

    def _body(self, file: File, start: int, end: int, status: int, headers: dict[str, str], rule: Rule | None) -> None:
        fault, place = (rule.fault, min(int(file.size * rule.at), file.size - 1)) if rule else (None, end)
        place = max(place, start)
        length = end - start
        if fault is Fault.TRUNCATE:
            length = place - start
        elif fault is Fault.EXTEND:
            length += 1000
        self._head(status, {"Content-Length": str(length), "Content-Type": "application/octet-stream"} | headers)
        if self.command == "HEAD":
            return
        with file.on_disk.open("rb") as source:
            source.seek(start)
            if fault in (None, Fault.IGNORE_RANGE):
                self._copy(source, end - start)
                return
            self._copy(source, min(place, end) - start)
            self._go_wrong(fault, source, end - min(place, end))

    def _go_wrong(self, fault: Fault | None, source: Any, left: int) -> None:
        if fault is Fault.CORRUPT:
            byte = source.read(1)
            self._write(bytes([byte[0] ^ 1]) if byte else b"")
            self._copy(source, left - 1)
        elif fault is Fault.SLOW:
            while left > 0 and not self.hub.released.wait(0.001):
                piece = source.read(min(2048, left))
                self._write(piece)
                left -= len(piece)
        elif fault is Fault.EXTEND:
            self._copy(source, left)
            self._write(bytes(1000))
        elif fault is Fault.STALL:
            self._stall()
        elif fault in (Fault.DROP, Fault.NO_RANGES, Fault.RESET, Fault.TRUNCATE):
            self._hang_up(reset=fault is Fault.RESET)

    def _copy(self, source: Any, length: int) -> None:
        while length > 0 and (piece := source.read(min(_CHUNK, length))):
            self._write(piece)
            length -= len(piece)

    def _write(self, data: bytes) -> None:
        self.wfile.write(data)
        self._record.bytes_sent += len(data)

    def _stall(self) -> None:
        self.hub.released.wait()
        self.close_connection = True

    def _hang_up(self, *, reset: bool) -> None:
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        else:
            self.connection.shutdown(socket.SHUT_RDWR)

    # answers

    def _json(self, value: Any, headers: dict[str, str] | None = None) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"} | (headers or {}))

    def _error(self, code: int, words: str, **headers: str) -> None:
        body = json.dumps({"error": words}).encode()
        self._send(code, body, {"Content-Type": "application/json", "X-Error-Message": words} | headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self._head(status, headers | {"Content-Length": str(len(body))})
        if self.command != "HEAD":
            self._write(body)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self._record.status = status
        self.send_response_only(status)
        self.send_header("Date", email.utils.formatdate(usegmt=True))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def _sign(path: str, until: str) -> str:
    return hashlib.sha256(f"{path} {until}".encode()).hexdigest()[:32]
