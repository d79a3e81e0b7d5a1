"""The models that the service holds.

- `work`: what is asked of a model
- `owner`: the queue, and the thread that recognises
"""
