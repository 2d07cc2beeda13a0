"""What is asked of the one model that a process holds: load it, answer, and measure with it."""

from __future__ import annotations

from app.engine.draft_trial import check_draft, compare_draft
from app.engine.messages import (
    CheckDraft,
    CompareDraft,
    ConversationOpened,
    CountTokens,
    DraftCheck,
    DraftVerdict,
    Generate,
    LoadModel,
    MeasureThreads,
    ModelLoaded,
    OpenConversation,
    ThreadCounts,
    TokenCount,
    TooLarge,
)
from app.engine.session import Session
from app.errors import AppError
from app.operation import Context


def load_model(request: LoadModel, context: Context) -> ModelLoaded | TooLarge:
    """Load the model in place of the one that was loaded. Raises AppError, Cancelled; then none is loaded."""
    before, context.loaded.session = context.loaded.session, None
    if isinstance(before, Session):
        before.close()
    session = Session.load(request, context.paths, context.report, context.flag)
    if isinstance(session, TooLarge):
        return session
    context.loaded.session = session
    return session.loaded


def generate(request: Generate, context: Context) -> None:
    """Answer; each token is an event. Raises AppError, also where no model is loaded."""
    for token in _session(context).generate(request, context.report, context.flag):
        context.report(token)


def compare_with_draft(request: CompareDraft, context: Context) -> DraftVerdict:
    """Compare the speed with and without the draft. Raises AppError, Cancelled."""
    return compare_draft(_session(context), request, context.report, context.flag)


def check_with_draft(request: CheckDraft, context: Context) -> DraftCheck:
    """Compare the answers with and without the draft, token by token. Raises AppError, Cancelled."""
    return check_draft(_session(context), request, context.report, context.flag)


def open_conversation(request: OpenConversation, context: Context) -> ConversationOpened:
    """Restore what was kept of the conversation. Raises AppError where no model is loaded."""
    return _session(context).open_conversation(request)


def count_tokens(request: CountTokens, context: Context) -> TokenCount:
    """Count the tokens of a prompt. Raises AppError, also where no model is loaded."""
    return _session(context).count_tokens(request)


def measure_threads(_request: MeasureThreads, context: Context) -> ThreadCounts:
    """Measure with how many threads the model is fastest. Raises AppError where no model is loaded, Cancelled."""
    return _session(context).measure_threads(context.report, context.flag)


def _session(context: Context) -> Session:
    if not isinstance(context.loaded.session, Session):
        raise AppError("No model is loaded.", "Load one on the Models page.")
    return context.loaded.session
