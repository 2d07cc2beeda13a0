"""What the hub says of a repository and of the models in it. All texts come from strangers: plain, short, printable."""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from app.errors import HubError
from app.hub.transport import Call, Hub, Transport, check_status
from app.library.gguf_file import split_name
from app.library.gguf_reader import printable

if TYPE_CHECKING:
    from markdown_it.token import Token


class ModelFormat(StrEnum):
    """What a model's files are."""

    GGUF = "gguf"
    """Can be chatted with as it is."""
    SAFETENSORS = "safetensors"
    """The original weights: to be converted and quantized first."""


class Gate(StrEnum):
    """What the author asks for before the files can be downloaded. The rest of a repository is always public."""

    OPEN = "open"
    AUTOMATIC = "auto"
    """Accept the conditions on the hub's page; access is given at once."""
    MANUAL = "manual"
    """The author decides on each request."""


class SortBy(StrEnum):
    """Order of search results, largest or latest first; in the hub's own words."""

    DOWNLOADS = "downloads"
    LIKES = "likes"
    RECENT = "lastModified"
    TRENDING = "trendingScore"


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What to look for. An empty text finds everything; an empty author is any; a format of None is either."""

    text: str = ""
    author: str = ""
    format: ModelFormat | None = ModelFormat.GGUF
    sort: SortBy = SortBy.DOWNLOADS


@dataclass(frozen=True, slots=True)
class RepositorySummary:
    """A row of the search results. Numbers are 0 and texts "" where the hub says nothing."""

    id: str
    """owner/name"""
    formats: tuple[ModelFormat, ...] = ()
    downloads: int = 0
    """Downloads in the last 30 days."""
    likes: int = 0
    updated: str = ""
    """ISO 8601 date."""
    parameters: int = 0
    license: str = ""
    gate: Gate = Gate.OPEN

    @property
    def author(self) -> str:
        """The part before the slash; "" where there is none."""
        return self.id.rpartition("/")[0]

    @property
    def name(self) -> str:
        """The part after the slash."""
        return self.id.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file at one revision. `sha256` is known of large files (LFS), `git_sha1` (of the git blob) of all others."""

    path: str
    """Inside the repository, with slashes. Checked: relative, without "..", usable as a path on this system."""
    size_bytes: int
    sha256: str = ""
    git_sha1: str = ""

    @property
    def name(self) -> str:
        """The name without its folders."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """One thing to judge and to download: a GGUF file, all parts of a split one, or what a conversion needs.

    `label` tells it from the others of its repository: "Q4_K_M", "Original weights". `family` is the same for files
    that differ only in quantization: they have the same KV cache and compute buffers.
    """

    format: ModelFormat
    label: str
    files: tuple[RemoteFile, ...]
    family: str = ""

    @property
    def size_bytes(self) -> int:
        """The size of all files together."""
        return sum(file.size_bytes for file in self.files)

    @property
    def key(self) -> str:
        """Path of the first file, which names the model inside its repository."""
        return self.files[0].path


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository at one commit. `models`: what Bantam can use, smallest first; `problem`: why there is none."""

    summary: RepositorySummary
    revision: str
    """The commit, 40 hexadecimal digits."""
    models: tuple[RemoteModel, ...]
    problem: str = ""
    base_model: str = ""
    """The repository that this one was quantized from, where the author says so."""

    @property
    def id(self) -> str:
        """owner/name"""
        return self.summary.id


# What is in a repository: its files at one commit, and the models among them that Bantam can use.


ORIGINAL = "Original weights"
MAX_FILES = 20_000
MAX_FILE_BYTES = 1 << 44

CONVERSION_FILES = frozenset(
    {
        "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "tokenizer.model",
        "vocab.json", "merges.txt", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja",
        "chat_template.json", "model.safetensors.index.json",
    }
)  # fmt: skip
"""What a conversion reads beside the weights."""

_NO_MODEL = ("mmproj", "imatrix", "ggml-vocab")
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")


def open_repository(hub: Hub, repository: str, revision: str = "main", call: Call | None = None) -> Repository:
    """The repository at its newest commit, or at `revision`. Raises HubError, OfflineError, Cancelled."""
    path = f"/api/models/{check_repository_id(repository)}"
    if revision != "main":
        path += f"/revision/{revision}"
    with Transport(hub, call) as transport:
        facts, _ = transport.get_json(path, {"blobs": "true"})
    return repository_of(facts if isinstance(facts, dict) else {}, repository)


def repository_of(facts: Mapping[str, Any], repository: str) -> Repository:
    """The repository that the hub describes; what does not make sense in the description is left out."""
    siblings = facts.get("siblings")
    listed = siblings[:MAX_FILES] if isinstance(siblings, list) else []
    files = [file for entry in listed if (file := _file(entry)) is not None]
    models = tuple(sorted((*_gguf_models(files), *_safetensors_model(files)), key=lambda model: model.size_bytes))
    revision = facts.get("sha")
    card = facts.get("cardData")
    base = card.get("base_model") if isinstance(card, dict) else None
    base = base[0] if isinstance(base, list) and base else base
    return Repository(
        summary=summary_of(facts, repository),
        revision=revision if isinstance(revision, str) and revision.isalnum() and len(revision) <= 64 else "main",
        models=models,
        problem="" if models else _problem(files),
        base_model=printable(base, 100) if isinstance(base, str) else "",
    )


