"""Routes of the HTTP service and the forms of its answers.

- `app`: the routes
- `uploads`: reading a request, bounded
- `answers`: json, text, verbose_json, diarized_json, srt and vtt
"""
