"""The model's chat template: a Jinja program from a stranger's file, rendered in a sandbox, bounded in time and memory.

The sandbox of jinja2 stops a template from reaching Python; it does not stop `'a' * 300000000` or nested loops. So
operators that multiply text are refused, methods and filters that pad it are absent, a deadline interrupts the render,
and where the system allows it the address space is capped while it runs.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import re
import sys
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from jinja2 import TemplateError as JinjaError
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.nodes import Node
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from app.engine.messages import Message, Role
from app.errors import TemplateError

_TIME_LIMIT_S = 2.0
_EXTRA_MEMORY_BYTES = 512 * 1024 * 1024
_MAX_TEMPLATE_CHARACTERS = 1_000_000
_MAX_RENDERED_CHARACTERS = 16_000_000

WAY_OUT = "This is a fault of the model's file: use another version of it, or another model."

_FILTERS = [
    *("abs", "batch", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float", "groupby"),
    *(
        "int",
        "items",
        "join",
        "last",
        "length",
        "list",
        "lower",
        "map",
        "max",
        "min",
        "reject",
        "rejectattr",
        "replace",
    ),
    *("replace", "reverse", "round", "safe", "select", "selectattr", "slice", "sort", "string", "sum", "title", "trim"),
    *("unique", "upper"),
]
"""All that chat templates use. `center`, `format`, `wordwrap` and the like can be asked for any length."""

_PADDING_METHODS = frozenset({"center", "expandtabs", "format", "format_map", "ljust", "rjust", "zfill"})

SYSTEM_LEFT_OUT = "This model's chat template has no place for a system prompt: the model does not see it."

_REASONING_KEYS = {
    "reasoning_content": re.compile(r"\breasoning_content\b"),
    "thinking": re.compile(r"\.thinking\b|\[\s*['\"]thinking['\"]\s*\]"),
}
"""Names under which chat templates look for the reasoning of an earlier answer, and how a template reads them."""

FALLBACK_STOP = ("\nUser:", "\nSystem:")
"""Stop strings for a model without a template and without ChatML's markers: it would write the user's next line."""

CHATML = (
    "{% for m in messages %}{{'<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{'<|im_start|>assistant\\n'}}{% endif %}"
)
PLAIN = (
    "{% for m in messages %}{{ {'system': 'System', 'user': 'User', 'assistant': 'Assistant'}[m['role']] + ': ' "
    "+ m['content'] + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{'Assistant:'}}{% endif %}"
)


class _TimeLimitReached(BaseException):
    """Raised inside the render by the deadline. Not an Exception, so that the template's own code cannot hold it."""


class _Generation(Extension):
    """`{% generation %}`: marks assistant text for training in some templates; here it is transparent."""

    tags = {"generation"}  # noqa: RUF012  (jinja2 declares it so)

    def parse(self, parser: Parser) -> Node | list[Node]:
        """Return the block's body as it is."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
        self.filters = {name: self.filters[name] for name in _FILTERS if name in self.filters}
        self.filters["tojson"] = _to_json
        self.filters["indent"] = _indent
        self.globals["raise_exception"] = _raise
        self.globals["strftime_now"] = lambda pattern: datetime.now().strftime(str(pattern)[:100])

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Numbers only, and small ones: text times a number is the shortest way to fill a memory."""
        if not all(isinstance(value, (int, float)) and abs(value) < 1e9 for value in (left, right)):
            raise SecurityError(f"{operator} is only for numbers in a chat template")
        if operator == "**" and abs(right) > 16:
            raise SecurityError("the power is too large")
        return super().call_binop(context, operator, left, right)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """The same check as jinja2's, without the methods that pad text to any length."""
        if isinstance(obj, str) and attr in _PADDING_METHODS:
            return False
        return super().is_safe_attribute(obj, attr, value)