def summary_of(facts: Mapping[str, Any], repository: str = "") -> RepositorySummary:
    """The row of a search that the hub's description gives."""
    tags = [tag for tag in facts.get("tags") or () if isinstance(tag, str)]
    licence = next((tag.removeprefix("license:") for tag in tags if tag.startswith("license:")), "")
    gate = facts.get("gated")
    return RepositorySummary(
        id=str(facts.get("id") or repository),
        formats=tuple(kind for kind in ModelFormat if kind.value in tags),
        downloads=_count(facts.get("downloads")),
        likes=_count(facts.get("likes")),
        updated=printable(str(facts.get("lastModified") or ""))[:10],
        parameters=_parameters(facts),
        license=printable(licence, 40),
        gate=Gate(gate) if gate in ("auto", "manual") else Gate.OPEN,
    )


def _file(entry: object) -> RemoteFile | None:
    if not isinstance(entry, dict):
        return None
    path, size, lfs = entry.get("rfilename"), entry.get("size"), entry.get("lfs")
    if not isinstance(path, str) or not is_safe_path(path):
        return None
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < MAX_FILE_BYTES:
        return None
    sha256 = lfs.get("sha256") if isinstance(lfs, dict) else ""
    return RemoteFile(path, size, _hexadecimal(sha256, 64), _hexadecimal(entry.get("blobId"), 40))


def _gguf_models(files: list[RemoteFile]) -> list[RemoteModel]:
    """GGUF files, those of a split model together where all of its parts are listed."""
    wanted = [f for f in files if f.name.lower().endswith(".gguf") and not any(w in f.name.lower() for w in _NO_MODEL)]
    names = {file.path: gguf_name(file.path) for file in wanted}
    models = []
    for _, group in itertools.groupby(sorted(wanted, key=lambda f: f.path), lambda f: names[f.path].model):
        parts = tuple(group)
        if _is_complete(parts):
            name = names[parts[0].path]
            models.append(RemoteModel(ModelFormat.GGUF, name.label, parts, name.family))
    return models


def _is_complete(parts: tuple[RemoteFile, ...]) -> bool:
    splits = [split_name(part.name) for part in parts]
    if splits == [None]:
        return True
    return [split[1] if split else 0 for split in splits] == list(range(1, (splits[0] or ("", 0, 0))[2] + 1))


def _safetensors_model(files: list[RemoteFile]) -> list[RemoteModel]:
    """What a conversion reads, at the top of the repository only: copies in other formats lie in folders."""
    top = {file.path: file for file in files if "/" not in file.path}
    weights = [file for path, file in top.items() if path.endswith(".safetensors")]
    whole = [file for file in weights if file.path == "model.safetensors"]  # what transformers reads, where it is there
    parts = [file for file in weights if file.path.startswith(("model-", "model.safetensors-"))]
    models = whole or parts
    if not models or "config.json" not in top:
        return []
    rest = [file for path, file in top.items() if path in CONVERSION_FILES]
    rest.sort(key=lambda file: (file.path != "config.json", file.path))
    return [RemoteModel(ModelFormat.SAFETENSORS, ORIGINAL, (*rest, *sorted(models, key=lambda f: f.path)))]


def _problem(files: list[RemoteFile]) -> str:
    names = [file.name.lower() for file in files]
    if any(name == "adapter_config.json" for name in names):
        return "This is an adapter (LoRA) for a model, not a model."
    if any(name.endswith(".gguf") for name in names):
        return "The GGUF files here are parts of models, or do not belong to a chat model."
    if any(name.endswith(_PICKLES) for name in names):
        return "The weights here are PyTorch pickles, which can run code on your computer. Bantam does not open them."
    return "There is no model here that Bantam can use: it looks for GGUF and safetensors files."


def _parameters(facts: Mapping[str, Any]) -> int:
    for key in ("gguf", "safetensors"):
        part = facts.get(key)
        if isinstance(part, dict) and (count := _count(part.get("total"))):
            return count
    return 0


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62 else 0


def _hexadecimal(value: object, length: int) -> str:
    if isinstance(value, str) and len(value) == length and not set(value.lower()) - set("0123456789abcdef"):
        return value.lower()
    return ""


# A repository's model card as plain text: Markdown's marks, HTML, pictures and addresses are left out.


