"""Routes of the HTTP service and the forms of its answers.

- `models_routes`: models, readiness, swaps and the challenger's report
- `transcriptions`: the route of recordings, whole and as a stream
- `recognising`: what is made of a recording once it is decoded, for requests and jobs
- `fields`: what a request may ask for
- `phrases`: what keywords and a prompt make more likely
- `intake`: places, bytes and seconds that requests share, and the decoding threads
- `events`: server-sent events
- `edge`: HEAD, OPTIONS, small bodies, closing connections
- `description`: the OpenAPI description
- `pages`: the page for people, and `/docs` without a network
- `uploads`: reading a request, bounded
- `answers`: json, text, verbose_json, diarized_json, srt and vtt
"""
