import sys
import threading

import pytest

from app.engine import template as module
from app.engine.messages import Message, Role
from app.engine.template import CHATML, PLAIN, ChatTemplate
from app.errors import TemplateError

USER = Message(Role.USER, "Hi")
SYSTEM = Message(Role.SYSTEM, "Be brief.")


def render(source: str, *messages: Message) -> str:
    return ChatTemplate(source, bos="<s>", eos="</s>").render(messages or [USER])


def test_chatml():
    assert render(CHATML, SYSTEM, USER) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )


def test_plain_labels():
    assert render(PLAIN, SYSTEM, USER) == "System: Be brief.\nUser: Hi\nAssistant:"


def test_what_templates_use_is_there():
    source = (
        "{{ bos_token }}{%- for m in messages -%}{%- if loop.first -%}{{ m.content | trim | tojson }}{%- endif -%}"
        "{%- endfor -%}{% set ns = namespace(x=1) %}{% set ns.x = ns.x * 2 %}{{ ns.x }}"
        "{% generation %}{{ eos_token }}{% endgeneration %}{{ strftime_now('%Y')|length }}"
        "{% for i in range(5) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}"
    )
    assert render(source) == '<s>"Hi"2</s>401'


def test_json_keeps_letters_as_they_are():
    assert render("{{ messages[0].content | tojson }}", Message(Role.USER, "<é>")) == '"<é>"'


def test_system_prompt_moves_into_the_first_message_where_the_template_knows_no_system():
    source = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + CHATML
    )
    assert "user\nBe brief.\n\nHi<|im_end|>" in render(source, SYSTEM, USER)


def test_a_template_that_raises_says_so_in_its_words_and_what_to_do():
    with pytest.raises(TemplateError, match=r"roles must alternate\.$") as failed:
        render("{{ raise_exception('roles must alternate.') }}")
    assert "another model" in failed.value.hint


@pytest.mark.parametrize(
    "source",
    [
        "{{ ().__class__.__base__.__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ 'a' * 300000000 }}",
        "{{ '%0300000000d' % 1 }}",
        "{{ 'a'.center(300000000) }}",
        "{{ 'a'.__mul__(300000000) }}",
        "{{ [1] * 300000000 }}",
        "{{ 10 ** 99999999 }}",
        "{{ 'a' | center(300000000) }}",
        "{% for i in range(99999999) %}x{% endfor %}",
        "{{ undefined_thing.field }}",
        "{% for broken",
        "{{ 'a'.encode().fromhex }}{{ cycler.__init__.__globals__.os }}",
    ],
)
def test_attacks_and_mistakes_are_refused(source):
    with pytest.raises(TemplateError):
        render(source)


ENDLESS = (
    "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}"
)


def test_an_endless_template_is_stopped(monkeypatch):
    monkeypatch.setattr(module, "_TIME_LIMIT_S", 0.2)
    before = threading.active_count()
    with pytest.raises(TemplateError, match="was stopped"):
        render(ENDLESS)
    assert threading.active_count() == before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux caps the address space")
def test_a_template_that_doubles_its_text_is_stopped_by_the_memory_limit(monkeypatch):
    import resource

    monkeypatch.setattr(module, "_TIME_LIMIT_S", 60)
    before = resource.getrlimit(resource.RLIMIT_AS)
    doubling = (
        "{% set ns = namespace(x='0123456789') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}"
    )
    with pytest.raises(TemplateError, match="memory"):
        render(doubling)
    assert resource.getrlimit(resource.RLIMIT_AS) == before


def test_the_limits_do_not_touch_an_ordinary_template():
    long = Message(Role.USER, "x" * 1_000_000)
    assert len(render(CHATML, long)) > 1_000_000


ALTERNATING = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant') }}{% endif %}"
    "[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]"
)
"""As Gemma's and Mistral's: two questions in a row, or a system prompt, are refused."""

TYPED_PARTS = (
    "{% for m in messages %}<{{ m.role }}>{% for part in m.content %}{% if part.type == 'text' %}{{ part.text }}"
    "{% endif %}{% endfor %}{% endfor %}<assistant>"
)
"""As those of models that see: a plain string is walked letter by letter, and nothing of it is written."""


def question(text: str) -> Message:
    return Message(Role.USER, text)


