"""What phrases give along any tokens, against the text that those tokens spell; batches; and real speech."""

import io
import json
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shoptalk.core import audio
from shoptalk.core.errors import BoostError
from shoptalk.core.protocols import MAX_CHARACTERS, MAX_WEIGHT, Phrase
from shoptalk.core.text import words
from shoptalk.engine import boosting, greedy
from shoptalk.engine.beam import decode_nbest
from shoptalk.engine.boosting import BatchBoost, compile_phrases
from shoptalk.engine.phrases import FREE, MOST, STEP, fold
from shoptalk.engine.recognizer import Engine

ROOT = Path(__file__).parents[2]
BASE = ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"
GENERAL = ROOT / "assets/general"
LINES = ["ab aba abab ba bab a b", "Ab, ba-ab. AB's bab!", "aab baa abba", "b-a a,b a'b"] * 5


@cache
def tokenizer(pieces: int = 40) -> sentencepiece.SentencePieceProcessor:
    """Few letters, so that phrases begin, end and overlap everywhere."""
    content = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES), model_writer=content, vocab_size=pieces, model_type="bpe", bos_id=-1, eos_id=-1,
        minloglevel=2, hard_vocab_limit=False, character_coverage=1.0, user_defined_symbols=["a'b", "b-", ",a"],
    )  # fmt: skip
    return sentencepiece.SentencePieceProcessor(model_proto=content.getvalue())


@cache
def spellings() -> tuple[str, ...]:
    return tuple(tokenizer().id_to_piece(token) for token in range(tokenizer().vocab_size()))


def spelled(phrase: Phrase) -> str:
    return "▁" + "▁".join(phrase.text.lower().split())


def worth(phrase: Phrase, characters: int) -> float:
    """What so many characters of a phrase are worth, its ▁ included."""
    free = 1 + min(FREE, (len(spelled(phrase)) - 1) // 3)
    return min(MOST, phrase.weight * STEP * max(0, characters - free))


def by_definition(phrases: Sequence[Phrase], text: str, *, ended: bool) -> float:
    """The score of the longest phrase at each end of a word, and the worth of the beginning at the end of the text."""
    ends = [place for place, c in enumerate(text) if place and not c.isalnum()] + [len(text)] * ended
    total = 0.0
    for end in ends:
        here = [phrase for phrase in phrases if text[:end].endswith(spelled(phrase))]
        longest = max((len(spelled(phrase)) for phrase in here), default=0)
        total += max((worth(one, longest) for one in here if len(spelled(one)) == longest), default=0)
    for length in range(len(text), 0, -1) if not ended else ():
        begun = [phrase for phrase in phrases if spelled(phrase).startswith(text[-length:])]
        if begun:
            return total + max(worth(phrase, length) for phrase in begun)
    return total


def walked(boost: BatchBoost, tokens: Sequence[int], row: int = 0) -> tuple[float, float]:
    """What the tokens are given one by one, and with what the end gives."""
    state, total = boost.start()[[row]], 0.0
    for token in tokens:
        total += float(boost.bonus(torch.tensor([row]), state)[0, token])
        state = boost.advance(state, torch.tensor([token]))
    return total, total + float(boost.finish(state))


texts = st.text("abAB'- ", min_size=1, max_size=12).filter(str.strip)
weights = st.sampled_from([0.5, 1.0, 1.5, MAX_WEIGHT])
phrase_lists = st.lists(st.builds(Phrase, texts, weights), max_size=6)
token_lists = st.lists(st.integers(0, tokenizer().vocab_size() - 1), max_size=12)


@pytest.mark.parametrize("arcs", [0, 3, boosting.ARCS, 1000])
@settings(deadline=None, max_examples=50)
@example(phrases=[Phrase("baa")], tokens=[], texts=["baa'b"])  # a token that goes on behind the phrase
@given(phrases=phrase_lists, tokens=token_lists, texts=st.lists(texts, max_size=3))
def test_tokens_are_given_what_the_text_holds(
    arcs: int, phrases: list[Phrase], tokens: list[int], texts: list[str]
) -> None:
    """Random tokens, then some that spell phrases as the tokenizer would, then random ones again; in every layout."""
    said = " ".join([*texts, *(phrase.text for phrase in phrases[:2])])
    tokens = [*tokens, *tokenizer().encode(said), *tokens[:3]]
    text = fold("".join(spellings()[token] for token in tokens))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boosting, "ARCS", arcs)
        automaton = boosting._compiled.__wrapped__(tuple(phrases), tokenizer()) if phrases else None
    boost = BatchBoost.of([automaton], vocabulary=tokenizer().vocab_size())
    so_far, in_all = walked(boost, tokens)
    assert so_far == pytest.approx(by_definition(phrases, text, ended=False), abs=1e-4)
    assert in_all == pytest.approx(by_definition(phrases, text, ended=True), abs=1e-4)


