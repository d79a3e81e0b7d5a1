"""What in a sentence may tell who a person is; a sentence that cannot be judged is refused.

The check knows this, and nothing more:

- names: about 500 given names and surnames; a word behind a title (Mr, Dr, Nurse …); initials before a surname; any
  word with a capital that is no plain English word, no word of the lexicon, and not in the lists below
- dates of birth: "born on …", "DOB", and whole dates before `BIRTHS_BEFORE`
- record numbers: MRN, NHS, SSN, passport and the like; seven digits or more in a row, also in words
- telephone numbers, postal addresses, ZIP codes and postcodes, e-mail and web addresses
- what cannot be judged: no letters, letters other than Latin and Greek, characters that are not seen, `MAX_CHARACTERS`

A name that is also a plain word (Mark, Rose, Young) is told only within a sentence, by its capital; one after which
something is named (Parkinson, Murphy) only behind a title. A name in lower case is told only if it is listed. The lists
are English; in another language more sentences are refused.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from shoptalk.core import resources, tables
from shoptalk.core.errors import PrivacyError
from shoptalk.core.languages import ENGLISH
from shoptalk.core.records import Term, Transcript
from shoptalk.corpus.splits import SLOT

PLAIN_WORDS = Path("lexicons/plain-words.txt")
"""English words that are no names, one on a line."""
PLAIN_WORDS_OF = {"es": Path("lexicons/plain-words-es.txt")}
"""The same of other languages."""
BIRTHS_BEFORE = 2015
"""A whole date of an earlier year may be one of birth."""
MAX_CHARACTERS = 2_000

_NAMES = frozenset(
    """
    aaron abdul abigail adam adele agnes ahmed aisha alan albert alejandro alex alexander alexandra alexis alfred
    alice alicia allison amanda amelia amy ana andre andrea andrew angela anita ann anna anne annie anthony antonio
    arthur ashley audrey barbara beatrice ben benjamin bernard beth betty beverly bob bobby bradley brandon brenda
    brian bridget bruce caleb cameron carl carla carlos carmen carol caroline catherine cathy chad charles charlie
    charlotte chen cheryl chloe chris christian christina christine christopher claire clara connie craig crystal
    cynthia daisy daniel danielle darren dave david deborah debra dennis derek diana diane diego dominic donald
    donna doris dorothy douglas dylan eddie edith edward eileen elena elijah elizabeth ella ellen emily emma eric
    erica erik ernest ethan eugene evelyn fatima fernando fiona florence francis frank fred frederick gabriel gareth
    gary geoffrey george gerald gladys glenn gloria gordon graham greg gregory hannah harold harry harvey hassan
    heather hector helen henry herbert howard hugh hussein ian ibrahim irene isaac isabel isabella ivan jack jackie
    jacob jacqueline jake james jamie jan jane janet janice jasmine jason javier jay jean jeff jeffrey jennifer
    jenny jeremy jerry jesse jessica jesus jill jim jimmy joan joanna joe joel johan john johnny jon jonathan jorge
    jose joseph josephine joshua juan juanita judith judy julia julian julie justin karen karl kate katherine
    kathleen kathryn kathy katie keith kelly ken kenneth kevin kim kimberly kumar kyle larry laura lauren leah lee
    leo leon leonard leroy leslie lewis liam lillian linda lisa lois lopez lori louis louise lucas lucia lucy luis
    luke lydia lynn madison maggie malcolm manuel marcus margaret maria marie marilyn mario marjorie martha martin
    mary matthew maureen maurice megan melanie melissa michael michelle miguel mike mildred miriam mohamed mohammed
    molly monica muhammad nancy naomi natalie natasha nathan neil nguyen nicholas nicole nigel nina noah nora norma
    norman oliver olivia omar oscar owen pamela patricia patrick paul paula pauline pedro peggy peter philip phillip
    phyllis priya rachel ralph ramon raymond rebecca ricardo richard rick robert roberta roberto robin rodney roger
    ronald rosa rosemary roy russell ruth ryan sally sam samantha samuel sandra sara sarah scott sean sebastian
    sergio seth shannon sharon shawn sheila shirley simon sofia sophia sophie stacey stacy stanley stella stephanie
    stephen steve steven stuart susan suzanne sylvia tamara tammy tania tara ted teresa terry theodore theresa
    thomas tiffany tim timothy tina todd tom tommy tony tracy travis trevor tyler valerie vanessa vera veronica
    victor victoria vincent virginia vivian walter wanda wayne wendy wesley william yolanda yusuf yvonne zachary zoe
    adams anderson bailey bennett brooks bryant campbell chavez clark coleman collins cruz davies davis diaz edwards
    evans fernandez flores foster garcia gibson gomez gonzalez graham griffin gutierrez hamilton harris harrison
    henderson hernandez holmes hughes jackson jenkins jimenez johnson jones khan kowalski lawson martinez mcdonald
    mendoza miller mitchell moore morales morgan morris mueller murphy murray nelson ortiz parker patel patterson
    perez perry peterson phillips powell quinn ramirez ramos reyes reynolds richardson rivera roberts robertson
    robinson rodriguez rogers rossi ruiz sanchez sanders schmidt schneider sharma silva simmons simpson singh smith
    stevens stewart sullivan taylor thompson torres tran turner vasquez walker wallace washington watson williams
    williamson wilson wright
    """.split()
)
_PLAIN_NAMES = frozenset(
    """
    april art august austin baker bell bill black brown carter chase chuck cook dawn dean drew ellis faith fisher
    ford fox gene grace grant gray green hall harper hill hope hunter iris ivy jackson joy june kay kelly king lane
    law long major mark marsh mason may miles mills nick north olive page pat pearl penny pierce pope powers price
    ray reed rich rob rod rose sage shaw sky small stone sue summer victor ward warren webb west white will wood
    woods young
    """.split()
)
"""Names that are plain words too."""
_CAPITALISED = frozenset(
    """
    january february march april may june july august september october november december monday tuesday wednesday
    thursday friday saturday sunday christmas easter thanksgiving ramadan english spanish french german american
    british european african asian chinese greek latin hispanic caucasian addison alzheimer apgar babinski baker
    barrett barthel basedow bell braden burkitt celsius charcot chvostek colles conn coombs crohn cushing doppler
    down dupuytren ebstein epstein ewing fahrenheit fallot foley fontan glasgow gleason gram graves guillain
    hashimoto hartmann hodgkin holter homan horner huntington kaposi kawasaki kegel klebsiella korsakoff kussmaul
    lasix lhermitte lyme mallory marfan meckel meniere murphy osler paget parkinson peyronie pick raynaud reye
    ringer romberg rorschach sjogren starling tourette trendelenburg turner valsalva virchow wernicke whipple
    whipple wilms wilson escherichia pseudomonas staphylococcus streptococcus candida medicare medicaid braille
    """.split()
)
"""Words with a capital that name no patient: dates, languages, and people after whom something is named."""
_TITLE = re.compile(
    r"\b(?:Mr|Mrs|Ms|Mx|Miss|Dr|Prof|Doctor|Professor|Nurse|Sister|Judge|Captain)\b\.? +([A-Z][a-z'’-]+)"
)
_INITIALS = re.compile(r"\b(?:[A-Z]\. ?)+([A-Z][a-z]+)\b")
_BIRTH = re.compile(
    r"\b(?:d\.?o\.?b\.?|date of birth|birth ?date|birthday is|fecha de nacimiento|nacid[oa] el)\b"
    r"|\bborn (?:on|in)\b.{0,20}\d|\bborn \d",
    re.IGNORECASE,
)
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:t(?:ember)?)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\.?"
)
_DATES = re.compile(
    rf"\b\d{{1,2}}[/.-]\d{{1,2}}[/.-](\d{{4}})\b|\b(\d{{4}})[/.-]\d{{1,2}}[/.-]\d{{1,2}}\b"
    rf"|\b{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? (\d{{4}})\b|\b\d{{1,2}}(?:st|nd|rd|th)? (?:of )?{_MONTH},? (\d{{4}})\b",
    re.IGNORECASE,
)
_TWO_DIGIT_YEAR = re.compile(r"(?<![\d/.-])\d{1,2}([/-])\d{1,2}\1\d{2}(?![\d/.-])")
_RECORD = re.compile(
    r"\b(?:MRN|SSN|NHS (?:number|no)|social security (?:number|no)|(?:medical |health )?record (?:number|no\b|#)"
    r"|(?:chart|account|case|member|policy|patient|insurance|hospital|licen[cs]e) (?:id\b|identifier|number|no\.|#)"
    r"|passport|licen[cs]e plate)",
    re.IGNORECASE,
)
_DIGITS = re.compile(r"\d{7,}|\b[A-Z]{1,3}-?\d{5,}\b|\b\d{3}-\d{2}-\d{4}\b|\b\d+(?:-\d+){2,}\b")
_THOUSANDS = re.compile(r"(?<![\d-])\d{1,3}(?: \d{3})+(?![\d -]\d)")
_DIGIT_WORDS = re.compile(
    r"\b(?:(?:zero|oh|one|two|three|four|five|six|seven|eight|nine|double|triple)[ ,-]+){6,}"
    r"(?:zero|oh|one|two|three|four|five|six|seven|eight|nine)\b",
    re.IGNORECASE,
)
_TELEPHONE = re.compile(
    r"(?<![\d,])(?:\+?\d{1,3}[ .-])?(?:\(\d{3,5}\) ?|\d{3,5}[ .-])\d{3}[ .-]\d{3,4}(?![\d,])"
    r"|(?<!\d)\d{3}-\d{4}(?!\d)|\+\d[\d ().-]{7,}|\b(?:phone|telephone|mobile|cell|fax|pager)\b.{0,24}\d{3}",
    re.IGNORECASE,
)
_UNITS = re.compile(r" ?(?:units?|mcg|mg|g|ml|l|iu|cells?|copies|platelets)\b", re.IGNORECASE)
_STREET = (
    r"(?:street|st|avenue|ave|road|rd|lane|ln|drive|boulevard|blvd|court|crescent|terrace|square|place|parkway|highway)"
)
_ADDRESS = re.compile(
    rf"\b\d{{1,5}}[A-Za-z]? (?:[\w'’-]+ ){{1,3}}?{_STREET}\b\.?(?! (?:test|drive))|\bP\.?O\.? box\b"
    r"|\b(?:apartment|apt|flat|suite)\.? (?:#|no\.? )?\d|\blives (?:at|on) \d|\bzip code\b|\bpostcode\b",
    re.IGNORECASE,
)
_POSTCODE = re.compile(r"\b[A-Z]{2},? \d{5}(?:-\d{4})?\b|\b[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}\b")
_INTERNET = re.compile(
    r"\S@\S|\bhttps?:|\bwww\.|\b\w+\.(?:com|org|net|edu|gov|io|co\.uk)\b|\b(?:gmail|hotmail|yahoo|icloud)\b"
    r"|\bdot (?:com|org|net|edu)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_SENTENCE_START = re.compile(r"(?:^|[.?!:;…]|[\"“(])[\"'“‘(\s]*$")
_ENDINGS = ("s", "es", "d", "ed", "ing", "ly", "er", "ers", "al", "ally")
_LATIN = re.compile(
    r"(?:tion|sion|ment|ness|ance|ence|itis|osis|oses|emia|uria|oma|ectomy|otomy|ostomy|ology|ologist|graphy|graphic|gram"
    r"|pathy|scopy|plasty|therapy|genic|philia|penia|trophy|plegia|algia|rrhea|rrhagia|sthesia|ility|icity)s?\Z"
)
_BEFORE = re.compile(r"\A(?:re|un|over|under|de|non|pre|post|sub|anti|hyper|hypo|inter|intra|peri|co|mis|out|bi)-?")


@dataclass(frozen=True)
class PlainWords:
    """Words, in lower case, that name nobody."""

    english: frozenset[str]
    given: frozenset[str] = frozenset()
    """Of the lexicon, and what the recipe allows: no names, whatever else they look like."""

    def has(self, word: str) -> bool:
        """Whether a word is one of them, an inflected or compound form of one, or has a scientific ending."""
        word = word.casefold().replace("’", "'").removesuffix("'s").partition("'")[0]
        return self._is_form(word) or self._is_form(_BEFORE.sub("", word)) or bool(_LATIN.search(word))

    def _is_form(self, word: str) -> bool:
        if self._knows(word):
            return True
        for ending in _ENDINGS:
            stem = word.removesuffix(ending)
            if stem != word and len(stem) > 2 and (self._knows(stem) or self._knows(f"{stem}e")):
                return True
            if stem != word and len(stem) > 3 and stem[-1] == stem[-2] and self._knows(stem[:-1]):
                return True
        return False

    def _knows(self, word: str) -> bool:
        return word in self.english or word in self.given


def plain_words(terms: Iterable[Term] = (), allowed: Iterable[str] = (), language: str = ENGLISH) -> PlainWords:
    """Plain words of English and of the language, every word of the terms, and what the recipe allows."""
    texts = list(allowed)
    for term in terms:
        texts += (term.text, *term.variants, *term.spoken)
        for values in term.facts.values():
            texts += values
    given: set[str] = set()
    for text in texts:
        given.update(word.casefold() for word in _WORD.findall(text))
    return PlainWords(_english() | _of_language(language), frozenset(given))


@cache
def _of_language(language: str) -> frozenset[str]:
    """None for a language that no list ships for: the recipe then allows the words that begin its sentences."""
    name = PLAIN_WORDS_OF.get(language)
    return frozenset(tables.read_text(resources.locate(name)).split()) if name else frozenset()


@cache
def _english() -> frozenset[str]:
    return frozenset(tables.read_text(resources.locate(PLAIN_WORDS)).split())


def require_private(transcripts: Iterable[Transcript], plain: PlainWords) -> None:
    """`PrivacyError` that lists sentences which may tell who a person is, and what to do about them."""
    told: dict[str, str] = {}
    for transcript in transcripts:
        if what := finding(transcript.text, plain):
            told.setdefault(transcript.text, f"{transcript.id}: {what} in {transcript.text!r}")
    if told:
        shown = "\n  ".join([*told.values()][:20])
        raise PrivacyError(
            f"{len(told)} sentences may tell who a person is. Write them differently; or name words that are nobody's "
            f"in `transcripts.allowed_words`; the check knows what docs/privacy.md says of it:\n  {shown}"
        )


def finding(text: str, plain: PlainWords) -> str:
    """What in a text may tell who a person is, in a few words; empty if nothing does.

    >>> finding("Metformin was started for John.", PlainWords(frozenset({"was", "started", "for", "metformin"})))
    'a name: John'
    """
    bare = SLOT.sub("it", text)
    numbers = _THOUSANDS.sub("1000", _DATES.sub(" ", bare))
    if trouble := _unjudged(bare):
        return f"cannot be judged: {trouble}"
    checks = (
        ("a date of birth", _BIRTH.search(bare) or _early_date(bare)),
        ("a record number", _RECORD.search(bare) or _DIGITS.search(numbers) or _DIGIT_WORDS.search(bare)),
        ("a telephone number", _telephone(numbers)),
        ("an address", _ADDRESS.search(bare) or _POSTCODE.search(bare)),
        ("an internet address", _INTERNET.search(bare)),
        ("a name", _titled(bare, plain)),
    )
    for kind, match in checks:
        if match:
            return f"{kind}: {match.group().strip()}"
    name = _name(bare, plain)
    return f"a name: {name}" if name else ""


def kind_of(told: str) -> str:
    """The kind of a finding, without the words themselves: what is counted and printed."""
    return told.partition(":")[0]


def _unjudged(text: str) -> str:
    letters = [character for character in text if character.isalpha()]
    if not letters:
        return "it has no letters"
    if len(text) > MAX_CHARACTERS:
        return f"it has more than {MAX_CHARACTERS} characters"
    if any(ord(letter) > 0x3FF and not 0x1E00 <= ord(letter) <= 0x1FFF for letter in letters):
        return "letters that are neither Latin nor Greek"
    if not all(character.isprintable() or character in "\n\t" for character in text):
        return "characters that are not seen"
    return ""


def _early_date(text: str) -> re.Match[str] | None:
    for match in _DATES.finditer(text):
        year = next(group for group in match.groups() if group)
        if int(year) < BIRTHS_BEFORE:
            return match
    return _TWO_DIGIT_YEAR.search(text)


def _telephone(text: str) -> re.Match[str] | None:
    """A telephone number, which no unit follows."""
    for match in _TELEPHONE.finditer(text):
        if not _UNITS.match(text[match.end() :]):
            return match
    return None


def _titled(text: str, plain: PlainWords) -> re.Match[str] | None:
    """A word with a capital behind a title."""
    for match in _TITLE.finditer(text):
        if match.group(1).casefold() not in plain.given:
            return match
    return None


def _name(text: str, plain: PlainWords) -> str:
    """The first word that may be a person's name."""
    for match in _INITIALS.finditer(text):
        if not plain.has(match.group(1)):
            return match.group()
    for match in _WORD.finditer(text):
        word = match.group()
        folded = word.casefold().replace("’", "'").removesuffix("'s")
        if folded in _NAMES and folded not in plain.given and folded not in _CAPITALISED:
            return word
        if not word[0].isupper() or folded in plain.given or _is_acronym(word, text, match) or folded in _CAPITALISED:
            continue
        starts = _SENTENCE_START.search(text[: match.start()]) is not None
        if not starts and folded in _PLAIN_NAMES and folded not in plain.given:
            return word
        if not plain.has(word):
            return word
    return ""


def _is_acronym(word: str, text: str, match: re.Match[str]) -> bool:
    """Whether a word has capitals or digits within: MRI, HbA1c, IgG, T4; or is one letter."""
    around = text[match.start() - 1 : match.start()] + text[match.end() : match.end() + 1]
    has_digit = any(character.isdigit() for character in around)
    return len(word) == 1 or has_digit or any(letter.isupper() for letter in word[1:]) or word.startswith("I'")
