"""What the engine says to the window: its states and its signals."""

from __future__ import annotations

from enum import StrEnum

from PySide6.QtCore import QObject, Signal


class EngineState(StrEnum):
    """What the engine is doing. There is a child in all but EMPTY and CRASHED."""

    EMPTY = "empty"
    LOADING = "loading"
    """Loading a model, or measuring thread counts. Requests wait."""
    READY = "ready"
    GENERATING = "generating"
    STOPPING = "stopping"
    CRASHED = "crashed"
    """The child died and nobody had asked it to. No model is loaded."""


class EngineSignals(QObject):
    """The signals of `ChatEngine`."""

    state_changed = Signal(object)  # EngineState
    progress = Signal(object)  # Progress
    model_loaded = Signal(object)  # ModelLoaded
    too_large = Signal(object)
    """TooLarge: ask the user, and `load` again with `load_anyway`."""
    prompt_ready = Signal(object)  # PromptReady
    token = Signal(object)  # Token
    answer_finished = Signal(object)
    """AnswerStatistics, also of an answer that was stopped. Followed by `answer_ended`."""
    answer_ended = Signal(str)
    """Empty, or the sentence why the answer did not finish."""
    token_count = Signal(object)  # TokenCount
    conversation_opened = Signal(object)  # ConversationOpened
    threads_measured = Signal(object)  # ThreadCounts
    drafting = Signal(object)  # DraftFigures, while an answer is generated
    draft_verdict = Signal(object)  # DraftVerdict
    draft_checked = Signal(object)  # DraftCheck
    trial_ended = Signal()
    """A comparison or check of drafts is over: finished, stopped or failed."""
    failed = Signal(object)  # Failure
    notice = Signal(str)
