"""The pages and tables of a run's scores.

- `page`: the HTML report
- `tables`: tables for the console and in Markdown
- `charts`: the report's charts as SVG
"""
