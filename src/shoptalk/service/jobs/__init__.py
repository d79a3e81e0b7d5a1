"""`/v1/jobs`: many recordings, transcribed when nothing else asks for the model; they survive every crash.

Only `switch` and `routes` are imported where there is no store; all else needs SQLAlchemy.

- `switch`: jobs where there is a store
- `routes`: `/v1/jobs` over HTTP
- `description`: what OpenAPI says of handing in a job
- `form`: reading an upload of many files, one at a time
- `wanted`: what a job asks for: fields of a transcription, and its own
- `sources`: where recordings lie: in the store, below a folder, in S3
- `records`: a job, its files and results, as values
- `tables`: the tables of the database
- `ledger`: what happens to jobs and files, each step a transaction
- `runner`: claims files, transcribes them, and stores the results
- `results`: all results of a job as JSON Lines or a zip
- `webhooks`: signed news of jobs, sent until they are taken
- `targets`: which addresses a webhook may go to, and the connection to them
"""
