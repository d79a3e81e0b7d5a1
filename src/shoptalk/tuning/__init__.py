"""Stage 60: fine-tuning a FastConformer-TDT, and training one from scratch, with the same code."""
