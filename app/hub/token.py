"""The user's access token: in the system's keyring, or where there is none in memory until the program ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from app.errors import HubError
from app.hub.transport import Call, Hub, Transport
from app.library.gguf_reader import printable

SERVICE = "Bantam"


class TokenStore:
    """One token for each hub. Safe to use from several threads; the keyring may take a moment to answer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._memory: dict[str, str] = {}

    def get(self, endpoint: str) -> str:
        """The token for this hub; "" where there is none."""
        with self._lock:
            if endpoint not in self._memory:
                self._memory[endpoint] = _read(endpoint)
            return self._memory[endpoint]

    def set(self, endpoint: str, token: str) -> bool:
        """Keep a token. True where the system's keyring took it, False where it is in memory only."""
        with self._lock:
            self._memory[endpoint] = token.strip()
            return _write(endpoint, token.strip())

    def forget(self, endpoint: str) -> None:
        """Remove it everywhere."""
        with self._lock:
            self._memory[endpoint] = ""
            _write(endpoint, "")

    @staticmethod
    def is_kept() -> bool:
        """Whether this system has a keyring, so that a token outlives the program."""
        return _keyring() is not None


def user_name(hub: Hub, call: Call | None = None) -> str:
    """Whose token it is. Raises HubError for a wrong one, OfflineError, Cancelled."""
    with Transport(hub, call) as transport:
        facts, _ = transport.get_json("/api/whoami-v2")
    name = facts.get("name") if isinstance(facts, dict) else None
    if not isinstance(name, str):
        raise HubError("The hub does not say whose token this is.")
    return printable(name)


def _keyring() -> Any:
    """The backend in use; None where it is none, or one that writes plain text."""
    try:
        import keyring
    except ImportError:  # a library of a backend's is missing: there is still memory
        return None
    backend = _ask(keyring.get_keyring)
    return backend if backend is not None and getattr(backend, "priority", 0) > 0 else None


def _read(endpoint: str) -> str:
    backend = _keyring()
    token = _ask(backend.get_password, SERVICE, endpoint) if backend is not None else None
    return token if isinstance(token, str) else ""


def _write(endpoint: str, token: str) -> bool:
    """True where the keyring has it now. An empty token is removed."""
    if (backend := _keyring()) is None:
        return False
    if token:
        _ask(backend.set_password, SERVICE, endpoint, token)
    elif _read(endpoint):
        _ask(backend.delete_password, SERVICE, endpoint)
    return bool(token) and _read(endpoint) == token


def _ask(function: Callable[..., Any], *arguments: str) -> Any:
    """What the keyring answers, None where it fails: locked, refused, no session bus, a backend of the user's own.

    Each backend raises errors of its own libraries, and whatever it is, there is still memory.
    """
    try:
        return function(*arguments)
    except Exception:  # noqa: BLE001
        return None
