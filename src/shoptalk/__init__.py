"""Shoptalk teaches the jargon of a trade to a speech recogniser and puts the result to work."""

__version__ = "0.1.0"
