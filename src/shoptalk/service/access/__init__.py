"""Who may use the service, and for what.

- `callers`: who sends a request, and the scopes of an API key
- `access`: telling callers by their API keys
"""
