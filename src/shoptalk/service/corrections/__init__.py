"""What users correct, for the loop to learn from, and the deletion of whatever a request left behind.

- `routes`: `/v1/corrections` and `DELETE /v1/requests/{request_id}`
- `opening`: the corrections of a service, with all that they need
- `records`: corrections as they are sent, stored and answered
- `tables`: what the database has
- `answered`: which request ids were answered to whom
- `corrections`: taking, listing, expiring and deleting corrections
- `changes`: the words that a correction changed
- `passages`: corrected parts of a recording, with the words around
- `exporting`: consented corrections as training data and terms
- `forgetting`: everything that keeps something of requests, and deletes it by their ids
- `trained`: the models that were trained on corrections
"""
