"""Code as coloured spans."""

from __future__ import annotations

from ui.chat.code_view import Kind, find_lexer, restart_line, spans

CODE = 'def f(x):\n    """Doc\n    string."""\n    return 1  # one\n\nclass A:\n    pass\n'


def test_kinds() -> None:
    lexer = find_lexer("python")
    assert lexer is not None
    found = {(CODE[s.start : s.start + s.length], s.kind) for s in spans(lexer, CODE)}
    assert {("def", Kind.KEYWORD), ("f", Kind.FUNCTION), ("1", Kind.NUMBER), ("# one", Kind.COMMENT)} <= found


def test_unknown_and_plain_languages_have_no_lexer() -> None:
    assert find_lexer("no-such-language") is None
    assert find_lexer("text") is None


def test_spans_from_a_restart_equal_those_of_the_whole() -> None:
    lexer = find_lexer("python")
    assert lexer is not None
    whole = list(spans(lexer, CODE))
    start = restart_line(CODE, whole, len(CODE))
    assert CODE[start:].startswith("class A")
    assert [s for s in whole if s.start >= start] == list(spans(lexer, CODE, start))


def test_a_restart_is_never_inside_a_string() -> None:
    text = 'x = """\nfirst\nsecond\nthird'
    lexer = find_lexer("python")
    assert lexer is not None
    assert restart_line(text, list(spans(lexer, text)), len(text)) == 0


def test_a_restart_is_not_far_back_even_where_no_line_stands_out() -> None:
    text = "class A:\n" + "    x = 1\n" * 2000
    assert len(text) - restart_line(text, [], len(text)) < 1300
