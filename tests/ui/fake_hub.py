"""The hub's services without a network and without a child: the signals of the real ones, and what was asked of them.

hub = FakeHub()
hub.browser.results.emit(sample_results(50), True)
page.search.chosen.emit(QWEN.id)      # kept in hub.browser.calls
hub.open(QWEN)                        # opened, card, all files judged
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.engine.curve import FitCurve, FitPoint
from app.engine.messages import KvType, MachineSpeed, TensorSpeed
from app.fit.judgement import (
    CONTEXTS,
    KV_TYPES,
    MADE_TYPES,
    Judgement,
    Made,
    ReadProfile,
    TypeBytes,
    made_key,
    main_type,
)
from app.fit.speed import SpeedError
from app.hub.messages import DownloadPlan
from app.hub.repository import Gate, ModelFormat, RemoteFile, RemoteModel, Repository, RepositorySummary
from app.quantize.messages import Quantize
from workers.downloads import DownloadStatus

GB = 10**9
_KV_BITS = {KvType.F16: 16, KvType.Q8_0: 8.5, KvType.Q4_0: 4.5}

CARD = """Qwen3 8B

Qwen3 is the latest generation of large language models in the Qwen series.

Quick start: any program that reads GGUF files can run this model. Recommended settings: temperature 0.6, top-p 0.95.

  Type      Size
  Q4_K_M    5.0 GB
  Q8_0      8.7 GB
