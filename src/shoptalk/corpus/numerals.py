"""Sentences with numbers, doses, dates, times and acronyms for the training of a base, each written and as spoken.

They name no drug: a base must not know the terms that it is later tuned on.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from shoptalk.corpus.verbalise import spoken
from shoptalk.corpus.verbalise.numbers import MONTHS, number, ordinal

Rng = np.random.Generator


class Sentence(NamedTuple):
    """A sentence with digits and capitals as it is written, and in spoken words."""

    written: str
    spoken: str
    frame: str
    """The sentence with its slots empty, one of `FRAMES`."""


FRAMES = (
    "Take {dose} {frequency}.",
    "Take {dose} with food, {frequency}.",
    "The dose is {dose}, {frequency}.",
    "We increased it to {dose} on {date}.",
    "We went down from {dose} to {dose}.",
    "Please draw up {dose} now.",
    "She was given {dose} at {time}.",
    "He takes {dose} in the morning and {dose} at night.",
    "Start with {dose} and call me in {count} days.",
    "Blood pressure is {pressure}, heart rate {rate}.",
    "Her pressure was {pressure} at {time}.",
    "Temperature {temperature}, respirations {few}, pulse {rate}.",
    "Oxygen saturation is {percent} on room air.",
    "It went from {percent} to {percent} within {count} hours.",
    "About {percent} of them came back.",
    "He weighs {weight} and is {height} tall.",
    "She is {age} years old.",
    "A {age}-year-old man came in with a cough.",
    "My father was {age} when he died in {year}.",
    "The {acronym} was done on {date}.",
    "The {acronym} from {date} was normal.",
    "We repeated the {acronym} at {time}.",
    "Did you see the {acronym}?",
    "They want an {vowel_acronym} and a {acronym}.",
    "The {acronym} showed nothing new.",
    "Ask for an {vowel_acronym} on {weekday}.",
    "I was born on {date}.",
    "His date of birth is {date}.",
    "Come back on {weekday} at {time}.",
    "The meeting is on {date} at {time}.",
    "We close at {time} on {weekday}.",
    "The train leaves at {time} from platform {few}.",
    "The appointment moved from {time} to {time}.",
    "It was {time} when the phone rang.",
    "In {year} there were {count} of us.",
    "Between {year} and {year} the town grew.",
    "The house was built in {year}.",
    "It cost {large} dollars in {year}.",
    "They sold {large} tickets in {count} days.",
    "There are {large} people in this town.",
    "The answer is {decimal}.",
    "The value was {decimal}, down from {decimal}.",
    "Please call {digits}.",
    "My number is {digits}, extension {few}.",
    "The room number is {count}.",
    "Turn to page {count}, please.",
    "We drove {count} miles in {few} hours.",
    "He ran {decimal} miles in {count} minutes.",
    "This is the {ordinal} time today.",
    "She finished {ordinal} out of {count}.",
    "On the {ordinal} day she felt better.",
    "The {ordinal} floor, room {count}, bed {few}.",
    "It has been going on for {range} weeks.",
    "I drink {range} cups of coffee a day.",
    "The pain is {few} out of 10.",
    "Smoked {few} packs a day for {count} years.",
    "We need {count} chairs and {few} tables.",
    "Add {count} to {count} and you get the sum.",
    "Flight {digits_short} is delayed until {time}.",
    "Version {decimal} came out in {year}.",
)
"""What the sentences look like; every slot is drawn anew."""
_CLINICAL = re.compile(
    r"\{(?:dose|pressure|temperature|acronym|vowel_acronym)\}"
    r"|saturation|weighs|-year-old|pain|cough|[Ss]moked|bed |she felt better|appointment"
)


def frames_for(*, is_clinical: bool) -> tuple[str, ...]:
    """The frames that fit the corpus of a domain; without those of clinics for any other."""
    return tuple(frame for frame in FRAMES if is_clinical or not _CLINICAL.search(frame))


_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_FREQUENCIES = (
    "once a day",
    "twice a day",
    "three times a day",
    "every morning",
    "at bedtime",
    "every 4 hours",
    "every 6 hours",
    "every 8 hours",
    "every 12 hours",
    "as needed",
    "before meals",
    "every other day",
)
_AMOUNTS = tuple("1 2 2.5 5 7.5 10 12.5 15 20 25 40 50 75 80 100 125 150 200 250 300 400 500 600 750 850 1000".split())
_DOSE_UNITS = ("mg", "mg", "mg", "mcg", "mL", "units", "g")
_ACRONYMS = tuple("CT MRI CBC COPD UTI BMI GP PT TSH HIV BUN GFR PSA DVT TV CD PIN DVD GPS VIP BBC UN CEO PDF".split())
_VOWEL_ACRONYMS = tuple("MRI ECG EKG EEG ICU IV ID FBI ATM LED ENT X-ray".split())


def sentence(rng: Rng, frames: Sequence[str] = FRAMES) -> Sentence:
    """A frame with each of its slots drawn."""
    frame = frames[int(rng.integers(len(frames)))]
    rest = frame
    written = ""
    words = ""
    while rest:
        before, brace, rest = rest.partition("{")
        written += before
        words += before
        if brace:
            slot, _, rest = rest.partition("}")
            slot_written, slot_words = _SLOTS[slot](rng)
            written += slot_written
            words += slot_words
    return Sentence(written, spoken(words), frame)


def _choice(rng: Rng, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]


def _same(text: str) -> tuple[str, str]:
    """What `verbalise.spoken` puts into words."""
    return text, text


def _integer(rng: Rng, low: int, high: int) -> tuple[str, str]:
    value = str(int(rng.integers(low, high + 1)))
    return value, number(value)


def _dose(rng: Rng) -> tuple[str, str]:
    amount, unit = _choice(rng, _AMOUNTS), _choice(rng, _DOSE_UNITS)
    if unit == "units":
        return f"{amount} units", f"{number(amount)} units"
    return _same(f"{amount} {unit}")


def _decimal(rng: Rng) -> tuple[str, str]:
    value = f"{rng.uniform(0, 40):.{int(rng.integers(1, 3))}f}"
    return value, number(value)


def _large(rng: Rng) -> tuple[str, str]:
    value = int(rng.integers(11, 1_000)) * int(rng.choice([10, 100, 1_000]))
    return f"{value:,}", number(str(value))


def _date(rng: Rng) -> tuple[str, str]:
    month, day = _choice(rng, MONTHS), int(rng.integers(1, 29))
    if rng.uniform() < 0.5:
        return _same(f"{month} {day}")
    return _same(f"{month} {day}, {int(rng.integers(1930, 2030))}")


def _time(rng: Rng) -> tuple[str, str]:
    hour = int(rng.integers(1, 13))
    minute = int(rng.choice([0, 5, 10, 15, 20, 30, 40, 45, 50]))
    half = _choice(rng, ("AM", "PM"))
    return _same(f"{hour}:{minute:02} {half}" if minute else f"{hour} {half}")


def _digits(rng: Rng, count: int) -> tuple[str, str]:
    values = [str(int(digit)) for digit in rng.integers(0, 10, count)]
    shown = "".join(values)
    if count == 7:
        shown = f"{shown[:3]}-{shown[3:]}"
    return shown, " ".join(number(digit) for digit in values)


def _pressure(rng: Rng) -> tuple[str, str]:
    return _same(f"{int(rng.integers(85, 200))}/{int(rng.integers(45, 99))}")


def _range(rng: Rng) -> tuple[str, str]:
    low = int(rng.integers(2, 10))
    high = low + int(rng.integers(1, 5))
    return f"{low} to {high}", f"{number(str(low))} to {number(str(high))}"


def _ordinal(rng: Rng) -> tuple[str, str]:
    words = ordinal(int(rng.integers(1, 32)))
    return words, words


def _year(rng: Rng) -> tuple[str, str]:
    return _same(str(int(rng.integers(1900, 2030))))


_SLOTS: dict[str, Callable[[Rng], tuple[str, str]]] = {
    "dose": _dose,
    "frequency": lambda rng: _same(_choice(rng, _FREQUENCIES)),
    "weekday": lambda rng: _same(_choice(rng, _WEEKDAYS)),
    "date": _date,
    "time": _time,
    "year": _year,
    "few": lambda rng: _integer(rng, 1, 12),
    "count": lambda rng: _integer(rng, 2, 300),
    "rate": lambda rng: _integer(rng, 45, 150),
    "age": lambda rng: _integer(rng, 18, 97),
    "large": _large,
    "decimal": _decimal,
    "percent": lambda rng: _same(f"{int(rng.integers(1, 101))}%"),
    "weight": lambda rng: _same(f"{int(rng.integers(40, 140))} kg"),
    "height": lambda rng: _same(f"{int(rng.integers(145, 200))} cm"),
    "temperature": lambda rng: _same(f"{rng.uniform(36, 40):.1f}"),
    "pressure": _pressure,
    "range": _range,
    "ordinal": _ordinal,
    "digits": lambda rng: _digits(rng, 7),
    "digits_short": lambda rng: _digits(rng, 3),
    "acronym": lambda rng: _same(_choice(rng, _ACRONYMS)),
    "vowel_acronym": lambda rng: _same(_choice(rng, _VOWEL_ACRONYMS)),
}
