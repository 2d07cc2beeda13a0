from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import pytest

from app.engine.messages import Generate, LoadModel, Message, Role, Sampling, ThreadCounts, Token
from app.engine.session import Session
from app.operation import Event, StopFlag
from app.system.paths import STARTER_MODEL, Paths, default_paths

GREEDY = Sampling(temperature=0.0, max_tokens=40)
QUESTION = Message(Role.USER, "What does os.path.join do?")


class Recorder:
    """A `report` that keeps what it was told, and may call back."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.on_event: Callable[[Event], None] = lambda event: None

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self.on_event(event)

    def of(self, kind: type) -> list:
        return [event for event in self.events if isinstance(event, kind)]


@dataclasses.dataclass
class Loaded:
    """A session with what the tests need around it."""

    session: Session
    stop: StopFlag
    report: Recorder

    def tokens(self, *messages: Message, sampling: Sampling = GREEDY, conversation: str = "one") -> list[Token]:
        self.report.events.clear()
        return list(self.session.generate(Generate(conversation, messages, sampling), self.report, self.stop))

    def answer(self, *messages: Message, sampling: Sampling = GREEDY, conversation: str = "one") -> tuple[str, Token]:
        tokens = self.tokens(*messages, sampling=sampling, conversation=conversation)
        return "".join(token.text for token in tokens), tokens[-1]


@pytest.fixture
def paths() -> Paths:
    return default_paths().ensure()


@pytest.fixture
def load(paths: Paths) -> Iterator[Callable[..., Loaded]]:
    """Load the starter model with one thread; closes what it loaded."""
    sessions: list[Session] = []

    def _load(**fields: object) -> Loaded:
        request = LoadModel(STARTER_MODEL, threads=ThreadCounts(1, 1), load_anyway=True)
        report, stop = Recorder(), StopFlag()
        session = Session.load(dataclasses.replace(request, **fields), paths, report, stop)
        assert isinstance(session, Session)
        sessions.append(session)
        return Loaded(session, stop, report)

    yield _load
    for session in sessions:
        session.close()


@pytest.fixture
def starter(load: Callable[..., Loaded]) -> Loaded:
    return load()