@settings(deadline=None, max_examples=30)
@example(lists=[[Phrase("ab aba")], None, [Phrase("aba ab"), Phrase("b")]], tokens=[])
@given(lists=st.lists(st.none() | phrase_lists, min_size=1, max_size=4), tokens=token_lists)
def test_rows_know_only_their_own_phrases(lists: list[list[Phrase] | None], tokens: list[int]) -> None:
    """A batch gives each row what it gives the row alone; rows without phrases get nothing."""
    size = tokenizer().vocab_size()
    automata = [compile_phrases(phrases or (), tokenizer()) for phrases in lists]
    together = BatchBoost.of(automata, vocabulary=size)
    alone = [BatchBoost.of([one], vocabulary=size) for one in automata]
    rows, state_R = torch.arange(len(lists)), together.start()
    states = [one.start() for one in alone]
    said = [*tokens, *tokenizer().encode("ab aba ab abab ab aba ab")]
    for place in range(len(said)):
        bonus_RV = together.bonus(rows, state_R)
        expected_RV = torch.cat([one.bonus(torch.tensor([0]), state) for one, state in zip(alone, states, strict=True)])
        assert torch.allclose(bonus_RV, expected_RV, atol=1e-6, rtol=0)
        assert not any(bonus_RV[row].any() for row, one in enumerate(automata) if one is None)
        token_R = torch.tensor([said[(place + row) % len(said)] for row in rows.tolist()])
        state_R = together.advance(state_R, token_R)
        states = [
            one.advance(state, token_R[[row]]) for row, (one, state) in enumerate(zip(alone, states, strict=True))
        ]


def test_a_list_is_compiled_once_and_shared_by_rows() -> None:
    one, other = ([Phrase("ab"), Phrase("ba ab", 2.0)] for _ in range(2))
    automaton = compile_phrases(one, tokenizer())
    assert automaton is not None and compile_phrases(other, tokenizer()) is automaton
    boost = BatchBoost.of([automaton, None, automaton], vocabulary=tokenizer().vocab_size())
    assert boost.start().tolist()[0] == boost.start().tolist()[2] != boost.start().tolist()[1]


@pytest.mark.parametrize("weight", [0.0, -1.0, MAX_WEIGHT * 1.01, float("nan"), float("inf")])
def test_weights_that_cannot_be_used(weight: float) -> None:
    with pytest.raises(BoostError, match="weight"):
        Phrase("ab", weight)


def test_texts_that_cannot_be_used() -> None:
    for text, cure in (("", "empty"), (" \t", "empty"), ("a" * (MAX_CHARACTERS + 1), "telling words")):
        with pytest.raises(BoostError, match=cure):
            Phrase(text)
    with pytest.raises(BoostError, match="cannot write 'ξ'"):
        compile_phrases([Phrase("ab"), Phrase("aξ")], tokenizer())
    with pytest.raises(BoostError, match="in all"):
        compile_phrases([Phrase("ab" * 99)] * 1100, tokenizer())
    with pytest.raises(BoostError, match="writes nothing"):
        compile_phrases([Phrase("▁")], tokenizer())


