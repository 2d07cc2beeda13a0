"""Pruning from start to end: check, survey, then block by block: read, measure, cut, write, run.

Each block is measured with the inputs that the pruned blocks before it produce. Finished blocks survive an
interruption.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import transformers
from torch import Tensor, nn

from app.convert.checkpoint import SourceTensor
from app.errors import AppError, Cancelled, ModelFileError, PruneError, StorageError
from app.library.gguf_reader import printable
from app.library.manifest import FileOrigin, Manifest, write_manifest
from app.library.provenance import ProvenanceStep, words_of
from app.library.safetensors import weight_files
from app.library.verify import sha256_of
from app.operation import Context, Notice, Progress, Report, ShouldStop, Stage
from app.prune.block_model import BlockModel
from app.prune.ffn import Ffn
from app.prune.folder_writer import Entry, FolderWriter, shard_name
from app.prune.kv_groups import KvGroups
from app.prune.layers import Layers
from app.prune.magnitude import GlobalMagnitude, Magnitude, Wanda
from app.prune.messages import SPARSE, Prune, Pruned, PruneMethod
from app.prune.method import Method
from app.prune.peak import PROGRAM_BYTES, memory_bytes
from app.prune.sparsegpt import SparseGpt
from app.prune.statistics import collect, not_a_number
from app.prune.weights import as_bytes, linear_layers, read_float32, round_to
from app.quantize.calibration import CALIBRATION_TEXT, read_text
from app.system.files import require_room
from app.system.hardware import available_memory_bytes, physical_cores
from app.units import percent, size_text


def prune(request: Prune, context: Context) -> Pruned:
    """Make the folder `request.output`. Raises PruneError, ConversionError, StorageError, DiskFullError, Cancelled.

    After Cancelled, a StorageError or a kill the same request continues at the last finished block; after the other
    errors nothing is left.
    """
    writer = FolderWriter(request.output)
    check_request(request, writer.work)
    torch.set_num_threads(request.threads or physical_cores())
    try:
        return _Run(request, writer, context.report, context.stop).run()
    except OSError as error:
        raise StorageError(
            f"“{request.output.name}” could not be written: {error.strerror or error}.",
            "See that there is room on the disk and that the folder may be written to.",
        ) from error


class _Run:
    """One run: the state that its steps share."""

    def __init__(self, request: Prune, writer: FolderWriter, report: Report, stop: ShouldStop) -> None:
        self._request, self._writer, self._report, self._stop = request, writer, report, stop
        self._start = time.monotonic()
        self._model = BlockModel(request.source)
        self._early = BlockModel(request.rewind) if request.rewind else None
        self._method: Method = METHODS[request.method](request, stop)

    def run(self) -> Pruned:
        """Do all of it, from the checks to the finished folder."""
        model, method, writer = self._model, self._method, self._writer
        if self._early:
            check_same_shapes(model, self._early)
        method.check(model)
        if method.reads_text:
            model.windows = read_windows(self._request, model.config.max_position_embeddings)
        check_room(self._request, model, self._report)
        try:
            self._survey()
            kept = list(method.kept_layers(model.layers))
            config = self._config(kept)
            self._prune_blocks(kept)
        except PruneError:  # a fault of the model itself, which the next attempt would meet too
            writer.remove()
            raise
        writer.complete(self._request.source, config)
        step = method.step()
        size = publish(self._request, writer, step, self._report, self._stop)
        return Pruned(
            path=self._request.output,
            recipe=words_of((step,)),
            parameters_before=sum(tensor.elements for tensor in model.tensors.values()),
            parameters_after=writer.state.parameters,
            zeros=writer.state.zeros,
            dropped_layers=tuple(index for index in range(model.layers) if index not in kept),
            size_bytes=size,
            seconds=time.monotonic() - self._start,
        )

    def _survey(self) -> None:
        key = key_of(self._request)
        if not self._writer.resume(key):
            clock = _Clock(self._method.survey_stage, 1, 0, self._report, self._stop)
            self._writer.begin(key, self._method.survey(self._model, clock.tick))
        self._method.plan = self._writer.state.plan

    def _config(self, kept: list[int]) -> dict[str, object]:
        """config.json of the result."""
        values = dict(self._model.config_values)
        if len(kept) < self._model.layers:
            values["num_hidden_layers"] = len(kept)
            if kinds := getattr(self._model.config, "layer_types", None):
                values["layer_types"] = [kinds[index] for index in kept]
        changes = self._method.config_changes(values)
        removed = {name for name, value in changes.items() if value is None}
        return {name: value for name, value in (values | changes).items() if name not in removed}

    def _prune_blocks(self, kept: list[int]) -> None:
        writer, done = self._writer, self._writer.state.done
        if not writer.state.shards:
            source = self._early or self._model
            entries = [Entry.copied(name, tensor) for name, tensor in source.other_tensors().items()]
            writer.add(shard_name(1, len(kept) + 1), entries, 0, None, 0)
        flows = any(self._method.needs(index, self._model.shell(index)) for index in kept[done:])
        hidden = self._first_inputs(done) if flows else None
        clock = _Clock(Stage.PRUNE, len(kept), done, self._report, self._stop)
        for place in range(done, len(kept)):
            entries, zeros = self._prune_block(place, kept[place], hidden, clock)
            saved = hidden if place + 1 < len(kept) else None
            writer.add(shard_name(place + 2, len(kept) + 1), entries, zeros, saved, place + 1)
            del entries
            clock.next_block()

    def _first_inputs(self, done: int) -> Tensor:
        """The input of the block at which the work begins or continues."""
        windows = self._model.windows
        if done:
            saved = self._writer.activations((*windows.shape, self._model.config.hidden_size))
            if saved is None:
                raise StorageError(
                    "What an interrupted run left is damaged.", f"Delete the folder {self._writer.work.name}."
                )
            self._model.embed(windows[:1])
            return saved
        return self._model.embed(windows)

    def _prune_block(self, place: int, index: int, hidden: Tensor | None, clock: _Clock) -> tuple[list[Entry], int]:
        """Entries to write for a block, and its number of zeros. `hidden` is overwritten by the next block's input."""
        block = self._model.block(index)
        inputs = {}
        if hidden is not None and (needs := self._method.needs(index, block)):
            inputs = collect(index, block, needs, lambda: self._flow(index, block, hidden, None, clock))
        self._method.cut(index, block, inputs)
        inputs.clear()
        types = self._types(index, block)
        for name, values in block.named_parameters():
            round_to(values.data, types[name])
            if not values.isfinite().all():
                raise PruneError(
                    f"Block {index} does not fit into {types[name]} after pruning: “{name}” has values that are too "
                    "large.",
                    "Take another method, or a source in bfloat16.",
                )
        if hidden is not None:
            self._flow(index, block, hidden, hidden, clock)
        zeros = sum(int((layer.weight == 0).sum()) for layer in linear_layers(block).values())
        return list(self._entries(place, index, block, types)), zeros

    def _flow(self, index: int, block: nn.Module, hidden: Tensor, into: Tensor | None, clock: _Clock) -> None:
        """Run every window through the block and write the outputs to `into`."""
        for number, window in enumerate(hidden):
            out = self._model.run(index, block, window)
            if into is not None:
                if not out.isfinite().all():
                    raise not_a_number(index, "in its output")
                into[number] = out
            clock.tick((number + 1) / len(hidden) / 2 + (0.5 if into is not None else 0.0))

    def _types(self, index: int, block: nn.Module) -> dict[str, str]:
        """Type in which each parameter of the block is stored; new parameters take the type of the largest."""
        tensors = self._model.block_tensors(index)
        most = max(tensors.values(), key=lambda tensor: tensor.elements).dtype
        return {name: tensors[name].dtype if name in tensors else most for name, _ in block.named_parameters()}

    def _entries(self, place: int, index: int, block: nn.Module, types: dict[str, str]) -> Iterator[Entry]:
        matrices = {f"{name}.weight" for name in linear_layers(block)}
        for name, values in block.named_parameters():
            written = f"model.layers.{place}.{name}"
            if self._early is None:
                yield Entry.of(written, values.data, types[name])
                continue
            tensor = self._early.block_tensors(index)[name]
            yield _rewound(written, tensor, values) if name in matrices else Entry.copied(written, tensor)


