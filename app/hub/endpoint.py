"""Which hub is spoken to, and as whom."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from urllib.parse import quote

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
