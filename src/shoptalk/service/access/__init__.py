"""Who may use the service, and for what.

- `callers`: who sends a request, and the scopes of an API key
- `access`: telling callers by their API keys
- `keys`: the file of API keys: hashed, with scopes and limits
- `keyring`: the keys in force, read again when their file changes
- `rates`: requests and seconds of audio a minute, recordings at the same time
- `vocabularies`: each key's own lists of phrases
- `vocabulary_routes`: `/v1/vocabularies`
- `origins`: web pages that may use a service without keys
- `audit`: the audit log
- `kept`: recordings and transcripts on disk, encrypted and expiring
"""