MAX_CARD_BYTES = 2_000_000
MAX_TEXT = 100_000
_FRONT_MATTER = re.compile(r"\A\s*---\s*\n.*?\n---\s*(?:\n|\Z)", re.DOTALL)
_TAG = re.compile(r"<(?:!--.*?--|/?[A-Za-z][^<>]*)>", re.DOTALL)
_NOT_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def model_card(hub: Hub, repository: str, revision: str = "main", call: Call | None = None) -> str:
    """The card as text; "" where there is none. Raises HubError, OfflineError, Cancelled."""
    with (
        Transport(hub, call) as transport,
        transport.stream("GET", hub.file_url(repository, revision, "README.md")) as response,
    ):
        if response.status_code == 404:
            return ""
        check_status(response, hub)
        try:
            return plain_text(transport.read(response, MAX_CARD_BYTES).decode("utf-8", "replace"))
        except RecursionError as error:
            raise HubError("The model card is nested too deeply to be shown.") from error


def plain_text(card: str) -> str:
    """The text of a card in Markdown, MAX_TEXT characters at most."""
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").enable("table").parse(_FRONT_MATTER.sub("", card[: 3 * MAX_TEXT]))
    text = re.sub(r"\n{3,}", "\n\n", "".join(map(_block, tokens))).strip()
    text = _NOT_TEXT.sub("", text)
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "\n…"


def _block(token: Token) -> str:
    if token.type == "inline":
        return _inline(token)
    if token.type in ("fence", "code_block"):
        return token.content + "\n"
    if token.type == "html_block":
        text = _without_tags(token.content).strip()
        return text + "\n\n" if text else ""
    ends = {"paragraph_close": "\n" if token.hidden else "\n\n", "heading_close": "\n\n", "tr_close": "\n"}
    ends |= {"th_close": "   ", "td_close": "   ", "bullet_list_close": "\n", "ordered_list_close": "\n", "hr": "\n"}
    return ends.get(token.type, "• " if token.type == "list_item_open" else "")


def _inline(token: Token) -> str:
    parts = []
    for child in token.children or ():
        if child.type in ("text", "code_inline"):
            parts.append(child.content)
        elif child.type.endswith("break") or child.content.lower().startswith("<br"):
            parts.append("\n")
    return "".join(parts)


def _without_tags(markup: str) -> str:
    return html.unescape(_TAG.sub("", markup))


# What strangers call their files: checked before anything on this computer gets that name.


_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}", re.ASCII)
_URL = re.compile(r"https?://[^/]+/(?:models/)?(?P<id>[\w.-]+/[\w.-]+)(?:[/?#].*)?", re.ASCII)
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
)  # of Windows: a model folder moves between computers
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]')
MAX_PART_BYTES = 200
MAX_PATH_BYTES = 400

_QUANTIZATION = re.compile(
    r"(?:^|[-_.])((?:UD-)?(?:I?Q[1-8](?:_[A-Z0-9]+)*|BF16|F16|FP16|F32|FP32|MXFP4(?:_MOE)?|TQ[12]_0))(?=$|[-_.])",
    re.IGNORECASE,
)


def repository_id(text: str) -> str | None:
    """The repository that a pasted id or address names; None for any other text."""
    text = text.strip()
    match = _URL.fullmatch(text)
    found = match["id"] if match else text
    return found if _ID.fullmatch(found) and ".." not in found else None


def check_repository_id(text: str) -> str:
    """The id itself. Raises HubError for a text that is none."""
    if repository_id(text) != text:
        raise HubError(f"“{printable(text)}” does not name a repository.", "A name looks like “owner/model”.")
    return text


def is_safe_path(path: str) -> bool:
    """Whether a file of a repository may have this path below a folder of ours, on any system."""
    if not path or len(path.encode("utf-8", "replace")) > MAX_PATH_BYTES or _FORBIDDEN.search(path):
        return False
    return all(_is_safe_part(part) for part in path.split("/"))


def _is_safe_part(part: str) -> bool:
    if part in ("", ".", "..") or part[-1] in ". " or len(part.encode("utf-8", "replace")) > MAX_PART_BYTES:
        return False
    return part.split(".")[0].strip().lower() not in _RESERVED and part.isprintable()


@dataclass(frozen=True, slots=True)
class GgufName:
    """What the name of a GGUF file says. Parts of a split model have the same `model`."""

    model: str
    """The path without the part's number and suffix."""
    label: str
    """ "Q4_K_M", or the name itself where it says no quantization."""
    family: str
    """The name without the quantization, in lower case."""


def gguf_name(path: str) -> GgufName:
    """Read the path of a GGUF file inside its repository."""
    name = path.rpartition("/")[2]
    split = split_name(name)
    stem = split[0] if split else name[: -len(".gguf")]
    model = path[: len(path) - len(name)] + stem
    matches = list(_QUANTIZATION.finditer(stem))
    if not matches:
        return GgufName(model, printable(stem), stem.lower())
    last = matches[-1]
    family = (stem[: last.start(1)] + stem[last.end(1) :]).strip("-_.").lower()
    return GgufName(model, last[1].upper(), family)


# Search the hub, a page at a time.


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
            rows, headers = transport.get_json("/api/models", _parameters_of_search(query, limit))
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


def _parameters_of_search(query: SearchQuery, limit: int) -> dict[str, str | list[str]]:
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
