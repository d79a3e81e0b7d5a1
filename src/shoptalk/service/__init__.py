"""Stage 90: the OpenAI-compatible HTTP service around one recogniser.

- `server`: running it with uvicorn, on safe addresses
- `problems`: errors in OpenAI's form
- `metrics`: what is counted
- `http`: routes, requests and answers
- `model`: the queue and the thread that recognises
"""
