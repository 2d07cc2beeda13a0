"""The one way to the network: timeouts everywhere, redirects by hand, every failure a sentence.

Redirects are followed here and not by the library, because the token may go to the hub's own host and to no other.
Reads are bounded: what a stranger sends may be without end.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin, urlsplit

from app import __version__
from app.errors import AppError, Cancelled, GatedError, HubError, OfflineError

if TYPE_CHECKING:
    import ssl

    import httpx2


Parameters = Mapping[str, str | list[str]]

_USER_AGENT = f"Bantam/{__version__}"
MAX_JSON_BYTES = 32_000_000
MAX_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_OFFLINE_HINT = "Check the connection to the internet. Models on this computer work without it."


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to connect, and between two pieces of an answer."""

    connect_s: float = 10.0
    read_s: float = 20.0


class Call:
    """One conversation with the hub, which can be cut off from another thread at any moment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._cancelled = False

    @property
    def is_cancelled(self) -> bool:
        """True from `cancel` on."""
        return self._cancelled

    def cancel(self) -> None:
        """Shut the connections, so that a thread that waits for an answer wakes up, and raise Cancelled there."""
        with self._lock:
            self._cancelled = True
            for connection in self._sockets:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def check(self) -> None:
        """Raises Cancelled after `cancel`."""
        if self._cancelled:
            raise Cancelled

    def watch(self, event: str, info: Mapping[str, Any]) -> None:
        """The library's trace extension: remembers the socket of each connection that is made."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            connection = info["return_value"].get_extra_info("socket")
            with self._lock:
                if connection is not None:
                    self._sockets.append(connection)
            if self._cancelled:
                self.cancel()  # what is read from it now fails, and the library closes it


class Transport:
    """A client for one hub. A context manager; not for two threads at a time."""

    def __init__(self, hub: Hub, call: Call | None = None, timeouts: Timeouts | None = None) -> None:
        self.hub = hub
        self.call = call or Call()
        self._timeouts = timeouts or Timeouts()
        self._client: httpx2.Client | None = None

    def __enter__(self) -> Transport:
        # Here and not above: the window's start does without it.
        import httpx2

        _check_endpoint(self.hub)
        limits = self._timeouts
        timeout = httpx2.Timeout(limits.read_s, connect=limits.connect_s)
        try:
            self._client = httpx2.Client(
                timeout=timeout, follow_redirects=False, headers={"User-Agent": _USER_AGENT}, verify=_certificates()
            )
        except (ValueError, OSError) as error:
            raise HubError("The proxy settings of this computer cannot be used.", f"{error}") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, t: TracebackType | None) -> None:
        if self._client is not None:
            self._client.close()

    def get_json(self, path: str, parameters: Parameters | None = None) -> tuple[Any, Mapping[str, str]]:
        """The parsed answer and its headers (lower-case names). `path` begins with a slash, or is a whole address.

        Raises HubError, OfflineError, GatedError, Cancelled.
        """
        url = path if "://" in path else self.hub.endpoint + path
        with self.stream("GET", url, parameters=parameters) as response:
            check_status(response, self.hub)
            data = self.read(response, MAX_JSON_BYTES)
            headers = {name.lower(): value for name, value in response.headers.items()}
        try:
            return json.loads(data), headers
        except (ValueError, RecursionError) as error:
            hint = "A network that asks to log in first (a hotel, a train) answers so. Open a web page, then try again."
            raise HubError(f"{self.hub.host} answered with something that is not from a hub.", hint) from error

    @contextlib.contextmanager
    def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        parameters: Parameters | None = None,
        follow: bool = True,
    ) -> Iterator[httpx2.Response]:
        """An answer whose body has not been read. Any status but a redirect; the body is closed at the end.

        With `follow` False a redirect is answered as it is. Raises HubError, OfflineError, Cancelled.
        """

        assert self._client is not None, "use it as a context manager"
        with self._translated():
            for _ in range(MAX_REDIRECTS + 1):
                self.call.check()
                request = self._client.build_request(
                    method,
                    url,
                    params=parameters,
                    headers={"Accept-Encoding": "identity", **(headers or {}), **self._authorization(url)},
                    extensions={"trace": self.call.watch},
                )
                response = self._client.send(request, stream=True)
                try:
                    if not follow or response.status_code not in _REDIRECTS:
                        yield response
                        return
                    url, parameters = _next_url(str(response.url), response.headers.get("location", "")), None
                finally:
                    response.close()
        raise HubError(f"{self.hub.host} sends from one address to the next without end.")

    def read(self, response: httpx2.Response, limit_bytes: int) -> bytes:
        """The whole body. Raises HubError where it is longer than the limit, OfflineError, Cancelled."""
        data = bytearray()
        with self._translated():
            for chunk in response.iter_bytes():
                self.call.check()
                data += chunk
                if len(data) > limit_bytes:
                    raise HubError(f"{self.hub.host} sent more than can be right for this answer.")
        return bytes(data)

    def _authorization(self, url: str) -> dict[str, str]:
        same = urlsplit(url)[:2] == urlsplit(self.hub.endpoint)[:2]
        return {"Authorization": f"Bearer {self.hub.token}"} if self.hub.token and same else {}

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        import httpx2

        try:
            yield
        except httpx2.HTTPError as error:
            self.call.check()
            raise _failure(error, self.hub) from None  # the library's error holds the request, and with it the token
        except (httpx2.InvalidURL, UnicodeError) as error:
            raise HubError(
                f"“{self.hub.endpoint}” is not an address of a hub.", "Change it in the settings."
            ) from error


