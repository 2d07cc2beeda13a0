"""Every error Bantam raises on purpose. An `AppError` is shown to the user in its own words; anything else is a bug."""

from __future__ import annotations


class AppError(Exception):
    """A failure the user is told of: one sentence, and where it helps, what to do next."""

    def __init__(self, sentence: str, hint: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint


class Cancelled(Exception):  # noqa: N818  (not an error, and never shown as one)
    """The user stopped the operation. Never shown as a failure."""


class ModelFileError(AppError):
    """The file is not a model that can be used, and the sentence says what is wrong with it."""


class LoadError(AppError):
    """A valid file that the engine could not load."""


class TemplateError(AppError):
    """The model's chat template raised, ran too long, or produced too much."""


class ContextError(AppError):
    """The prompt does not fit in the context, even with everything left out that may be."""


class StorageError(AppError):
    """A file or database of Bantam's could not be read or written."""


class HubError(AppError):
    """The hub refused, or answered what cannot be used."""


class OfflineError(HubError):
    """The hub could not be reached: no network, no answer in time, or the connection was lost."""


class GatedError(HubError):
    """The files need the author's permission: a token, or conditions accepted on the hub's page."""


class DiskFullError(StorageError):
    """There is not enough room on the disk; nothing that was there is lost."""


class ConversionError(AppError):
    """A Hugging Face folder that cannot become a GGUF file: the sentence says why, the hint what would be needed."""


class QuantizeError(AppError):
    """A model that could not be quantized."""


class PruneError(AppError):
    """A model that could not be pruned, and is as it was."""


class RecoverError(AppError):
    """A pruned model that could not be trained, or was no better for it; it is as it was."""


class NotBetterError(RecoverError):
    """The training did its work, and the model is no better for it: how good it was before is said."""

    def __init__(self, sentence: str, hint: str = "", kl: float = 0.0, perplexities: tuple[float, float] = (0.0, 0.0)):
        """`perplexities` of the teacher and of the model; `kl` between them, in nats."""
        super().__init__(sentence, hint)
        self.kl = kl
        self.perplexities = perplexities


class DraftError(AppError):
    """A draft that cannot be made of the model."""


class RecipeError(AppError):
    """A recipe that cannot be read, or that cannot be carried out."""
