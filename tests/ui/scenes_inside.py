"""Looking inside a model, with sample tensors: the list, one of them, one being read, suggested types."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from PySide6.QtWidgets import QWidget

from app.inspect.messages import (
    Channel,
    ChannelPicture,
    GroupCost,
    Histogram,
    Inside,
    LookAtTensor,
    LookInside,
    MethodError,
    MethodKind,
    TensorLook,
    TensorRow,
    TypesSuggested,
)
from app.operation import Progress
from app.operation import Stage as Step
from app.quantize.messages import TensorOverride
from tests.ui.scenes import Stage
from tests.ui.scenes_ledger import FOLDER, fill, source
from tests.ui.seen import clock_of
from ui.inspect.window import InsideWindow

_KINDS = {
    "input_layernorm": (2048,),
    "mlp.down_proj": (2048, 6144),
    "mlp.gate_proj": (6144, 2048),
    "mlp.up_proj": (6144, 2048),
    "post_attention_layernorm": (2048,),
    "self_attn.k_proj": (1024, 2048),
    "self_attn.o_proj": (2048, 2048),
    "self_attn.q_proj": (2048, 2048),
    "self_attn.v_proj": (1024, 2048),
}
CHOSEN = "model.layers.2.mlp.down_proj.weight"
_ERRORS = (
    (MethodKind.SCALAR, "Min-max, 8 bits, whole tensor", 8.0, 34.4, "256 even steps from the smallest weight to the "
     "largest: one far weight spoils all."),
    (MethodKind.SCALAR, "Min-max, 8 bits, each row", 8.01, 41.9, "256 even steps for each row."),
    (MethodKind.SCALAR, "Min-max, 4 bits, whole tensor", 4.0, 9.8, "16 even steps from the smallest to the largest."),
    (MethodKind.SCALAR, "Min-max, 4 bits, blocks of 32", 5.0, 22.0, "16 steps for every 32 weights. "
     "GGUF's Q4_1 is close to it."),
    (MethodKind.CODEBOOK, "k-means, 16 values", 4.0, 18.9, "16 values where the weights are. No GGUF "
     "type stores it: to compare with, not to use."),
    (MethodKind.CODEBOOK, "Product quantization, pairs", 4.01, 20.5, "Two weights become one of 256 learned pairs. No "
     "GGUF type stores it: to compare with, not to use."),
    (MethodKind.GGUF, "Q8_0", 8.5, 45.5, "Blocks of 32 share a scale; 8 bits each. Nothing lost that can be noticed."),
    (MethodKind.GGUF, "Q6_K", 6.56, 34.8, "256 weights with 16 scales of 8 bits: very close to the source."),
    (MethodKind.GGUF, "Q4_K", 4.5, 22.8, "As Q5_K with 4 bits: most of a Q4_K_M file."),
    (MethodKind.GGUF, "Q4_0", 4.5, 21.1, "Blocks of 32 share one scale, 16 even steps: the fastest."),
    (MethodKind.GGUF, "Q2_K", 2.63, 10.4, "256 weights, 4 steps each: much is lost."),
)  # fmt: skip


def tensors(prefix: str = "model.") -> tuple[TensorRow, ...]:
    """Of a model with 28 layers."""
    rows = [_row(f"{prefix}embed_tokens.weight", (151_936, 2048), -1), _row(f"{prefix}norm.weight", (2048,), -1)]
    for layer in range(28):
        rows += [_row(f"{prefix}layers.{layer}.{kind}.weight", shape, layer) for kind, shape in _KINDS.items()]
    return tuple(rows)


def _row(name: str, shape: tuple[int, ...], block: int) -> TensorRow:
    elements = math.prod(shape)
    return TensorRow(name, shape, "BF16", elements, 2 * elements, block)


def look(name: str = CHOSEN) -> TensorLook:
    """A bell with a far tail, and three channels that stand out."""
    row = next(tensor for tensor in tensors() if tensor.name == name)
    counts = tuple(round(180_000 * math.exp(-(((number - 60) / 17) ** 2) / 2)) for number in range(121))
    histogram = Histogram(-0.082, 0.082, counts, 214, 198, 4_194_304, 0.00002, 0.0164, 0.41, 2.31, 310)
    bars = [1 + 0.25 * math.sin(number * 1.7) * math.cos(number * 0.31) for number in range(256)]
    outliers = (Channel(4021, 17.5), Channel(1172, 11.9), Channel(588, 7.2))
    for channel in outliers:
        bars[channel.number * 256 // 6144] = channel.times
    pictures = (
        ChannelPicture("weights", 6144, 3.0, tuple(min(bar, 1.9) for bar in bars), (), 0),
        ChannelPicture("inputs", 6144, 6.0, tuple(bars), outliers, 3),
    )
    errors = [
        MethodError(kind, title, bits, 0.0164 * 10 ** (-noise / 20), noise, words)
        for kind, title, bits, noise, words in _ERRORS
    ]
    problem = "Does not fit this tensor: its rows have 6,144 weights, which 1000 does not divide."
    errors.append(dataclasses.replace(errors[-1], name="Q3_K", bits=3.44, problem=problem))
    notes = (
        "Large: 682 of its 2,048 rows were read, chosen at random, the same at every look.",
        "The errors are of 85 of its 2,048 rows.",
    )
    return TensorLook(FOLDER, row, histogram, tuple(errors), pictures, notes)


def suggestion(*, better: bool = True) -> TypesSuggested:
    """Of the same model."""
    names = ("ffn_down", "attn_v", "ffn_up", "ffn_gate", "attn_output", "attn_k", "attn_q")
    groups = [GroupCost("token_embd", 311_164_928, 0.01033, "Q5_K", "Q6_K")]
    for number, name in enumerate(names):
        for band, layers in enumerate(("0 to 9", "10 to 18", "19 to 27")):
            cost = 0.0042 / (1 + number) / (1 + 0.6 * band)
            kind = "Q6_K" if number < 2 and band == 0 else "Q5_K" if number < 3 else "Q4_K"
            groups.append(GroupCost(f"{name}, layers {layers}", 115_343_360, cost, kind, "Q4_K"))
    overrides = (
        TensorOverride(r"^token_embd\.weight", "Q5_K"),
        TensorOverride(r"^blk\.(0|1|2|3|4|5|6|7|8|9)\.ffn_down\.weight", "Q6_K"),
    )
    sentence = (
        "These types lose 35 % less than Q4_K_M: KL divergence 0.0304 instead of 0.0467, at the same size."
        if better
        else "The usual mixture Q4_K_M is as good: KL divergence 0.0461 instead of 0.0467, at the same size."
    )
    ours = 0.0304 if better else 0.0461
    return TypesSuggested(
        FOLDER, "Q4_K_M", tuple(groups), overrides, 1_107_000_000, 1_106_200_000, 0.0467, 0.0012, ours, 0.0011, 8128,
        better, sentence,
    )  # fmt: skip


def _window(stage: Stage) -> InsideWindow:
    fill(stage)
    window = InsideWindow(source(), stage.window)
    window.begin()
    window.show()
    return window


def _listed(stage: Stage) -> InsideWindow:
    window = _window(stage)
    window.show_list(Inside(FOLDER, tensors()))
    return window


def inside(stage: Stage) -> QWidget:
    window = _listed(stage)
    window.list.tree.topLevelItem(3).setExpanded(True)
    window.list.choose(CHOSEN)
    clock_of(window).stop()  # the sample is not there to be read
    window.show_look(look())
    return window


def inside_reading(stage: Stage) -> QWidget:
    return _window(stage)


def inside_listed(stage: Stage) -> QWidget:
    return _listed(stage)


def inside_busy(stage: Stage) -> QWidget:
    window = _listed(stage)
    window.list.filter.setText("down_proj")
    window.list.choose(CHOSEN)
    return window


def inside_failed(stage: Stage) -> QWidget:
    window = _window(stage)
    sentence = (
        "“model-00002-of-00002.safetensors” is cut off: 1,204,224 bytes are missing. Download it again, or go on."
    )
    window.refuse(LookInside(FOLDER), sentence)
    return window


def inside_tensor_failed(stage: Stage) -> QWidget:
    window = _listed(stage)
    window.list.choose(CHOSEN)
    clock_of(window).stop()
    window.refuse(LookAtTensor(FOLDER, CHOSEN), "“Qwen3-1.7B” has no tensor of this name any more. Look at it again.")
    return window


def inside_long_names(stage: Stage) -> QWidget:
    window = _window(stage)
    prefix = "thinker.model.language_model.decoder.transformer."
    window.show_list(Inside(FOLDER, tensors(prefix)))
    name = prefix + "layers.0.mlp.down_proj.weight"
    window.list.choose(name)
    clock_of(window).stop()
    row = dataclasses.replace(look().tensor, name=name)
    window.show_look(dataclasses.replace(look(), tensor=row))
    return window


def inside_types(stage: Stage) -> QWidget:
    window = _listed(stage)
    window.show_types()
    return window


def inside_types_running(stage: Stage) -> QWidget:
    window = _listed(stage)
    window.show_types()
    window.show_progress(Progress(Step.SENSITIVITY, 9, 22, 412.0))
    return window


def inside_types_found(stage: Stage) -> QWidget:
    window = _listed(stage)
    window.show_types()
    window.show_suggestion(suggestion())
    return window


def inside_types_failed(stage: Stage) -> QWidget:
    window = _listed(stage)
    window.show_types()
    sentence = (
        "Measuring takes up to 10.4 GB on the disk, and 0.2 GB must stay free there; 2.1 GB are free now. "
        "Free some space, or move Bantam's folder to a larger disk."
    )
    window.show_no_suggestion(sentence)
    return window


INSIDE_SCENES: tuple[Callable[[Stage], QWidget | None], ...] = (
    inside, inside_reading, inside_listed, inside_busy, inside_failed, inside_tensor_failed, inside_long_names,
    inside_types, inside_types_running, inside_types_found, inside_types_failed,
)  # fmt: skip