def _check_endpoint(hub: Hub) -> None:
    try:
        parts = urlsplit(hub.endpoint)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise HubError(f"“{hub.endpoint}” is not an address of a hub.", "Change it in the settings.")


def check_status(response: httpx2.Response, hub: Hub) -> None:
    """Raises the error that says what a status other than 2xx means: GatedError, OfflineError or HubError."""
    code = response.status_code
    if 200 <= code < 300:
        return
    kind = response.headers.get("x-error-code", "")
    if kind == "GatedRepo" or (code == 403 and not kind):
        raise gated(hub, known=code == 403)
    if code == 401:
        hint = "Check the name, or give your access token in the settings." if not hub.token else "Check the token."
        raise HubError("The hub does not show this: it is not there, is private, or the token is wrong.", hint)
    if code == 404:
        raise HubError("The hub does not have this, or no longer.", "Check the name.")
    if code == 429:
        wait = retry_after_s(response)
        raise HubError(
            f"The hub asks to be left alone for {f'{wait:.0f} seconds' if wait else 'a while'}.",
            "Wait, then try again.",
        )
    if code >= 500 or code == 408:
        raise HubError(f"{hub.host} has trouble of its own (error {code}).", "Try again in a few minutes.")
    raise HubError(f"{hub.host} refused (error {code}).")


def gated(hub: Hub, *, known: bool) -> GatedError:
    """The error for files behind conditions; `known` where the hub knows who asks."""
    if known:
        return GatedError(
            "The author has not let you in yet.", "Open the model's page, accept its conditions, then try again."
        )
    return GatedError(
        "The author asks you to accept conditions before downloading.",
        "Open the model's page, accept them, then paste an access token here.",
    )


def retry_after_s(response: httpx2.Response) -> float:
    """Seconds to wait, 0 where nothing sensible is said. The date form is ignored: clocks are wrong too often."""
    text = response.headers.get("retry-after", "")
    return min(float(text), 3600.0) if text.strip().isdigit() else 0.0


def _failure(error: httpx2.HTTPError, hub: Hub) -> AppError:
    import httpx2

    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.ProxyError):
        return OfflineError(f"{hub.host} could not be reached.", _OFFLINE_HINT)
    if isinstance(error, httpx2.TimeoutException):
        return OfflineError(f"{hub.host} did not answer in time.", _OFFLINE_HINT)
    return OfflineError(f"The connection to {hub.host} was lost.", _OFFLINE_HINT)


def _next_url(here: str, location: str) -> str:
    url = urljoin(here, location)
    parts = urlsplit(url)
    if not location or parts.scheme not in ("http", "https") or not parts.netloc:
        raise HubError("The hub sends to an address that cannot be used.")
    if here.startswith("https:") and parts.scheme != "https":
        raise HubError("The hub sends from an encrypted address to one that is not.")
    return url


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Read once: it takes 30 ms, and a search or a retry should not."""
    import httpx2

    return httpx2.create_ssl_context()


# Which hub is spoken to, and as whom.


DEFAULT_ENDPOINT = "https://huggingface.co"
_HERE = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True)
class Hub:
    """The hub or a mirror of it. The token is sent to this host alone, and never shown or written."""

    endpoint: str = DEFAULT_ENDPOINT
    token: str = field(default="", repr=False)

    @property
    def host(self) -> str:
        """Host name with its port, as people write it."""
        return self.endpoint.partition("://")[2].partition("/")[0]

    @property
    def warning(self) -> str:
        """The sentence where others could read or change what is exchanged; "" with https or on this computer."""
        if self.endpoint.startswith("https://") or self.host.rpartition(":")[0] in _HERE or self.host in _HERE:
            return ""
        return f"The connection to {self.host} is not encrypted: others can read and change what you download."

    def file_url(self, repository: str, revision: str, path: str) -> str:
        """Where a file's content is answered or redirected to."""
        return f"{self.endpoint}/{quote(repository)}/resolve/{quote(revision, safe='')}/{quote(path)}"

    def page_url(self, repository: str) -> str:
        """The page for people, where the conditions of a gated repository are accepted."""
        return f"{self.endpoint}/{quote(repository)}"


def endpoint_of(setting: str) -> str:
    """The address in force: the setting, else HF_ENDPOINT, else the hub itself. Without a slash at the end."""
    return (setting.strip() or os.environ.get("HF_ENDPOINT", "").strip() or DEFAULT_ENDPOINT).rstrip("/")
