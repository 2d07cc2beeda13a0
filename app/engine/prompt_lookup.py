"""Drafting without a model: what followed the last time the text read like this (prompt lookup, n-grams).

Source: Saxena, "Prompt Lookup Decoding", 2023, github.com/apoorvumang/prompt-lookup-decoding. New here: the longer the
match the surer it is, how sure is learned, and it is learned also from the tokens that were not drafted, at no cost.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.engine.acceptance import Rate

_SHORTEST = 2
"""Tokens that must match."""
_CANDIDATES = 4
"""Earlier places that are compared, the latest first."""
_LONGEST = 32
"""A match is not measured further back."""
_PRIORS = ((3, 0.15), (4, 0.3), (6, 0.45), (9, 0.65), (17, 0.8), (_LONGEST + 1, 0.9))
"""(below this length of the match, how often the next token is right), before anything was seen."""


class PromptLookup:
    """The n-grams of one conversation. `follow` brings it up to date; `length` and `continuation` say what it sees."""

    def __init__(self) -> None:
        self._rates = [(limit, Rate(prior, 4.0)) for limit, prior in _PRIORS]
        self._tokens: list[int] = []
        self._places: dict[tuple[int, int], list[int]] = {}
        self._match = 0
        self.length = 0
        """Tokens that the match is long; 0 without one."""

    def follow(self, tokens: Sequence[int]) -> None:
        """Take the text as it is now; from where it differs from before, it is read again."""
        known = len(self._tokens)
        if known > len(tokens) or self._tokens != list(tokens[:known]):
            self._tokens, self._places = [], {}
            self.length = known = 0
        for token in tokens[known:]:
            self._add(token)

    def continuation(self, most: int) -> list[int]:
        """What followed the match, `most` tokens at most. A match that reaches the end repeats itself."""
        if not self.length:
            return []
        text = self._tokens[self._match :]
        while len(text) < most:
            text += text
        return text[:most]

    def rate(self, index: int) -> float:
        """How likely the token at `index` (from 0) of the continuation is right, when those before it were."""
        return self._rate(self.length + index).value

    def _add(self, token: int) -> None:
        hit = self._match < len(self._tokens) and self._tokens[self._match] == token
        if self.length:
            self._rate(self.length).observe(hit)
        self._tokens.append(token)
        end = len(self._tokens)
        if self.length and hit:
            self._match, self.length = self._match + 1, min(self.length + 1, _LONGEST)
        else:
            self._search(end)
        if end >= _SHORTEST:
            places = self._places.setdefault((self._tokens[-2], token), [])
            places.append(end)
            del places[:-_CANDIDATES]

    def _search(self, end: int) -> None:
        """The longest match of the end of the text, of equal ones the latest."""
        self.length = 0
        if end < _SHORTEST:
            return
        for place in reversed(self._places.get((self._tokens[-2], self._tokens[-1]), ())):
            length = self._common(place, end)
            if length > self.length:
                self._match, self.length = place, length

    def _common(self, place: int, end: int) -> int:
        length = _SHORTEST
        while length < min(_LONGEST, place) and self._tokens[place - 1 - length] == self._tokens[end - 1 - length]:
            length += 1
        return length

    def _rate(self, length: int) -> Rate:
        return next((rate for limit, rate in self._rates if length < limit), self._rates[-1][1])