def test_thousands_of_phrases_compile_fast() -> None:
    rng = np.random.default_rng(7)
    letters = np.array(list("aab bba-ab"))
    phrases = [Phrase("a" + "".join(rng.choice(letters, 15))) for _ in range(5000)]
    begin = time.process_time()
    compile_phrases(phrases, tokenizer())
    assert time.process_time() - begin < 1.0


@cache
def engine() -> Engine:
    return Engine(BASE)


@cache
def encoded() -> tuple[torch.Tensor, torch.Tensor, tuple[str, ...]]:
    """Frames of real speech, how many, and what was said."""
    rows = [json.loads(line) for line in (GENERAL / "test.jsonl").read_text(encoding="utf-8").splitlines()[:24]]
    return *engine().encode([audio.decode(GENERAL / row["audio_filepath"]) for row in rows]), tuple(
        r["text"] for r in rows
    )


def heard(phrases: Sequence[Phrase], *, rows: Sequence[int] | None = None, beam: int = 1) -> list[str]:
    """What is heard of the real speech with the phrases in some rows, or in all."""
    encoded_BTD, frames_B, _ = encoded()
    automaton = compile_phrases(phrases, engine().tokenizer)
    each = [automaton if rows is None or row in rows else None for row in range(len(frames_B))]
    boost = BatchBoost.of(each, vocabulary=engine().tokenizer.vocab_size())
    with torch.inference_mode():
        if beam == 1:
            found = greedy.decode(engine().steps, encoded_BTD, frames_B, boost=boost)
        else:
            many = decode_nbest(engine().steps, encoded_BTD, frames_B, width=beam, alternatives=1, boost=boost)
            found = [some[0].decoded for some in many]
    return [engine().tokenizer.decode(one.tokens) for one in found]


def said_words() -> list[Phrase]:
    """The longer words of what was said, at full weight."""
    found = {word for text in encoded()[2] for word in words(text) if len(word) > 4 and word.isalpha()}
    return [Phrase(word, MAX_WEIGHT) for word in sorted(found)]


@pytest.mark.parametrize("beam", [1, 4])
def test_phrases_are_heard_more_often_and_silence_no_row(beam: int) -> None:
    said = encoded()[2]
    wanted = {phrase.text for phrase in said_words()}
    plain, boosted = heard([], beam=beam), heard(said_words(), beam=beam)

    def right(texts: Sequence[str]) -> int:
        return sum(
            word in words(text) for text, say in zip(texts, said, strict=True) for word in words(say) if word in wanted
        )

    assert right(boosted) > right(plain)
    assert [bool(text) for text in boosted] == [bool(text) for text in plain]


def test_phrases_of_one_row_change_no_other() -> None:
    plain, everywhere = heard([]), heard(said_words())
    rows = [row for row, (one, other) in enumerate(zip(plain, everywhere, strict=True)) if one != other][::2]
    boosted = heard(said_words(), rows=rows)
    assert rows and [boosted[row] for row in rows] == [everywhere[row] for row in rows]
    assert [text for row, text in enumerate(boosted) if row not in rows] == [
        text for row, text in enumerate(plain) if row not in rows
    ]


def test_phrases_that_are_not_said_derail_nothing() -> None:
    lexicon = (ROOT / "lexicons/demo-terms.txt").read_text(encoding="utf-8").split("\n")
    terms = [Phrase(line.strip()) for line in lexicon if line.strip()]
    plain, boosted = heard([]), heard(terms)
    same = sum(one == other for one, other in zip(plain, boosted, strict=True))
    assert same >= 0.75 * len(plain)
    assert sum(map(len, map(words, boosted))) == pytest.approx(sum(map(len, map(words, plain))), rel=0.05)
