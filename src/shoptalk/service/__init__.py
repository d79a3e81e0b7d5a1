"""Stage 90: the OpenAI-compatible HTTP service: models in worker processes behind one front process.

- `app`: all routes as one app
- `server`: running it with uvicorn, on safe addresses, with TLS
- `connections`: bounds of connections and of requests' heads
- `settings`: every setting, with its default
- `account`: what is known of a request while it is served
- `clock`: seconds in which the process ran, for every time limit
- `bodies`: reading JSON bodies
- `problems`: errors in OpenAI's form
- `sealing`: encryption of what was spoken, wherever it is kept
- `store`: database and encrypted folder of jobs and corrections
- `http`: routes, requests and answers
- `access`: API keys, and what they allow
- `telemetry`: what the service tells about itself
- `web`: the page for people
- `model`: the models, each in a worker process
- `jobs`: many recordings, transcribed when nothing else asks for the model
- `corrections`: what users correct, and deletion by request id
- `realtime`: WebSockets
"""