"""


class FakeBrowser(QObject):
    results = Signal(object, bool)
    search_ended = Signal(bool)
    opened = Signal(object)
    card = Signal(str, str)
    search_failed = Signal(object)
    open_failed = Signal(str, object)
    offline_changed = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, Any]] = []
        self.is_searching = self.is_offline = False

    def search(self, query: Any) -> None:
        self.calls.append(("search", query))

    def more(self) -> None:
        self.calls.append(("more", None))

    def cancel_search(self) -> None:
        self.calls.append(("cancel_search", None))

    def open(self, repository_id: str) -> None:
        self.calls.append(("open", repository_id))

    def close(self) -> None:
        pass


class FakeFits(QObject):
    judged = Signal(str, object)
    failed = Signal(str, str, object)

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def warm_up(self) -> None:
        pass

    def cancel(self) -> None:
        pass

    def judge_all(self, repository: Repository) -> None:
        self.asked.append(repository.id)


class FakeDownloads(QObject):
    changed = Signal(object)
    ended = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.statuses: tuple[DownloadStatus, ...] = ()
        self.calls: list[tuple[str, Any]] = []

    def add(self, plan: DownloadPlan) -> int:
        self.calls.append(("add", plan))
        return 1

    def pause(self, download_id: int) -> None:
        self.calls.append(("pause", download_id))

    def resume(self, download_id: int) -> None:
        self.calls.append(("resume", download_id))

    def cancel(self, download_id: int) -> None:
        self.calls.append(("cancel", download_id))

    def show(self, *statuses: DownloadStatus) -> None:
        self.statuses = statuses
        for status in statuses:
            self.changed.emit(status)


class FakeMakings(QObject):
    changed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[DownloadPlan, Quantize]] = []
        self.types: frozenset[str] = frozenset()
        self.downloading = False

    def make(self, plan: DownloadPlan, request: Quantize) -> None:
        self.made.append((plan, request))
        self.types, self.downloading = self.types | {request.type}, True
        self.changed.emit(request.source)

    def types_in_work(self, _folder: Path) -> frozenset[str]:
        return self.types

    def is_downloading(self, _folder: Path) -> bool:
        return self.downloading


class FakeSpeed(QObject):
    changed = Signal()
    failed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        types = tuple(TensorSpeed(name, 38.0 * GB) for name in ("Q4_K", "Q8_0", "Q6_K", "F16"))
        self.speed: MachineSpeed | None = MachineSpeed(types, 20.0 * GB, 0.05, 4, "2026-01-01")
        self.error: SpeedError | None = SpeedError(8.0, 14)
        self.is_measuring = False

    def measure(self) -> None:
        self.is_measuring = True

    def put_off(self) -> None:
        self.end(None)

    def end(self, speed: MachineSpeed | None) -> None:
        """The measurement is over, with a speed or without."""
        self.is_measuring, self.speed = False, speed
        self.changed.emit()


class FakeJobs(QObject):
    changed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.jobs: tuple[object, ...] = ()


class FakeHub(QObject):
    """In the place of HubServices."""

    token_changed = Signal(bool, str)
    token_refused = Signal(str)
    endpoint = "https://huggingface.co"

    def __init__(self) -> None:
        super().__init__()
        self.has_token, self.has_keyring = False, True
        self.tokens: list[str] = []
        self.browser, self.fits = FakeBrowser(), FakeFits()
        self.downloads, self.speed = FakeDownloads(), FakeSpeed()
        self.makings = FakeMakings()
        self.jobs = FakeJobs()

    def give_token(self, token: str) -> None:
        self.tokens.append(token)

    def close(self) -> None:
        pass

    def open(self, repository: Repository, *, judged: bool = True, card: str = CARD) -> None:
        """What follows a click on a result."""
        self.browser.opened.emit(repository)
        self.browser.card.emit(repository.id, card)
        for model in repository.models if judged else ():
            for judgement in judgements_for(model):
                self.fits.judged.emit(repository.id, judgement)


def model(label: str, gigabytes: float, name: str = "Qwen3-8B", parts: int = 1) -> RemoteModel:
    """A GGUF file of this size, or a split one."""
    names = [f"{name}-{label}.gguf"]
    if parts > 1:
        names = [f"{name}-{label}-{number:05}-of-{parts:05}.gguf" for number in range(1, parts + 1)]
    files = tuple(RemoteFile(path, int(gigabytes * GB / parts), "0" * 64) for path in names)
    return RemoteModel(ModelFormat.GGUF, label, files, name)


def judgements_for(model: RemoteModel) -> tuple[Judgement, ...]:
    """Of a file its own; of original weights those of what can be made of them."""
    if model.format is ModelFormat.GGUF:
        return (judgement_for(model),)
    found = []
    for kind, share in zip(MADE_TYPES, (0.31, 0.53, 1.0), strict=True):
        size = int(model.size_bytes * share)
        own = judgement_for(RemoteModel(ModelFormat.GGUF, kind, (RemoteFile("m.gguf", size),)))
        made = Made(kind, size, model.size_bytes + size)
        found.append(dataclasses.replace(own, key=made_key(model.key, kind), made=made))
    return tuple(found)


def judgement_for(model: RemoteModel, layers: int = 36, trained: int = 40_960) -> Judgement:
    """As of a model with grouped queries and a vocabulary of 150,000; 144 kB of KV cache a token."""
    points = tuple(
        FitPoint(tokens, kv_type, int(tokens * layers * 256 * _KV_BITS[kv_type]), 310_000_000 + tokens * 2000)
        for kv_type in KV_TYPES
        for tokens in CONTEXTS
    )
    curve = FitCurve(model.size_bytes, trained, points)
    return Judgement(model.key, curve, ReadProfile((TypeBytes(main_type(model.label), model.size_bytes),), layers))


def sample_results(count: int) -> tuple[RepositorySummary, ...]:
    """Rows of a search, some gated, some of the original weights."""
    owners = ("Qwen", "bartowski", "unsloth", "lmstudio-community", "mradermacher")
    return tuple(
        RepositorySummary(
            f"{owners[number % 5]}/Qwen3-{number + 1}B-Instruct-GGUF",
            (ModelFormat.SAFETENSORS,) if number % 7 == 6 else (ModelFormat.GGUF,),
            downloads=int(1_200_000 / (number + 1)),
            likes=900 // (number + 1),
            updated="2026-01-12",
            parameters=(number % 40 + 1) * 10**9,
            license="apache-2.0",
            gate=Gate.AUTOMATIC if number % 5 == 3 else Gate.OPEN,
        )
        for number in range(count)
    )


def repository(
    identity: str, *models: RemoteModel, gate: Gate = Gate.OPEN, problem: str = "", license: str = "apache-2.0"
) -> Repository:
    summary = RepositorySummary(identity, (ModelFormat.GGUF,), 81_234, 512, "2026-01-12", 8 * GB, license, gate)
    return Repository(summary, "a" * 40, models, problem, "Qwen/Qwen3-8B")


QWEN = repository(
    "Qwen/Qwen3-8B-GGUF",
    model("IQ2_M", 3.05),
    model("Q3_K_M", 4.12),
    model("Q4_K_M", 5.03),
    model("Q5_K_M", 5.85),
    model("Q6_K", 6.73),
    model("Q8_0", 8.71),
    model("BF16", 16.4, parts=2),
)
GATED = repository("google/gemma-3-4b-it-qat-q4_0-gguf", model("Q4_0", 3.16, "gemma-3-4b-it"), gate=Gate.AUTOMATIC)
LONG = repository(
    "a-very-long-name-of-an-author-of-models/" + "-".join(["Some-Very-Long-Model-Name"] * 4) + "-GGUF",
    *(model(f"Q{bits}_K_M", bits * 1.05, "-".join(["Some-Very-Long-Model-Name"] * 4)) for bits in range(2, 7)),
    license="a-license-of-its-own-with-a-long-name",
)
ORIGINAL = repository(
    "Qwen/Qwen3-8B",
    RemoteModel(
        ModelFormat.SAFETENSORS,
        "Original weights",
        (RemoteFile("config.json", 700), RemoteFile("model-00001-of-00002.safetensors", 8 * GB),
         RemoteFile("model-00002-of-00002.safetensors", 8 * GB)),
        "",
    ),
)  # fmt: skip


def plan_for(repository: Repository, number: int, home: Path) -> DownloadPlan:
    """A plan for the n-th model of a repository."""
    chosen = repository.models[number]
    title = f"{repository.summary.name}, {chosen.label}"
    return DownloadPlan(
        "https://huggingface.co", repository.id, repository.revision, title, chosen.files, home / repository.id
    )
