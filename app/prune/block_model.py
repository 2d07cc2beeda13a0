"""A Hugging Face folder as a row of transformer blocks, of which one at a time is in memory.

transformers builds the model on torch's meta device, without weights, from config.json. One pass over the calibration
text, in which every block passes its input on unchanged, shows what goes into the first block and with which arguments
(masks, rotary embeddings) the model calls each of them. So nothing here depends on the model's family.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from app.convert.checkpoint import SourceTensor, open_checkpoint
from app.convert.configuration import read_config
from app.errors import PruneError
from app.library.gguf_reader import printable
from app.prune.weights import linear_layers, read_float32, read_rows
from app.system.files import read_json

FAMILIES = frozenset(
    f"{name}ForCausalLM" for name in ("Llama", "Mistral", "Qwen2", "Qwen3", "Gemma", "Gemma2", "Gemma3")
)
"""Families that can be pruned, by the architecture's name in config.json."""
_BLOCKS, _EMBEDDING, _NORM, _OUTPUT = "model.layers.", "model.embed_tokens.", "model.norm.", "lm_head."


class BlockModel:
    """The model in a folder. A block's weights are read when they are asked for, and freed with the block."""

    def __init__(self, folder: Path) -> None:
        """Read the headers. Raises ConversionError, and PruneError for a model that cannot be taken apart."""
        self.folder = folder
        architecture = read_config(folder).architecture
        if architecture not in FAMILIES:
            known = ", ".join(sorted(name.removesuffix("ForCausalLM") for name in FAMILIES))
            raise PruneError(
                f"The model is a {printable(architecture) or 'model of a kind it does not name'}, which cannot be "
                "pruned here yet.",
                f"Known are {known}.",
            )
        self.config_values: dict[str, Any] = read_json(folder / "config.json")
        self.tensors: Mapping[str, SourceTensor] = open_checkpoint(folder)
        self._model = _on_meta(folder)
        self.config = self._model.config
        self.windows = torch.empty(0, 0, dtype=torch.int64)
        """Token ids of the calibration text, [windows, tokens]; none for a method that reads no text."""
        self._shells: list[nn.Module] = list(self._model.model.layers)
        self._arguments: list[dict[str, Any]] = []
        self._head: nn.Module | None = None
        self._check_names()

    @property
    def layers(self) -> int:
        """Number of blocks."""
        return len(self._shells)

    def block_tensors(self, index: int) -> dict[str, SourceTensor]:
        """The tensors of a block in the folder, by their name inside the block."""
        start = f"{_BLOCKS}{index}."
        names = [name for name, _ in self._shells[index].named_parameters()]
        return {name: self.tensors[start + name] for name in names}

    def other_tensors(self) -> dict[str, SourceTensor]:
        """Embedding, last norm and output matrix, by their whole names."""
        return {name: tensor for name, tensor in self.tensors.items() if not name.startswith(_BLOCKS)}

    def shell(self, index: int) -> nn.Module:
        """The block on the meta device: shapes without weights."""
        return self._shells[index]

    def linear_tensors(self, index: int) -> dict[str, SourceTensor]:
        """The matrices of a block's linear layers on disk, by the layer's name inside the block."""
        tensors = self.block_tensors(index)
        return {name: tensors[f"{name}.weight"] for name in linear_layers(self._shells[index])}

    def matrices(self) -> Iterator[tuple[int, str, SourceTensor]]:
        """Every matrix that can be pruned: number of the block, name of the layer inside it, tensor on disk."""
        for index in range(self.layers):
            for name, tensor in self.linear_tensors(index).items():
                yield index, name, tensor

    def block(self, index: int) -> nn.Module:
        """The block in float32. Raises PruneError where a weight is not a number."""
        block = copy.deepcopy(self._shells[index])
        for name, tensor in self.block_tensors(index).items():
            values = read_float32(tensor)
            if not values.isfinite().all():
                raise PruneError(
                    f"Block {index} of the model has a weight that is not a number, in “{name}”.",
                    "The file is damaged, or the training of the model went wrong. Download it again.",
                )
            _set_parameter(block, name, values)
        _fill_buffers(self._model, block)
        return block.eval()

    @torch.no_grad()
    def embed(self, windows: Tensor) -> Tensor:
        """The input of the first block: token ids [windows, tokens] to float32 [windows, tokens, width].

        Only the rows of the embedding that the text uses are read. The blocks can be run only after this call.
        """
        used, places = torch.unique(windows, return_inverse=True)
        embedding = self._model.get_input_embeddings()
        embedding.padding_idx = None  # the index counts rows of the whole matrix
        embedding.weight = nn.Parameter(read_rows(self.tensors[f"{_EMBEDDING}weight"], used.tolist()), False)
        self._arguments = [{} for _ in self._shells]
        hidden = torch.empty(*windows.shape, self.config.hidden_size)
        with _recording(self._shells, self._arguments):
            for place, window in enumerate(places):
                hidden[place] = self._model.model(window[None], use_cache=False).last_hidden_state[0]
        embedding.weight = nn.Parameter(embedding.weight.to("meta"), False)
        return hidden

    @torch.no_grad()
    def run(self, index: int, block: nn.Module, hidden: Tensor) -> Tensor:
        """Run one window through a block: [tokens, width] to the same. `index` tells which recorded arguments to
        use.
        """
        out = block(hidden[None], **self._arguments[index])
        values: Tensor = out[0] if isinstance(out, tuple) else out
        return values[0]

    @torch.no_grad()
    def logits(self, hidden: Tensor) -> Tensor:
        """The last norm and the output matrix applied to [tokens, width]; returns [tokens, vocabulary].

        Both stay in memory from the first call on, in float32.
        """
        if self._head is None:
            self._head = self._read_head()
        logits: Tensor = self._head(hidden)
        cap = getattr(self.config, "final_logit_softcapping", None)
        return torch.tanh(logits / cap) * cap if cap else logits

    def free_head(self) -> None:
        """Free the memory of what `logits` keeps."""
        self._head = None

    def _read_head(self) -> nn.Module:
        norm = copy.deepcopy(self._norm)
        _set_parameter(norm, "weight", read_float32(self.tensors[f"{_NORM}weight"]))
        name = f"{_OUTPUT}weight" if f"{_OUTPUT}weight" in self.tensors else f"{_EMBEDDING}weight"
        output = nn.Linear(1, 1, bias=False)
        output.weight = nn.Parameter(read_float32(self.tensors[name]), False)
        return nn.Sequential(norm, output)

    def _check_names(self) -> None:
        """Raise PruneError where the files hold other tensors than the configuration calls for."""
        self._norm = self._model.model.norm
        self._model.model.norm = nn.Identity()
        wanted = {f"{_EMBEDDING}weight": self._model.get_input_embeddings().weight}
        for index, shell in enumerate(self._shells):
            wanted |= {f"{_BLOCKS}{index}.{name}": value for name, value in shell.named_parameters()}
        for name, value in wanted.items():
            tensor = self.tensors.get(name)
            if tensor is None or tensor.shape != tuple(value.shape):
                what = "does not hold" if tensor is None else "holds in another shape"
                raise PruneError(
                    f"The folder {what} “{name}”, which config.json speaks of.",
                    "Download the model again, all of its files from one version.",
                )


