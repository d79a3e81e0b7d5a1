"""The models: which there are, who is admitted to them, and whoever transcribes.

- `models`: all models by name and alias, their start, swaps and end
- `served`: one model: its worker, its readiness, who is admitted to it
- `admission`: bounds in requests and audio seconds, when to come back, the time allowed
- `golden`: the recording that tells a wrong model from a live one
- `shadow`: part of the champion's recordings compared with the challenger
- `differences`: how two transcripts differ, in counts
- `work`: what is asked of whoever transcribes
- `worker`: a model in a process of its own, started anew if it dies
- `streams`: its live streams, as the front process holds them
- `counted`: a stream that holds a place until it is over
- `worker_process`: that process
- `open_streams`: the streams in it
- `attempts`: calls that may fail for one recording alone
- `group`: a model in several processes, one for each core
- `scheduler`: which windows are transcribed next
- `messages`: what the two processes tell each other
- `memory`: audio that they share
"""