def test_a_question_that_was_never_answered_does_not_end_the_conversation():
    asked = [question("First?"), question("Second?"), Message(Role.ASSISTANT, "Yes."), question("Third?")]
    assert render(ALTERNATING, *asked) == "[user]First?\n\nSecond?[assistant]Yes.[user]Third?[assistant]"


def test_a_system_prompt_joins_the_first_question_where_roles_must_alternate():
    assert render(ALTERNATING, SYSTEM, question("One"), question("Two")) == "[user]Be brief.\n\nOne\n\nTwo[assistant]"


def test_a_template_that_wants_typed_parts_gets_them():
    assert render(TYPED_PARTS, SYSTEM, USER) == "<system>Be brief.<user>Hi<assistant>"


def test_a_system_prompt_that_a_template_passes_over_moves_into_the_first_message():
    source = "{% for m in messages if m.role != 'system' %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]"
    assert ChatTemplate(source, bos="", eos="").render_noting([SYSTEM, USER]) == (
        "[user]Be brief.\n\nHi[assistant]",
        "",
    )


def test_a_system_prompt_that_has_no_place_anywhere_is_told():
    source = "Question: {{ messages[-1].content }}\nAnswer:"
    template = ChatTemplate(source, bos="", eos="")
    later = [SYSTEM, USER, Message(Role.ASSISTANT, "Yes."), question("Why?")]
    assert template.render_noting(later) == ("Question: Why?\nAnswer:", module.SYSTEM_LEFT_OUT)
    assert template.render_noting(later[1:])[1] == "", "without a system prompt there is nothing to tell"


def test_a_last_message_that_would_be_lost_is_an_error_and_no_answer():
    with pytest.raises(TemplateError, match="leaves out the message"):
        render("{{ messages[0].content }}", USER, Message(Role.ASSISTANT, "Yes."), question("Why?"))


def test_spaces_at_the_ends_are_the_templates_own():
    assert render("{{ messages[0].content | trim }}", question("  Hi \n")) == "Hi"
    assert render("{{ messages[0].content | tojson }}", question('say "a"\nb')) == '"say \\"a\\"\\nb"'


THOUGHT = Message(Role.ASSISTANT, "Four.", reasoning="2 + 2")


def test_earlier_reasoning_goes_where_the_template_looks_for_it():
    asked = [question("2 + 2?"), THOUGHT, question("Sure?")]
    by_name = "{% for m in messages %}[{{ m.content }}|{{ m.reasoning_content or '' }}]{% endfor %}"
    assert render(by_name, *asked) == "[2 + 2?|][Four.|2 + 2][Sure?|]"
    harmony = "{% for m in messages %}{% if 'thinking' in m %}({{ m.thinking }}){% endif %}{{ m.content }};{% endfor %}"
    assert render(harmony, *asked) == "2 + 2?;(2 + 2)Four.;Sure?;"


def test_earlier_reasoning_stands_in_the_text_where_the_template_takes_it_out_there():
    splits = "{% for m in messages %}[{{ m.content.split('</think>')[-1] | trim }}]{% endfor %}"
    assert render(splits, question("2 + 2?"), THOUGHT, question("Sure?")) == "[2 + 2?][Four.][Sure?]"
    keeps = "{% for m in messages %}[{{ m.content }}]{% if '</think>' in m.content %}!{% endif %}{% endfor %}"
    assert "<think>\n2 + 2\n</think>\n\nFour." in render(keeps, question("2 + 2?"), THOUGHT, question("Sure?"))


def test_earlier_reasoning_is_left_out_where_the_template_knows_of_none():
    enables = CHATML + "{% if enable_thinking %}{% set thinking = 1 %}{% endif %}"
    for source in (CHATML, enables):
        assert "2 + 2" not in render(source, question("Two and two?"), THOUGHT, question("Sure?"))


@pytest.mark.parametrize(
    "source",
    [
        "{% break %}",
        "".join(f"{{% for a{i} in [1] %}}" for i in range(22)) + "{% endfor %}" * 22,
        "{{ dict(a=1, a=2) }}",
        "{{ 1e400 | int }}",
        "{{ 1e400 }}{{ messages[9] + 1 }}",
    ],
)
def test_code_that_python_itself_refuses_is_the_templates_fault(source):
    with pytest.raises(TemplateError, match="chat template"):
        render(source)
