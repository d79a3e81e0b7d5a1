"""One file for each third party, each behind a Protocol of `shoptalk.core.protocols`, imported lazily by `stages`."""
