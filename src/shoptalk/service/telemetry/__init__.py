"""What the service tells about itself; nothing that was spoken is ever among it.

- `metrics`: figures for Prometheus
- `spans`: spans for OpenTelemetry
- `watching`: a layer around the app that notes all of it for each request
"""
