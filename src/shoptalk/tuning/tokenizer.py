"""A SentencePiece BPE tokenizer with case, punctuation and digits."""

import io
from collections.abc import Iterable
from pathlib import Path

from shoptalk.core.files import write_folder

ALWAYS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,?!'-/%:;&+()"
"""Characters that are tokens even where the text lacks them: a tune may need a digit that the base never read."""


def train_tokenizer(texts: Iterable[str], folder: Path, *, vocabulary: int) -> Path:
    """Train on the texts, sorted so that the same texts give the same bytes; returns ``tokenizer.model``.

    Beside it lie the files that NeMo reads: ``tokenizer.vocab`` (pieces with scores) and ``vocab.txt`` (word pieces).
    """
    import sentencepiece

    model = folder / "tokenizer.model"
    if model.is_file():
        return model
    content = io.BytesIO()  # a model_prefix would write its path into the model
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sorted(set(texts))),
        model_writer=content,
        model_type="bpe",
        vocab_size=vocabulary,
        required_chars=ALWAYS,
        character_coverage=1.0,
        bos_id=-1,
        eos_id=-1,
        normalization_rule_name="nmt_nfkc",
        num_threads=1,
        minloglevel=2,
    )
    processor = sentencepiece.SentencePieceProcessor(model_proto=content.getvalue())
    pieces = [processor.id_to_piece(number) for number in range(processor.vocab_size())]
    scored = "".join(f"{piece}\t{processor.get_score(number):g}\n" for number, piece in enumerate(pieces))
    plain = (piece.removeprefix("▁") if piece.startswith("▁") else f"##{piece}" for piece in pieces)
    with write_folder(folder) as partial:
        (partial / "tokenizer.model").write_bytes(content.getvalue())
        (partial / "tokenizer.vocab").write_text(scored, encoding="utf-8")
        (partial / "vocab.txt").write_text("\n".join(plain) + "\n", encoding="utf-8")
    return model
