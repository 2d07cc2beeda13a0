"""What the window has asked of the engine and the engine has not answered yet, in order. No Qt."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from types import UnionType

from app.engine.messages import CountTokens, DraftTrial, Generate, LoadModel, MeasureThreads, OpenConversation
from app.operation import Request


@dataclass(slots=True)
class Asked:
    """A request, waiting or with the child. `id` is 0 until it is sent."""

    request: Request
    id: int = 0
    stopped: bool = False
    """The user no longer wants it."""

    @property
    def is_answer(self) -> bool:
        """Ends with `answer_ended`."""
        return isinstance(self.request, Generate)

    @property
    def is_trial(self) -> bool:
        """Compares or checks a draft; ends with `trial_ended`."""
        return isinstance(self.request, DraftTrial)

    @property
    def can_stop(self) -> bool:
        """The others are over in a moment, or are better done to the end."""
        return isinstance(self.request, LoadModel | Generate | MeasureThreads) or self.is_trial


class RequestQueue:
    """One request runs, the others wait. A count waits for a moment when nothing else does, and only the latest one."""

    def __init__(self) -> None:
        self.running: Asked | None = None
        self.count: CountTokens | None = None
        self._waiting: deque[Asked] = deque()
        self._last_id = 0

    def add(self, request: Request) -> None:
        """Put a request at the end. Conversations opened one right after the other: the last one counts."""
        last = self._waiting[-1].request if self._waiting else None
        if isinstance(request, OpenConversation) and isinstance(last, OpenConversation):
            self._waiting.pop()
        self._waiting.append(Asked(request))

    def put_back(self, asked: Asked) -> None:
        """Make a request that was cut short the next one."""
        self._waiting.appendleft(Asked(asked.request))

    def run(self, asked: Asked) -> Asked:
        """Make this the running request and number it."""
        self._last_id += 1
        asked.id, self.running = self._last_id, asked
        return asked

    def next(self) -> Asked | None:
        """Take the next waiting request, a count if there is no other; None when there is nothing to do."""
        if self._waiting:
            return self._waiting.popleft()
        count, self.count = self.count, None
        return None if count is None else Asked(count)

    def finish(self) -> Asked | None:
        """Forget the running request and return it."""
        asked, self.running = self.running, None
        return asked

    def clear(self) -> list[Asked]:
        """Forget what waits and return it."""
        waiting, self._waiting, self.count = list(self._waiting), deque(), None
        return waiting

    def stop_waiting_answers(self) -> None:
        """Answers that wait are no longer wanted; they stay, so that each is ended in its turn."""
        for asked in self._waiting:
            asked.stopped = asked.stopped or asked.is_answer

    def wants(self, *kinds: type | UnionType) -> bool:
        """A request of one of these kinds runs or waits, and has not been stopped."""
        asked = [*self._waiting] if self.running is None else [self.running, *self._waiting]
        return any(isinstance(one.request, kind) and not one.stopped for one in asked for kind in kinds)
