"""70 What was learned and what was not forgotten: pure functions from hypotheses to scores, and their reports."""
