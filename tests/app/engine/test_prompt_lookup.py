from app.engine.prompt_lookup import PromptLookup


def lookup(tokens):
    found = PromptLookup()
    found.follow(tokens)
    return found


def test_it_continues_as_the_text_did_before():
    found = lookup([1, 2, 3, 4, 5, 6, 9, 1, 2, 3])
    assert found.length == 3
    assert found.continuation(3) == [4, 5, 6]


def test_text_that_never_repeats_has_no_match():
    found = lookup(list(range(100)))
    assert found.length == 0
    assert found.continuation(5) == []


def test_the_longest_match_wins_and_of_equal_ones_the_latest():
    assert lookup([7, 1, 2, 50, 8, 1, 2, 60, 7, 1, 2]).continuation(1) == [50]
    assert lookup([1, 2, 50, 3, 1, 2, 60, 4, 1, 2]).continuation(1) == [60]


def test_a_match_that_reaches_the_end_repeats_itself():
    assert lookup([5, 6, 7, 5, 6, 7, 5, 6, 7]).continuation(7) == [5, 6, 7, 5, 6, 7, 5]


def test_token_by_token_is_the_same_as_at_once():
    tokens = [i * i % 11 for i in range(200)]
    found = PromptLookup()
    for count in range(1, len(tokens) + 1):
        found.follow(tokens[:count])
    whole = lookup(tokens)
    assert (found.length, found.continuation(5)) == (whole.length, whole.continuation(5))


def test_another_conversation_is_read_from_its_beginning():
    found = lookup([1, 2, 3, 1, 2])
    found.follow([8, 9, 1, 2])
    assert found.length == 0
    found.follow([8, 9, 1, 2, 8, 9])
    assert found.continuation(1) == [1]


def test_it_learns_from_text_it_did_not_draft():
    repeating = lookup([1, 2, 3, 4, 5, 6, 7, 8] * 20)
    broken = PromptLookup()
    text = []
    for i in range(60):
        text += [1, 2, 100 + i]  # after 1 2 something else each time
    broken.follow([*text, 1, 2])
    assert repeating.rate(0) > 0.9
    assert broken.length
    assert broken.rate(0) < 0.1


def test_the_longer_the_match_the_surer_it_is():
    fresh = lookup([1, 2, 3, 1, 2])
    rates = [fresh.rate(index) for index in range(30)]
    assert rates == sorted(rates)
    assert rates[0] < 0.5 < rates[-1]
