"""Stage 70: pure functions from hypotheses to scores, and their reports.

- `evaluate`: from hypotheses to scores
- `wer`: word and character errors
- `term_scores`: terms found, missed and invented
- `transcripts`: transcripts from anywhere against references
- `leaderboard`: the Open ASR Leaderboard's figures
- `equal_words`: tables of words that count as equal
- `quantities`: numbers with their units
- `writing`: capitals and punctuation
- `word_times`: errors of word times
- `calibration`: how far word confidence can be believed
- `rates`: counts as columns, and any rate with its interval
- `slices`: scores for parts of a test set
- `bootstrap`: paired cluster bootstrap intervals
- `distributions`: quantiles of distributions
- `significance`: the matched-pairs test, and the power of a test
- `examples`: sentences that show what changed
- `publish`: figures that documents quote
- `report`: pages and tables
"""
