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
