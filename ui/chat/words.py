"""The sentences of the chat: statistics, why an answer ended, what was left out. Plain words first."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from app.chat.conversation import MessageState, StoredMessage
from app.engine.messages import AnswerStatistics, StopReason

UNANSWERED = "This message has no answer yet."
_DOT = " · "
_REASONS = {
    StopReason.END: "",
    StopReason.STOP_STRING: "Ended at one of the stop strings.",
    StopReason.MAX_TOKENS: "Ended at the maximum number of tokens set for an answer. Allow more under “Sampling”.",
    StopReason.CONTEXT_FULL: "The context is full, so the answer ends here. Start a new chat, or give the model "
    "a larger context in the settings.",
    StopReason.STOPPED: "Stopped by you.",
}


def statistics_line(statistics: AnswerStatistics) -> str:
    """One line under an answer."""
    s = statistics
    parts = [_count(s.new_tokens, "token")]
    if s.new_tokens > 1:
        parts.append(f"{s.tokens_per_second:.1f} tokens/s")
        mean_ms = 1000 / s.tokens_per_second if s.tokens_per_second else 0.0  # the rate, the other way round
        parts.append(f"{_ms(mean_ms)} ms a token (95 % within {_ms(s.ms_per_token_p95)})")
    if s.new_tokens:
        parts.append(f"first token after {seconds(s.time_to_first_token_ms)}")
    if s.reused_tokens:
        parts.append(f"reused {s.reused_tokens:,} of {s.prompt_tokens:,} prompt tokens")
    else:
        parts.append(_count(s.prompt_tokens, "prompt token"))
    if s.draft_tokens:
        parts.append(f"{s.draft_tokens:,} from the draft")
    return _DOT.join(parts)


def end_line(message: StoredMessage) -> str:
    """Why the answer ended, where that needs saying."""
    if message.statistics is not None and message.statistics.stop_reason is not StopReason.END:
        return _REASONS[message.statistics.stop_reason]
    if message.state is MessageState.INTERRUPTED:
        return "Interrupted: the answer is not complete."
    return ""


def left_out_line(messages: int, context_tokens: int) -> str:
    """What the model did not see; "" when it saw everything. `context_tokens` 0 is not known."""
    if not messages:
        return ""
    context = f"the context of {context_tokens:,} tokens" if context_tokens else "the context"
    if messages == 1:
        return f"The oldest message was left out: it no longer fits in {context}."
    return f"The {messages} oldest messages were left out: they no longer fit in {context}."


def reasoning_title(running: bool, elapsed_ms: float | None, estimated: bool = False) -> str:
    """The header of a folded reasoning block."""
    word = "Reasoning…" if running else "Reasoning"
    if elapsed_ms is None:
        return word
    return f"{word}{_DOT}{'about ' if estimated else ''}{duration(elapsed_ms)}"


def model_line(loading: bool, missing: bool) -> str:
    """The line under the composer, while a message would not be answered at once."""
    if missing:
        return "No model is loaded. Choose one with Ctrl+L; what you write here is kept."
    return "The model is not ready yet. A message sent now is answered as soon as it is." if loading else ""


def context_line(tokens: int | None, context_tokens: int) -> str:
    """The context meter's words. `tokens` None is not known yet."""
    if not context_tokens:
        return ""
    return f"{'–' if tokens is None else f'{tokens:,}'} of {context_tokens:,} tokens"


def seconds(milliseconds: float) -> str:
    """23 ms, 0.4 s, 12 s."""
    if milliseconds < 100:
        return f"{milliseconds:.0f} ms"
    value = milliseconds / 1000
    return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"


def duration(milliseconds: float) -> str:
    """12 s, 2 min 5 s."""
    value = max(1, round(milliseconds / 1000))
    return f"{value} s" if value < 60 else f"{value // 60} min {value % 60} s"


def day_group(updated_at: float, now: float) -> str:
    """The heading a conversation stands under."""
    day, today = datetime.fromtimestamp(updated_at).date(), datetime.fromtimestamp(now).date()
    if day >= today:
        return "Today"
    return "Yesterday" if day == today - timedelta(days=1) else "Earlier"


def when(updated_at: float, now: float) -> str:
    """A time for today and yesterday, a date before."""
    moment = datetime.fromtimestamp(updated_at)
    if day_group(updated_at, now) != "Earlier":
        return moment.strftime("%H:%M")
    return _short_date(moment.date(), datetime.fromtimestamp(now).date())


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.0f}" if milliseconds >= 10 else f"{milliseconds:.1f}"


def _short_date(day: date, today: date) -> str:
    return f"{day.day} {day:%b}" if day.year == today.year else f"{day.day} {day:%b %Y}"


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"
