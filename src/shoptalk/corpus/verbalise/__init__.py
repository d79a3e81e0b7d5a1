"""Written text as it is spoken, for the TTS to read; and spoken words as they are written.

- `english`: the rules of English, in their order
- `spanish`: the rules of Spanish
- `plain`: numbers of other languages
- `signs`: dashes, Greek letters, squares; what signs are called
- `roman`: Roman numerals
- `abbreviations`: abbreviations and what is spelled
- `dates`: dates and times of day
- `codes`: telephone numbers, vertebrae, genes, equipment
- `quantities`: fractions, money, numbers with units
- `units`: what units are called
- `numbers`: numbers in words
- `rules`: what a rule is
- `writing`: the way back: its rules, in their order
- `number_words`: number words read as figures
- `unit_symbols`: units as they are usually written
"""

from collections.abc import Sequence

from shoptalk.corpus.verbalise import english, plain, spanish, writing
from shoptalk.corpus.verbalise.rules import Rule, applied


def spoken(text: str, language: str = "en") -> str:
    """The text with its numbers, units, symbols and abbreviations in words; other words, case and punctuation stay.

    The clinical rules are of English. Spanish has numbers, units, dates and times; other languages have numbers alone,
    if num2words knows them.

    >>> spoken("Start metformin 2.5-5 mg b.i.d.; SpO2 fell by 12% at 08:05.")
    'Start metformin two point five to five milligrams B I D; S P O two fell by twelve percent at eight oh five.'
    >>> spoken("500 mg cada 8 horas", language="es")
    'quinientos miligramos cada ocho horas'
    """
    return applied(_rules(language), text)


def written(spoken_text: str) -> str:
    """Spoken English as dictation is written: numbers, units, dates and times in figures, spelled letters as names.

    It turns references that were typed word by word into training text. Scoring does not need it: its rules
    (`shoptalk.core.text`) take both forms for the same words.

    >>> written("five milligrams P O B I D, blood pressure one twenty over eighty")
    '5 mg PO BID, blood pressure 120/80'
    """
    return applied(writing.RULES, spoken_text)


def _rules(language: str) -> Sequence[Rule]:
    return {"en": english.RULES, "es": spanish.RULES}.get(language) or plain.rules(language)
