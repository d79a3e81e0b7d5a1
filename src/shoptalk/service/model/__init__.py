"""The owner of the model: the queue, and the thread that recognises."""
