"""Pruning, start to end: check, survey, then a block at a time: read, measure, cut, write, run on.

The next block is measured with what the blocks before it have become. What is finished outlives every interruption.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from app.convert.checkpoint import SourceTensor
from app.errors import Cancelled, PruneError, StorageError
from app.operation import Progress, Report, ShouldStop, Stage
from app.prune.block_model import BlockModel
from app.prune.checks import check_request, check_room, check_same_shapes, key_of
from app.prune.folder_writer import Entry, FolderWriter, shard_name
from app.prune.messages import Prune, Pruned
from app.prune.method import Method
from app.prune.methods import METHODS
from app.prune.publish import publish
from app.prune.statistics import collect, not_a_number
from app.prune.weights import as_bytes, linear_layers, read_float32, round_to
from app.prune.windows import read_windows
from app.system.hardware import physical_cores


def prune(request: Prune, report: Report, stop: ShouldStop) -> Pruned:
    """Make the folder `request.output`. Raises PruneError, ConversionError, StorageError, DiskFullError, Cancelled.

    The same request goes on at the last finished block after Cancelled, a StorageError or a kill; after the other
    errors nothing is left.
    """
    writer = FolderWriter(request.output)
    check_request(request, writer.work)
    torch.set_num_threads(request.threads or physical_cores())
    try:
        return _Run(request, writer, report, stop).run()
    except OSError as error:
        raise StorageError(
            f"“{request.output.name}” could not be written: {error.strerror or error}.",
            "See that there is room on the disk and that the folder may be written to.",
        ) from error


class _Run:
    """One run: what its parts share."""

    def __init__(self, request: Prune, writer: FolderWriter, report: Report, stop: ShouldStop) -> None:
        self._request, self._writer, self._report, self._stop = request, writer, report, stop
        self._start = time.monotonic()
        self._model = BlockModel(request.source)
        self._early = BlockModel(request.rewind) if request.rewind else None
        self._method: Method = METHODS[request.method](request, stop)

    def run(self) -> Pruned:
        """From the checks to the finished folder."""
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
        except PruneError:  # of the model itself: it would come again
            writer.remove()
            raise
        writer.complete(self._request.source, config)
        recipe = method.recipe()
        size = publish(self._request, writer, recipe, self._report, self._stop)
        return Pruned(
            path=self._request.output,
            recipe=recipe,
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
        """What flows into the block at which the work begins, or goes on."""
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
        """What is to be written of a block, and its zeros. `hidden` becomes what flows into the next one."""
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
        """Every window through the block, its outputs to `into`."""
        for number, window in enumerate(hidden):
            out = self._model.run(index, block, window)
            if into is not None:
                if not out.isfinite().all():
                    raise not_a_number(index, "in its output")
                into[number] = out
            clock.tick((number + 1) / len(hidden) / 2 + (0.5 if into is not None else 0.0))

    def _types(self, index: int, block: nn.Module) -> dict[str, str]:
        """What the parameters of the block are stored as; new ones as most of it is."""
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
    """The earlier weights, zero where the pruned ones are; read when they are written."""

    def data() -> Iterator[memoryview]:
        return as_bytes(read_float32(tensor).masked_fill_(pruned == 0, 0.0), tensor.dtype)

    return Entry(name, tensor.dtype, tensor.shape, data)


class _Clock:
    """How far it is, in blocks; raises Cancelled after a stop."""

    def __init__(self, stage: Stage, blocks: int, done: int, report: Report, stop: ShouldStop) -> None:
        self._stage, self._blocks, self._first, self._done = stage, blocks, done, done
        self._report, self._stop, self._start = report, stop, time.monotonic()
        self._say(0.0)

    def tick(self, share: float) -> None:
        """A part of the present block is done."""
        if self._stop():
            raise Cancelled
        self._say(share)

    def next_block(self) -> None:
        """A block is written."""
        self._done += 1
        self.tick(0.0)

    def _say(self, share: float) -> None:
        now = self._done + share
        work = now - self._first
        left = (time.monotonic() - self._start) * (self._blocks - now) / work if work else 0.0
        self._report(Progress(self._stage, round(1000 * now / self._blocks), 1000, left))
