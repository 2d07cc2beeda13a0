import pytest

from app.engine.messages import Message, Role
from app.engine.prompt import PromptBuilder
from app.errors import ContextError, TemplateError

QUESTION = Message(Role.USER, "Hi")


class Letters:
    """A model whose tokens are the characters of ASCII."""

    bos = eos = -1

    def __init__(self, template: str) -> None:
        self.chat_template = template

    def tokenize(self, text: str, *, add_bos: bool) -> list[int]:
        return list(text.encode())

    def piece(self, token: int) -> bytes:
        return bytes([token])

    def is_control(self, token: int) -> bool:
        return False


def build(template: str, cached: str = ""):
    return PromptBuilder(Letters(template)).build([QUESTION], list(cached.encode()), limit=100)


@pytest.mark.parametrize("cached", ["", "what was there before"])
def test_a_template_that_says_nothing_is_an_error_in_words(cached):
    with pytest.raises(TemplateError, match="empty prompt") as failed:
        build("{# nothing #}", cached)
    assert "another model" in failed.value.hint


def test_at_least_the_last_token_is_read_again():
    assert build("{{ messages[0].content }}").reused == 0
    assert build("{{ messages[0].content }}", cached="Hi").reused == 1


EACH_IN_BRACKETS = "{% for m in messages %}[{{ m.content }}]{% endfor %}"


def conversation(turns: int) -> list[Message]:
    return [Message(Role.USER if n % 2 == 0 else Role.ASSISTANT, f"{n:04}") for n in range(2 * turns + 1)]


@pytest.mark.parametrize("limit", [6, 17, 18, 100, 1000, 2406, 5000])
def test_as_much_as_fits_is_kept(limit):
    messages = conversation(200)
    prompt = PromptBuilder(Letters(EACH_IN_BRACKETS)).build(messages, [], limit)
    kept = len(prompt.tokens) // 6
    assert prompt.left_out_messages == len(messages) - kept
    assert len(prompt.tokens) <= limit
    assert kept == len(messages) or len(prompt.tokens) + 2 * 6 > limit  # a turn more would not have fitted
    assert bytes(prompt.tokens).decode().startswith(f"[{messages[-kept].content}]")


def test_a_long_conversation_is_not_made_once_for_each_turn_of_it(monkeypatch):
    made = []
    tokenize = Letters.tokenize
    monkeypatch.setattr(Letters, "tokenize", lambda *given, **how: made.append(1) or tokenize(*given, **how))
    builder = PromptBuilder(Letters(EACH_IN_BRACKETS))
    builder.build(conversation(500), [], 60)
    assert len(made) <= 12


def test_the_length_that_is_told_is_that_of_the_last_message():
    with pytest.raises(ContextError, match="takes 6 tokens, and the context has room for 5"):
        PromptBuilder(Letters(EACH_IN_BRACKETS)).build(conversation(200), [], 5)
