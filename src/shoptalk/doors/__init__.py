"""One file for each third party, each behind a Protocol of `shoptalk.protocols`, imported lazily by `shoptalk.cli`."""
