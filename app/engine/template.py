"""The model's chat template: a Jinja program from a stranger's file, rendered in a sandbox, bounded in time and memory.

The sandbox of jinja2 stops a template from reaching Python; it does not stop `'a' * 300000000` or nested loops. So
operators that multiply text are refused, methods and filters that pad it are absent, a deadline interrupts the render,
and where the system allows it the address space is capped while it runs.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
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
        """As jinja2's, without the methods that pad text to any length."""
        if isinstance(obj, str) and attr in _PADDING_METHODS:
            return False
        return super().is_safe_attribute(obj, attr, value)


class ChatTemplate:
    """Renders a conversation into the text the model was trained on."""

    def __init__(self, source: str, *, bos: str, eos: str) -> None:
        """Compile the template. `bos` and `eos` are the texts of the special tokens. Raises TemplateError."""
        if len(source) > _MAX_TEMPLATE_CHARACTERS:
            raise TemplateError("The model's chat template is too long to be one.", WAY_OUT)
        self._special = {"bos_token": bos, "eos_token": eos}
        with _guarded():
            self._template = _Sandbox().from_string(source)

    def render(self, messages: Sequence[Message]) -> str:
        """The prompt up to where the answer begins. Raises TemplateError.

        A template that knows no system role (Gemma's raises) is given the system prompt as the start of the first
        message instead.
        """
        try:
            return self._render(messages)
        except TemplateError:
            merged = _merge_system_prompt(messages)
            if merged is None:
                raise
            return self._render(merged)

    def _render(self, messages: Sequence[Message]) -> str:
        plain = [{"role": m.role.value, "content": m.content} for m in messages]
        with _guarded():
            text = self._template.render(messages=plain, add_generation_prompt=True, tools=None, **self._special)
        if len(text) > _MAX_RENDERED_CHARACTERS:
            raise TemplateError("The model's chat template made a prompt that is too long.", WAY_OUT)
        return text


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
    except (JinjaError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, AssertionError) as error:
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
