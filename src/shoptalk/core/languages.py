"""Languages of texts and speech, by eSpeak NG's codes; it imports nothing, so that settings can use it."""

ENGLISH = "en"
"""The language of what says nothing else. Codes are those of eSpeak NG: ``es``, ``sw``, ``pt-br`` …"""