class ChatTemplate:
    """Renders a conversation into the text the model was trained on.

    What templates accept differs: a system role or none, `content` as text or as a list of typed parts, the reasoning
    of earlier answers under a name of its own or inside the content. So a conversation is offered in several ways, and
    the first is taken whose prompt holds the system prompt and the last message.
    """

    def __init__(self, source: str, *, bos: str, eos: str) -> None:
        """Compile the template. `bos` and `eos` are the texts of the special tokens. Raises TemplateError."""
        if len(source) > _MAX_TEMPLATE_CHARACTERS:
            raise TemplateError("The model's chat template is too long to be one.", WAY_OUT)
        self._special = {"bos_token": bos, "eos_token": eos}
        self._reasoning_key = next((key for key, read in _REASONING_KEYS.items() if read.search(source)), "")
        self._splits_reasoning = "</think>" in source
        with _guarded():
            self._template = _Sandbox().from_string(source)

    def render(self, messages: Sequence[Message]) -> str:
        """The prompt up to where the answer begins. Raises TemplateError, also where the last message would be lost."""
        return self.render_noting(messages)[0]

    def render_noting(self, messages: Sequence[Message]) -> tuple[str, str]:
        """The prompt, and what of the conversation the template leaves out of it: a sentence, "" where nothing is.

        Raises TemplateError, also where no way brings the last message into the prompt.
        """
        joined = join_neighbours(messages)
        refused: TemplateError | None = None
        without_system = ""
        for way in _ways(joined):
            try:
                text = self._render(way)
            except TemplateError as error:
                refused = refused or error
                continue
            if not text:
                refused = refused or TemplateError("The model's chat template made an empty prompt.", WAY_OUT)
            if not _holds(text, joined[-1:]):
                continue
            if _holds(text, [message for message in joined[:1] if message.role is Role.SYSTEM]):
                return text, ""
            without_system = without_system or text
        if without_system:
            return without_system, SYSTEM_LEFT_OUT
        raise refused or TemplateError(
            "The model's chat template leaves out the message that it is to answer.", WAY_OUT
        )

    def _render(self, way: Sequence[_Turn]) -> str:
        plain = [self._as_template_wants(turn) for turn in way]
        with _guarded():
            text = self._template.render(messages=plain, add_generation_prompt=True, tools=None, **self._special)
        if len(text) > _MAX_RENDERED_CHARACTERS:
            raise TemplateError("The model's chat template made a prompt that is too long.", WAY_OUT)
        return text

    def _as_template_wants(self, turn: _Turn) -> dict[str, object]:
        """The message with its reasoning under the template's own name, else in its text, else without it."""
        message, content = turn
        plain: dict[str, object] = {"role": message.role.value, "content": content}
        if message.reasoning and self._reasoning_key:
            plain[self._reasoning_key] = message.reasoning
        elif message.reasoning and self._splits_reasoning and isinstance(content, str):
            plain["content"] = f"<think>\n{message.reasoning}\n</think>\n\n{content}"
        return plain


_Turn = tuple[Message, "str | list[dict[str, str]]"]
"""A message and its content, as text or as a list of typed parts."""


def join_neighbours(messages: Sequence[Message]) -> list[Message]:
    """The same conversation with neighbours of one role made one: many templates refuse two questions in a row."""
    joined: list[Message] = []
    for message in messages:
        if joined and joined[-1].role is message.role:
            last = joined.pop()
            reasoning = "\n\n".join(text for text in (last.reasoning, message.reasoning) if text)
            message = Message(message.role, f"{last.content}\n\n{message.content}", reasoning)
        joined.append(message)
    return joined


def _ways(messages: Sequence[Message]) -> Iterator[list[_Turn]]:
    """Ways to hand a conversation to a template: as it is, as typed parts, with the system prompt in the first turn."""
    for way in (messages, _merge_system_prompt(messages)):
        if way is not None:
            yield [(message, message.content) for message in way]
            yield [(message, [{"type": "text", "text": message.content}]) for message in way]


def _holds(text: str, messages: Sequence[Message]) -> bool:
    """Whether the messages are in the prompt, but for spaces at their ends, which templates trim.

    Of a system prompt and a last message only; a template that escapes a text writes it as JSON.
    """
    for message in messages:
        words = message.content.strip()
        if words not in text and json.dumps(words, ensure_ascii=False)[1:-1] not in text:
            return False
    return True


def _merge_system_prompt(messages: Sequence[Message]) -> list[Message] | None:
    if len(messages) < 2 or messages[0].role is not Role.SYSTEM or messages[1].role is not Role.USER:
        return None
    return [Message(Role.USER, f"{messages[0].content}\n\n{messages[1].content}"), *messages[2:]]


@contextlib.contextmanager
def _guarded() -> Iterator[None]:
    """Run template code with the limits on, and turn whatever it does into a TemplateError."""
    try:
        with _memory_limit(), _time_limit():
            yield
    except _TimeLimitReached:
        raise TemplateError(
            f"The model's chat template ran for more than {_TIME_LIMIT_S:.0f} s and was stopped.", WAY_OUT
        ) from None
    except (MemoryError, RecursionError, OverflowError):
        raise TemplateError("The model's chat template asked for too much memory and was stopped.", WAY_OUT) from None
    except Exception as error:  # a template is a stranger's program: any failure is its own
        reason = str(error)[:200].rstrip(".")
        raise TemplateError(f"The model's chat template does not work: {reason}.", WAY_OUT) from error


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    """Raise _TimeLimitReached in this thread after the limit, between two Python instructions."""
    thread = ctypes.c_ulong(threading.get_ident())
    lock = threading.Lock()
    running = True

    def interrupt() -> None:
        with lock:
            if running:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(_TimeLimitReached))

    timer = threading.Timer(_TIME_LIMIT_S, interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with lock:
            running = False
        timer.cancel()
        timer.join()


@contextlib.contextmanager
def _memory_limit() -> Iterator[None]:
    """Cap the address space a little above what is in use. Does nothing where the system has no such limit."""
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123  (read at every render)
        in_use = int(statm.read().split()[0]) * resource.getpagesize()
    limit = in_use + _EXTRA_MEMORY_BYTES
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _raise(message: object) -> None:
    raise JinjaError(str(message))


def _to_json(value: object, indent: int | None = None, **_options: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=min(indent, 16) if indent else None)


def _indent(text: str, width: int = 4, first: bool = False, blank: bool = False) -> str:
    pad = " " * min(int(width), 64)
    lines = str(text).split("\n")
    padded = [lines[0], *[pad + line if line or blank else line for line in lines[1:]]]
    return (pad if first else "") + "\n".join(padded)