def _rewound(name: str, tensor: SourceTensor, pruned: Tensor) -> Entry:
    """An entry with the earlier weights, zero where the pruned ones are; they are read when they are written."""

    def data() -> Iterator[memoryview]:
        return as_bytes(read_float32(tensor).masked_fill_(pruned == 0, 0.0), tensor.dtype)

    return Entry(name, tensor.dtype, tensor.shape, data)


class _Clock:
    """Progress in blocks; raises Cancelled after a stop."""

    def __init__(self, stage: Stage, blocks: int, done: int, report: Report, stop: ShouldStop) -> None:
        self._stage, self._blocks, self._first, self._done = stage, blocks, done, done
        self._report, self._stop, self._start = report, stop, time.monotonic()
        self._say(0.0)

    def tick(self, share: float) -> None:
        """Report that this share of the present block is done."""
        if self._stop():
            raise Cancelled
        self._say(share)

    def next_block(self) -> None:
        """Count a block as written."""
        self._done += 1
        self.tick(0.0)

    def _say(self, share: float) -> None:
        now = self._done + share
        work = now - self._first
        left = (time.monotonic() - self._start) * (self._blocks - now) / work if work else 0.0
        self._report(Progress(self._stage, round(1000 * now / self._blocks), 1000, left))


LEAST_WINDOW = 32


