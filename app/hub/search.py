"""Search the hub, a page at a time."""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.errors import HubError
from app.hub.repository import RepositorySummary, SearchQuery, repository_id, summary_of
from app.hub.transport import Call, Hub, Transport

PAGE = 50
_NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="next"')
_FIELDS = ["downloads", "likes", "lastModified", "gated", "tags", "gguf", "safetensors", "pipeline_tag"]


@dataclass(frozen=True, slots=True)
class SearchPage:
    """Some results, and where the next ones are: "" at the end."""

    results: tuple[RepositorySummary, ...]
    cursor: str = ""


def search(hub: Hub, query: SearchQuery, cursor: str = "", limit: int = PAGE, call: Call | None = None) -> SearchPage:
    """The first page of results, or with the cursor of a page the one after it.

    A text that is a repository's id or address finds that repository first. Raises HubError, OfflineError, Cancelled.
    """
    with Transport(hub, call) as transport:
        named = () if cursor else _named(transport, query)
        if cursor:
            rows, headers = transport.get_json(cursor)
        else:
            rows, headers = transport.get_json("/api/models", _parameters(query, limit))
    if not isinstance(rows, list):
        raise HubError(f"{hub.host} answered the search with something that is not a list.")
    ids = {summary.id for summary in named}
    found = [summary_of(row) for row in rows if isinstance(row, dict)]
    results = (*named, *(summary for summary in found if summary.id not in ids and repository_id(summary.id)))
    return SearchPage(results, _next_cursor(hub, headers.get("link", "")))


def _named(transport: Transport, query: SearchQuery) -> tuple[RepositorySummary, ...]:
    identity = repository_id(query.text)
    if identity is None:
        return ()
    try:
        facts, _ = transport.get_json(f"/api/models/{identity}")
    except HubError as error:
        if type(error) is HubError:  # it is not there; an OfflineError goes on to the user
            return ()
        raise
    return (summary_of(facts, identity),) if isinstance(facts, dict) else ()


def _parameters(query: SearchQuery, limit: int) -> dict[str, str | list[str]]:
    identity = repository_id(query.text)
    parameters: dict[str, str | list[str]] = {
        "search": (identity or query.text.strip())[:200],
        "sort": query.sort.value,
        "limit": str(limit),
        "expand": _FIELDS,
    }
    if query.author.strip():
        parameters["author"] = query.author.strip()[:100]
    if query.format is not None:
        parameters["filter"] = query.format.value
    return parameters


def _next_cursor(hub: Hub, link: str) -> str:
    """The address of the next page. One on another host is not followed."""
    match = _NEXT.search(link)
    return match[1] if match and match[1].startswith(f"{hub.endpoint}/") else ""