def _on_meta(folder: Path) -> Any:
    """The model without weights. Raises PruneError for a configuration that transformers does not take."""
    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            # Eager attention has all that any family needs (soft caps), and gives the same result on every machine.
            build: Any = transformers.AutoModelForCausalLM.from_config
            model = build(config, trust_remote_code=False, attn_implementation="eager", dtype=torch.float32).eval()
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise PruneError(f"config.json does not describe a model: {printable(str(error))[:200]}.") from error
    for module in model.modules():
        _fill_own_buffers(model, module)
    return model


def _fill_buffers(model: Any, module: nn.Module) -> None:
    for part in module.modules():
        _fill_own_buffers(model, part)


def _fill_own_buffers(model: Any, module: nn.Module) -> None:
    """Compute the buffers that no file stores, such as rotary frequencies, as transformers does when it initialises a
    module.
    """
    if any(buffer.is_meta for buffer in module.buffers(recurse=False)):
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, torch.empty_like(buffer, device="cpu"))
        with torch.no_grad():
            model._init_weights(module)


def _set_parameter(module: nn.Module, name: str, values: Tensor) -> None:
    path, _, last = name.rpartition(".")
    module.get_submodule(path).register_parameter(last, nn.Parameter(values, requires_grad=False))


class _recording:  # noqa: N801  (used as a function)
    """Context in which each block records the arguments of its first call and passes its input on unchanged."""

    def __init__(self, blocks: list[nn.Module], arguments: list[dict[str, Any]]) -> None:
        self._blocks, self._arguments = blocks, arguments

    def __enter__(self) -> None:
        for block, kept in zip(self._blocks, self._arguments, strict=True):
            block.forward = _hand_on(kept)

    def __exit__(self, *_error: object) -> None:
        for block in self._blocks:
            del block.forward


def _hand_on(kept: dict[str, Any]) -> Any:
    def forward(hidden: Tensor, *positional: Any, **arguments: Any) -> Tensor:
        if positional:
            raise TypeError("a block is called with positional arguments")
        if not kept:
            kept.update(arguments)
        return hidden

    return forward
