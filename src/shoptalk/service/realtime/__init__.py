"""WebSockets: recordings that are transcribed while they are made.

- `realtime_route`: `/v1/realtime`, which drives a session
- `stream_route`: `/v1/stream`, raw PCM in and words out
- `session`: a realtime session as a pure state machine
- `client_events`: what clients may send to it
- `configuration`: what it is set to
- `turns`: where a speaker's turns begin and end
- `formats`: from a client's bytes to samples
- `doors`: who is let in
- `channel`: a WebSocket with bounds, whose client may be gone
- `live`: what a connection's items get of the service
- `item`: audio on its way to one stream of a model
"""
