"""Languages without rules of their own: whole numbers and decimals in words, by num2words, and nothing else."""

import re
from functools import cache

from shoptalk.corpus.verbalise.numbers import cardinal, decimal, is_known
from shoptalk.corpus.verbalise.rules import Rule, rule


@cache
def rules(language: str) -> tuple[Rule, ...]:
    """None for a language that num2words lacks: its figures stay, and the synthesiser reads them (eSpeak NG does)."""
    if not is_known(language):
        return ()

    def _decimal(match: re.Match[str]) -> str:
        return decimal(match.group().replace(",", "."), language)

    def _cardinal(match: re.Match[str]) -> str:
        return cardinal(int(match.group()), language)

    example = cardinal(5, language)
    return (
        rule("decimals", r"(?<![\d.,])\d+[.,]\d{1,2}(?![\d.,]*\d)", _decimal, "2,5", decimal("2.5", language)),
        rule("whole numbers", r"(?<!\d)\d{1,15}(?!\d)", _cardinal, "5", example),
    )
