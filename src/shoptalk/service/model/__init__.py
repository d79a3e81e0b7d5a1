"""The owner of the model.

- `owner`: the queue, and the thread that recognises
"""
