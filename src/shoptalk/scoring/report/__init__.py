"""The pages and tables of a run's scores."""
