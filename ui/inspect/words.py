"""What is found inside a model, in the user's words."""

from __future__ import annotations

from app.inspect.messages import ChannelPicture, Histogram, MethodError, TensorRow, TypesSuggested
from app.units import grouped, percent
from ui.words import size

_HEAVY_TAILS = 1.0
_MANY_ZEROS = 0.005
_NO_COLUMNS = "GGUF has one type for a whole tensor: give it a better one, or fold them (best rounding)."


def breakable(name: str) -> str:
    """A tensor's name with places where a line may end: zero-width spaces after its dots and underscores."""
    return name.replace(".", ".\u200b").replace("_", "_\u200b")


def shape_words(tensor: TensorRow) -> str:
    """ "512 × 1536": rows, then columns."""
    return " × ".join(map(str, tensor.shape))


def facts_words(tensor: TensorRow) -> str:
    """One line below the tensor's name."""
    return f"{shape_words(tensor)} · {tensor.type} · {grouped(tensor.elements)} weights · {size(tensor.size_bytes)}"


def histogram_words(found: Histogram) -> str:
    """The figures, and what the last of them means."""
    if not found.read:
        return "No weight in it is a number."
    tails = "many far values" if found.excess_kurtosis > _HEAVY_TAILS else "few far values"
    words = (
        f"Mean {found.mean:.3g}, standard deviation {found.deviation:.3g}, largest {found.largest:.3g}; "
        f"kurtosis {found.excess_kurtosis:+.2f} over a normal distribution: {tails}."
    )
    zeros = found.zeros / found.read
    return words + (f" {percent(zeros, 1)} are zero." if zeros >= _MANY_ZEROS else "")


def channels_words(picture: ChannelPicture) -> str:
    """How many stand out and which is the strongest; colour is not the only sign."""
    what = "norm of its weights" if picture.measure == "weights" else "size of its inputs"
    if not picture.found:
        return f"No channel stands out: none is {picture.threshold:g} times the median by the {what}."
    first = picture.outliers[0]
    verb = "stands" if picture.found == 1 else "stand"
    return (
        f"{grouped(picture.found)} of {grouped(picture.channels)} {verb} out, {picture.threshold:g} times the median "
        f"or more by the {what}; the strongest is {first.number}, {first.times:.1f} times. {_NO_COLUMNS}"
    )


def noise_words(error: MethodError) -> str:
    """ "22.8 dB", "exact", or a dash where it does not fit."""
    if error.problem:
        return "—"
    return "exact" if error.exact else f"{error.signal_to_noise:.1f} dB"


def suggestion_words(found: TypesSuggested) -> str:
    """The verdict, and how sure it is."""
    return (
        f"{found.sentence} Measured on {grouped(found.scored_tokens)} tokens of another text "
        f"(± {found.usual_kl_error:.4f} and ± {found.suggested_kl_error:.4f})."
    )
