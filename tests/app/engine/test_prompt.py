import pytest

from app.engine.prompt import PromptBuilder
from app.errors import TemplateError
from app.requests import Message, Role

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
