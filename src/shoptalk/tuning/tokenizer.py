"""A SentencePiece BPE tokenizer with case, punctuation and digits."""

from collections.abc import Iterable
from pathlib import Path

ALWAYS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,?!'-/%:;&+()"
"""Characters that are tokens even where the text lacks them: a tune may need a digit that the base never read."""


def train_tokenizer(texts: Iterable[str], folder: Path, *, vocabulary: int) -> Path:
    """Train on the texts, in sorted order so that the same texts give the same model; returns ``tokenizer.model``."""
    import sentencepiece

    model = folder / "tokenizer.model"
    if model.is_file():
        return model
    partial = folder.with_name(folder.name + ".partial")
    partial.mkdir(parents=True, exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sorted(set(texts))), model_prefix=str(partial / "tokenizer"), model_type="bpe",
        vocab_size=vocabulary, required_chars=ALWAYS, character_coverage=1.0, bos_id=-1, eos_id=-1,
        normalization_rule_name="nmt_nfkc", num_threads=1, minloglevel=2,
    )  # fmt: skip
    pieces = [line.split("\t")[0] for line in (partial / "tokenizer.vocab").read_text(encoding="utf-8").splitlines()]
    plain = (piece.removeprefix("▁") if piece.startswith("▁") else f"##{piece}" for piece in pieces)
    (partial / "vocab.txt").write_text("\n".join(plain) + "\n", encoding="utf-8")
    partial.replace(folder)
    return model