def read_windows(request: Prune, longest: int) -> Tensor:
    """Token ids [windows, tokens] of the text that shows which weights matter: at most `request.chunks` windows (0:
    all), from all over the text.

    Each begins with BOS where the model's tokenizer puts one. `longest` is the model's longest context. Raises AppError
    where the text is shorter than one window or cannot be read.
    """
    path = request.text or CALIBRATION_TEXT
    text = read_text(path).decode("utf-8")
    length = max(LEAST_WINDOW, min(request.context_tokens, longest))
    start, ids = _tokenize(request.source, text)
    step = length - len(start)
    count = len(ids) // step
    if count == 0:
        raise AppError(
            f"The text {path.name} is too short: it has {len(ids):,} tokens, and one window takes {step:,}.",
            "Take a longer text: 50 windows or more are good.",
        )
    wanted = min(count, request.chunks or count)
    places = [number * count // wanted * step for number in range(wanted)]
    return torch.tensor([[*start, *ids[place : place + step]] for place in places])


def _tokenize(folder: Path, text: str) -> tuple[list[int], list[int]]:
    """Ids that the tokenizer puts before a text (BOS, or none), and the ids of the text itself."""
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        with_bos = tokenizer("a", verbose=False)["input_ids"][:1]
    except Exception as error:  # tokenizers raises a bare Exception for a file that it cannot read
        raise PruneError(
            f"The tokenizer of {folder.name} cannot be read: {printable(str(error))[:200]}.",
            "Download tokenizer.json again.",
        ) from error
    bos = tokenizer.bos_token_id
    return ([bos] if bos is not None and with_bos == [bos] else []), list(ids)


def publish(request: Prune, writer: FolderWriter, step: ProvenanceStep, report: Report, stop: ShouldStop) -> int:
    """Hash the shards, write the manifest, and rename the folder to `request.output`. Returns the size of the
    shards.
    """
    files = {name: (writer.folder / name).stat().st_size for name in writer.state.shards}
    on_bytes = _progress(sum(files.values()), report, stop)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    parent = os.path.relpath(request.source.resolve(), request.output.resolve()).replace(os.sep, "/")
    manifest = Manifest()
    for name, size in files.items():
        sha256 = sha256_of(writer.folder / name, on_bytes)
        origin = FileOrigin(sha256, size, date=now, parent=parent, steps=(step,))
        manifest = manifest.with_file(name, origin)
    write_manifest(writer.folder, manifest)
    if request.output.exists():
        raise StorageError(f"“{request.output.name}” is there already.", "Delete it, or choose another name.")
    writer.publish()
    return sum(files.values())


def _progress(total: int, report: Report, stop: ShouldStop) -> Callable[[int], None]:
    done = 0

    def on_bytes(count: int) -> None:
        nonlocal done
        if stop():
            raise Cancelled
        done += count
        report(Progress(Stage.VERIFY, done * 1000 // max(total, 1), 1000))

    return on_bytes


# Checks before a pruning writes its first byte.


_VERSION = 1
"""Version of the algorithm, raised when it changes: a run does not continue what an older version left."""
_NOT_THE_RESULT = ("source", "output", "rewind", "text", "threads")


def check_request(request: Prune, work: Path) -> None:
    """Raise PruneError, StorageError or ModelFileError for what cannot be done. `work` is the folder left by a run that
    was killed at its very end.
    """
    if request.output.exists():
        shutil.rmtree(work, ignore_errors=True)
        raise StorageError(f"“{request.output.name}” is there already.", "Delete it, or choose another name.")
    for folder in (request.source, request.rewind):
        if folder is not None and not folder.is_dir():
            what = "a file; pruning starts from a Hugging Face folder" if folder.exists() else "not there"
            raise ModelFileError(
                f"“{folder}” is {what}.", "Choose the folder of the original model, downloaded with its weights."
            )
    parent = request.output.parent
    if not parent.is_dir():
        raise StorageError(f"There is no folder {parent}.", "Make it, or choose another one.")
    if not os.access(parent, os.W_OK):
        raise StorageError(f"The folder {parent} may not be written to.", "Choose another one for the result.")
    _check_amount(request.amount)
    if request.pattern and request.method not in SPARSE:
        raise PruneError(
            f"A pattern of zeros ({request.pattern}) is for the methods that set zeros; this one takes parts away.",
            "Leave the pattern out, or take Wanda or SparseGPT.",
        )


def check_room(request: Prune, model: BlockModel, report: Report) -> None:
    """Report how much memory it takes. Raises PruneError where there is less, DiskFullError for the disk."""
    memory = memory_bytes(request, model.tensors.values(), int(model.windows.numel()))
    available = available_memory_bytes()
    whole = PROGRAM_BYTES + memory  # the figure that a plan shows
    if memory > available:  # the libraries are loaded by now, so that they are not in what is free
        raise PruneError(
            f"Pruning takes {size_text(whole)} of memory; {size_text(available + PROGRAM_BYTES)} can be had.",
            "Close other programs, take fewer or shorter windows of text, or a method that needs less.",
        )
    report(Notice(f"Pruning takes up to {size_text(whole)} of memory."))
    needed = sum(tensor.size_bytes for tensor in model.tensors.values()) + 2 * _activation_bytes(model)
    hint = "Free some space, or choose a folder on a larger disk."
    require_room("It takes up to", needed, request.output.parent, hint)


def check_same_shapes(model: BlockModel, early: BlockModel) -> None:
    """Raise PruneError where `early` is not the same model at another time of its training."""
    shapes, others = ({name: t.shape for name, t in m.tensors.items()} for m in (model, early))
    if shapes != others:
        raise PruneError(
            f"“{early.folder.name}” has other tensors than “{model.folder.name}”: it is not the same model, earlier.",
            "Choose a folder that was saved while this model was trained.",
        )


def key_of(request: Prune) -> str:
    """A digest that is equal for two requests that make the same folder from the same files."""
    said = {k: v for k, v in dataclasses.asdict(request).items() if k not in _NOT_THE_RESULT}
    files = [_stamps(folder) for folder in (request.source, request.rewind) if folder is not None]
    text = read_text(request.text or CALIBRATION_TEXT)
    return hashlib.sha256(json.dumps([_VERSION, said, files]).encode() + text).hexdigest()


def _check_amount(amount: float) -> None:
    if math.isnan(amount) or not 0.0 < amount < 1.0:
        said = "not a number" if math.isnan(amount) else percent(amount)
        raise PruneError(
            f"The share to take away is {said}; it must be more than nothing and less than everything.",
            "A quarter is 0.25.",
        )


def _stamps(folder: Path) -> list[tuple[str, int, int]]:
    files = [*weight_files(folder), *(file for file in folder.glob("*.json") if file.name != "manifest.json")]
    return sorted((str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files)


def _activation_bytes(model: BlockModel) -> int:
    return int(model.windows.numel()) * int(model.config.hidden_size) * 4


# The class of each method.


METHODS: dict[PruneMethod, Callable[[Prune, ShouldStop], Method]] = {
    PruneMethod.MAGNITUDE: Magnitude,
    PruneMethod.GLOBAL_MAGNITUDE: GlobalMagnitude,
    PruneMethod.WANDA: Wanda,
    PruneMethod.SPARSEGPT: SparseGpt,
    PruneMethod.FFN: Ffn,
    PruneMethod.KV_GROUPS: KvGroups,
    PruneMethod.LAYERS: Layers,
}
