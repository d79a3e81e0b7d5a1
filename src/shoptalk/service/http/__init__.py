"""Routes of the HTTP service and the forms of its answers."""
