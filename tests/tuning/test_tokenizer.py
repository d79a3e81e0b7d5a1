"""The tokenizer: the same texts give the same bytes, and it can write what the texts lack."""

from pathlib import Path

import sentencepiece

from shoptalk.tuning.tokenizer import ALWAYS, train_tokenizer

TEXTS = ("The patient takes metformin twice a day.", "No fever, no cough, and the chest is clear.") * 3
PIECES = 112


def test_same_texts_in_any_order_and_folder_give_the_same_bytes(tmp_path: Path) -> None:
    one = train_tokenizer(TEXTS, tmp_path / "one", vocabulary=PIECES)
    other = train_tokenizer(reversed(TEXTS), tmp_path / "other" / "tokenizer", vocabulary=PIECES)
    assert one.read_bytes() == other.read_bytes()
    assert str(tmp_path).encode() not in one.read_bytes()
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == sorted(
        2 * ["tokenizer.model", "tokenizer.vocab", "vocab.txt"]
    )


def test_every_character_is_there_and_text_comes_back(tmp_path: Path) -> None:
    path = train_tokenizer(TEXTS, tmp_path / "tokenizer", vocabulary=PIECES)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    assert processor.vocab_size() == PIECES
    for text in (ALWAYS, "Give Xarelto 2.5 mg at 8 a.m. (50% of the dose); it's OK?"):
        assert processor.decode(processor.encode(text)) == text
        assert processor.unk_id() not in processor.encode(text)


def test_the_lists_beside_it_hold_its_pieces(tmp_path: Path) -> None:
    path = train_tokenizer(TEXTS, tmp_path / "tokenizer", vocabulary=PIECES)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    pieces = [processor.id_to_piece(number) for number in range(PIECES)]
    rows = (path.parent / "tokenizer.vocab").read_text(encoding="utf-8").splitlines()
    assert [row.split("\t")[0] for row in rows] == pieces
    assert len((path.parent / "vocab.txt").read_text(encoding="utf-8").splitlines()) == PIECES


def test_a_tokenizer_that_is_there_is_taken(tmp_path: Path) -> None:
    path = train_tokenizer(TEXTS, tmp_path / "tokenizer", vocabulary=PIECES)
    before = path.read_bytes()
    assert train_tokenizer(["else"], tmp_path / "tokenizer", vocabulary=PIECES).read_bytes() == before
