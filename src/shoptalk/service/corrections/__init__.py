"""What users correct, and the deletion of whatever a request left behind.

- `forgetting`: everything that keeps something of requests, and deletes it by their ids
"""
