"""What the service tells about itself; nothing that was spoken is ever among it.

- `metrics`: figures for Prometheus
"""
