"""Stage 90: the OpenAI-compatible HTTP service around one recogniser."""
