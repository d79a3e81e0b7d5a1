"""The page that shows a dataset.

- `summary`: what the page says, counted from the records
- `sample`: which recordings it plays
- `charts`: its histograms as SVG
- `page`: the page
"""
