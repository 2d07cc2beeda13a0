"""Markdown: what comes out of it, what never does, and what a growing text costs."""

from __future__ import annotations

import random

import pytest

from tests.ui.chat.chat_steps import blocks_of
from ui.chat.markdown_stream import (
    Block,
    Code,
    MarkdownStream,
    Paragraph,
    Rule,
    Run,
    Style,
    Table,
    is_allowed_address,
    make_parser,
    render,
    to_blocks,
)

PIECES = (
    "- a\n", "* b\n", "1. x\n", "2. y\n", "7) z\n", "para words\n", "\n", "  indented\n", "    four\n", "```\n",
    "```py\n", "~~~\n", "> q\n", "a|b\n", "-|-\n", "---\n", "===\n", "# h\n", "   - d\n", "**b", "`",
    "[x](http://a.b)", "text", " ",
    "1.", "*", "-",
)  # fmt: skip


def one_parse(text: str) -> tuple[Block, ...]:
    return to_blocks(make_parser().parse(text))


def streamed(text: str, rng: random.Random, longest: int = 6) -> tuple[Block, ...]:
    stream, blocks, start = MarkdownStream(), [], 0
    while start < len(text):
        step = rng.randint(1, longest)
        change = stream.feed(text[start : start + step])
        blocks[change.first :] = change.blocks
        start += step
    change = stream.finish()
    blocks[change.first :] = change.blocks
    return tuple(blocks)


@pytest.mark.parametrize("seed", range(60))
def test_a_streamed_text_ends_as_one_parse_of_the_whole(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(12):
        text = "".join(rng.choice(PIECES) for _ in range(rng.randint(2, 25)))
        assert streamed(text, rng) == one_parse(text)
        assert blocks_of(text) == one_parse(text)


def test_the_comparison_sees_a_block_frozen_too_early() -> None:
    text = "- a\n*bold* goes on in the item\n"
    early = (*one_parse("- a\n"), *one_parse("*bold* goes on in the item\n"))
    assert early != one_parse(text)


def test_a_definition_at_the_end_reaches_links_at_the_beginning() -> None:
    text = "See [the docs].\n\n" + "words words\n\n" * 200 + "[the docs]: https://example.org/docs\n"
    assert Run("the docs", address="https://example.org/docs") in blocks_of(text)[0].runs


def test_the_cost_of_a_tick_is_the_last_block() -> None:
    text = "A paragraph with *some* words and more.\n\n" * 500
    stream = MarkdownStream()
    for start in range(0, len(text), 20):
        stream.feed(text[start : start + 20])
    whole_each_time = sum(range(0, len(text), 20))
    assert stream.characters_parsed < 8 * len(text)
    assert whole_each_time > 400 * len(text)


def test_long_code_that_is_open_is_not_parsed_again() -> None:
    stream = MarkdownStream()
    stream.feed("```python\n")
    before = stream.characters_parsed
    for _ in range(300):
        change = stream.feed("print('a line of code')\n")
    assert stream.characters_parsed == before
    assert change.blocks == (Code("\n".join(["print('a line of code')"] * 300), "python"),)


def test_a_list_is_frozen_item_by_item_and_counts_on() -> None:
    stream = MarkdownStream()
    blocks: list[Block] = []
    for number in range(1, 200):
        change = stream.feed(f"{number}. item number {number}\n")
        blocks[change.first :] = change.blocks
        assert len(change.blocks) <= 3
    assert [block.marker for block in blocks] == [f"{n}." for n in range(1, 200)]


def test_a_closing_fence_that_is_half_there_is_not_code() -> None:
    stream = MarkdownStream()
    assert stream.feed("```\nx = 1\n``").blocks == (Code("x = 1"),)


@pytest.mark.parametrize(
    "html", ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<b>bold</b>", "<!-- c -->"]
)
def test_html_is_text(html: str) -> None:
    (block,) = blocks_of(f"before {html} after")
    assert block == Paragraph((Run(f"before {html} after"),))


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\nscript:alert(1)", "data:text/html,<script>", "file:///etc/passwd",
        "vbscript:x", "smb://host/share", "//example.org", "relative.md", "",
    ],
)  # fmt: skip
def test_other_addresses_are_no_links(address: str) -> None:
    assert not is_allowed_address(address)
    runs = [run for block in blocks_of(f"[x]({address})\n\n![x]({address})\n\n<{address}>") for run in block.runs]
    assert all(run.address == "" for run in runs)


@pytest.mark.parametrize("address", ["https://example.org/a?b=c", "http://example.org", "mailto:a@example.org"])
def test_web_and_mail_addresses_are_links(address: str) -> None:
    assert blocks_of(f"[x]({address})") == (Paragraph((Run("x", address=address),)),)


def test_an_image_is_named_and_not_fetched() -> None:
    assert blocks_of("![a cat](https://example.org/cat.png)") == (
        Paragraph((Run("Image: a cat", address="https://example.org/cat.png"),)),
    )


def test_a_bare_address_is_a_link_without_its_full_stop() -> None:
    (block,) = blocks_of("See https://example.org/a_b.")
    assert block.runs == (Run("See "), Run("https://example.org/a_b", address="https://example.org/a_b"), Run("."))


def test_code_in_a_list_is_a_block_of_its_own() -> None:
    first, code, second = blocks_of("1. do\n   ```Bash extra\n   ls\n   ```\n2. done\n")
    assert (first.marker, second.marker) == ("1.", "2.")
    assert code == Code("ls", "bash", indent=1)


def test_a_table_has_rows_and_alignment() -> None:
    (table,) = blocks_of("|a|b|\n|:-|-:|\n|1|**2**|\n")
    assert table == Table((((Run("a"),), (Run("b"),)), ((Run("1"),), (Run("2", Style.BOLD),))), ("left", "right"))


def test_the_rest_of_markdown() -> None:
    blocks = blocks_of("# H\n\n> q\n\n---\n\n~~s~~ `c` *i*\n")
    assert blocks[:3] == (Paragraph((Run("H"),), heading=1), Paragraph((Run("q"),), quote=1), Rule())
    assert [run.style for run in blocks[3].runs if run.text.strip()] == [Style.STRIKE, Style.CODE, Style.ITALIC]


def test_a_finished_text_is_read_in_steps() -> None:
    steps = list(render("words words words\n\n" * 400))
    assert len(steps) > 5
    assert max(len(step) for step in steps) < 100
