"""Routes of the HTTP service and the forms of its answers.

- `app`: the routes
- `models_routes`: models, readiness, swaps and the challenger's report
- `uploads`: reading a request, bounded
- `answers`: json, text, verbose_json, diarized_json, srt and vtt
"""
