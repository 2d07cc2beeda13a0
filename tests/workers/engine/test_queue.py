"""What waits for the engine, and in which order."""

from __future__ import annotations

import pytest

from app.engine.messages import CountTokens, Generate, LoadModel, MeasureThreads, OpenConversation
from tests.workers.conftest import model
from workers.engine.queue import Asked, RequestQueue

ANSWER = Generate("conversation", ())


@pytest.fixture
def queue() -> RequestQueue:
    return RequestQueue()


def drain(queue: RequestQueue) -> list[object]:
    return [asked.request for asked in iter(queue.next, None)]


def test_in_order_and_a_count_last(queue: RequestQueue) -> None:
    queue.count = CountTokens(())
    queue.add(OpenConversation("one"))
    queue.add(ANSWER)
    queue.add(OpenConversation("two"))
    assert drain(queue) == [OpenConversation("one"), ANSWER, OpenConversation("two"), CountTokens(())]


def test_conversations_opened_in_a_row_are_one(queue: RequestQueue) -> None:
    queue.add(OpenConversation("one"))
    queue.add(OpenConversation("two"))
    assert drain(queue) == [OpenConversation("two")]


def test_each_request_gets_a_number_of_its_own(queue: RequestQueue) -> None:
    assert [queue.run(Asked(ANSWER)).id, queue.run(Asked(ANSWER)).id] == [1, 2]


def test_stopped_answers_stay_in_their_place(queue: RequestQueue) -> None:
    queue.add(ANSWER)
    queue.add(MeasureThreads())
    queue.stop_waiting_answers()
    assert not queue.wants(Generate)
    assert queue.wants(MeasureThreads)
    assert [asked.stopped for asked in iter(queue.next, None)] == [True, False]


def test_what_runs_is_wanted_until_it_is_stopped(queue: RequestQueue) -> None:
    asked = queue.run(Asked(ANSWER))
    assert queue.wants(Generate)
    asked.stopped = True
    assert not queue.wants(Generate)
    assert queue.finish() is asked
    assert queue.finish() is None


def test_what_was_cut_short_is_next_and_new(queue: RequestQueue) -> None:
    queue.add(MeasureThreads())
    queue.put_back(queue.run(Asked(ANSWER)))
    asked = queue.next()
    assert asked == Asked(ANSWER)


def test_clear_forgets_all(queue: RequestQueue) -> None:
    queue.add(ANSWER)
    queue.count = CountTokens(())
    assert [asked.request for asked in queue.clear()] == [ANSWER]
    assert queue.next() is None


def test_what_can_be_stopped() -> None:
    assert Asked(model("x")).can_stop
    assert isinstance(model("x"), LoadModel)
    assert not Asked(OpenConversation("one")).can_stop
