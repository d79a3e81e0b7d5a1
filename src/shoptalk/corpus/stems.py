"""Pronunciations of drug names by their stems: the ending and the stress by rule, what stands before it by a G2P.

The World Health Organization (INN) and the United States Adopted Names Council (USAN) give drugs of one class one
ending, and speakers of English stress all names of a class alike. Letter-to-sound rules of general English know
neither: eSpeak says "em-PAG-li-floz-in" and "LIS-in-ah-prul". The rules below are an own compilation.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from shoptalk.core.records import Term

DRUG_CATEGORIES = frozenset({"drug", "drugs", "medication", "medications", "medicine", "medicines", "term"})
"""Categories whose terms may be drug names; ``term`` is that of a term whose category nobody gave."""
MIN_BEFORE = 2
"""Letters before a stem, at least: `statin` alone is the name of the class."""

G2p = Callable[[str], str]
"""From an English word to its IPA, e.g. eSpeak's."""


class Stem(NamedTuple):
    """An ending with its sound; without a primary stress of its own, the vowel before it is stressed."""

    letters: str
    """A regular expression."""
    ipa: str


STEMS = tuple(
    Stem(*line.split())
    for line in """
    gliflozin       ɡlɪflˈoʊzɪn
    gliptin         ɡlˈɪptɪn
    glutide         ɡlˈuːtaɪd
    glitazone       ɡlˈɪtəzˌoʊn
    glinide         ɡlɪnˌaɪd
    formin          fˈɔːɹmɪn
    vastatin        vəstˈætɪn
    statin          stˈætɪn
    fibrate         fˈaɪbɹeɪt
    ipril           ɪpɹɪl
    [aeiouy]pril    əpɹɪl
    [aeiouy]prilat  əpɹɪlˌæt
    bitril          bɪtɹɪl
    sartan          sˈɑːɹtæn
    [aeiouy]lol     əlˌɔːl
    dilol           dɪlˌɔːl
    dipine          dɪpˌiːn
    dralazine       dɹˈæləzˌiːn
    thiazide        θˈaɪəzˌaɪd
    thalidone       θˈælɪdˌoʊn
    semide          səmˌaɪd
    tanide          tənˌaɪd
    zolamide        zˈoʊləmˌaɪd
    actone          ˈæktoʊn
    renone          ɹənˌoʊn
    entan           ˈɛntæn
    [ao]zosin       ˈeɪzəsɪn
    ciguat          sˈɪɡjuːˌæt
    xaban           ksəbˌæn
    gatran          ɡətɹˌæn
    grelor          ɡɹəlˌɔːɹ
    [aeiou]grel     əɡɹˌɛl
    (?<!^he)parin   pˈæɹɪn
    parinux         pˈæɹɪnˌʌks
    teplase         təplˌeɪs
    azepam          ˈæzəpˌæm
    azolam          ˈæzəlˌæm
    barbital        bˈɑːɹbɪtˌɔːl
    pidem           pɪdˌɛm
    [aeiou]clone    ɪklˌoʊn
    oxetine         ˈɑːksətˌiːn
    ipramine        ˈɪpɹəmˌiːn
    triptyline      tɹˈɪptəlˌiːn
    azodone         ˈæzədˌoʊn
    faxine          fˈæksiːn
    lopram          ləpɹˌæm
    iapine          ˈaɪəpˌiːn
    apine           əpˌiːn
    [aeiou]sidone   ˈæsɪdˌoʊn
    peridone        pˈɛɹɪdˌoʊn
    peridol         pˈɛɹɪdˌɔːl
    piprazole       pˈɪpɹəzˌoʊl
    perazine        pˈɛɹəzˌiːn
    gabalin         ɡˈæbəlɪn
    gabatrin        ɡˈæbətɹɪn
    gabine          ɡˈæbiːn
    racetam         ɹˈæsɪtˌæm
    azepine         ˈæzəpˌiːn
    triptan         tɹˈɪptæn
    setron          sɪtɹˌɑːn
    pitant          pɪtənt
    prazole         pɹəzˌoʊl
    tidine          tɪdˌiːn
    pramide         pɹəmˌaɪd
    conazole        kˈɑːnəzˌoʊl
    nidazole        nˈaɪdəzˌoʊl
    bendazole       bˈɛndəzˌoʊl
    azole           əzˌoʊl
    fungin          fˈʌndʒɪn
    cillin          sˈɪlɪn
    penem           pˈɛnəm
    bactam          bˈæktæm
    floxacin        flˈɑːksəsɪn
    oxacin          ˈɑːksəsɪn
    mycin           mˈaɪsɪn
    micin           mˈaɪsɪn
    cycline         sˈaɪkliːn
    cyclovir        sˈaɪkləvˌɪɹ
    ciclovir        sˈaɪkləvˌɪɹ
    tegravir        tˈɛɡɹəvˌɪɹ
    asvir           ˈæsvɪɹ
    [aeiou]vir      əvˌɪɹ
    vudine          vjuːdˌiːn
    citabine        sˈaɪtəbˌiːn
    [aeiou]caine    əkˌeɪn
    curonium        kjʊɹˈoʊniəm
    curium          kjˈʊɹiəm
    tropium         tɹˈoʊpiəm
    terol           təɹˌɔːl
    phylline        fɪlɪn
    lukast          lˈuːkæst
    nisolone        nˈɪsəlˌoʊn
    methasone       mˈɛθəsˌoʊn
    [aeiou]nide     ənˌaɪd
    fenac           fənˌæk
    profen          pɹˈoʊfən
    coxib           kˈɑːksɪb
    dronate         dɹənˌeɪt
    dronic          dɹˈɑːnɪk
    prost           pɹˌɑːst
    limus           lɪməs
    thioprine       θˈaɪəpɹˌiːn
    trexate         tɹˈɛkseɪt
    trexed          tɹˈɛksɛd
    trexone         tɹˈɛksoʊn
    rafenib         ɹˈæfənɪb
    ciclib          sˈaɪklɪb
    [aeiou]parib    əpˌæɹɪb
    zomib           zəmɪb
    tinib           tɪnɪb
    brutinib        bɹˈuːtɪnɪb
    metinib         mˈɛtɪnɪb
    zumab           zjuːmˌæb
    mumab           mjuːmˌæb
    sumab           suːmˌæb
    lumab           ljuːmˌæb
    ximab           ksɪmˌæb
    kumab           kjuːmˌæb
    tumab           tuːmˌæb
    rumab           ɹuːmˌæb
    numab           nuːmˌæb
    [aeiou]cept     əsˌɛpt
    platin          plˈætɪn
    rubicin         ɹˈuːbɪsɪn
    taxel           tˈæksəl
    tecan           tˈiːkæn
    poside          pəsˌaɪd
    fosfamide       fˈɑːsfəmˌaɪd
    mustine         mˈʌstiːn
    poetin          pˈoʊɪtɪn
    tropin          tɹˈoʊpɪn
    pressin         pɹˈɛsɪn
    tocin           tˈoʊsɪn
    oreotide        ˈɔːɹiətˌaɪd
    steride         stəɹˌaɪd
    [aeiou]fil      əfˌɪl
    tadine          tədˌiːn
    tirizine        tˈɪɹɪzˌiːn
    fenadine        fˈɛnədˌiːn
    fentanil        fˈɛntənˌɪl
    codone          kˈoʊdoʊn
    morphone        mˈɔːɹfoʊn
    [aeiou]dol      ədˌɔːl
    onidine         ˈɑːnɪdˌiːn
    tomidine        tˈoʊmɪdˌiːn
    flurane         flʊɹˌeɪn
    triaxone        tɹaɪˈæksoʊn
    [aeiou]quine    əkwˌiːn
    """.strip().splitlines()
)
_LONGEST_FIRST = sorted(STEMS, key=lambda stem: -len(re.sub(r"\[.*\]|\(.*\)", "v", stem.letters)))
_FORMS = tuple((re.compile(f"(.{{{MIN_BEFORE},}}?){stem.letters}"), stem) for stem in _LONGEST_FIRST)
_NAME = re.compile("[a-z]+")
_LAST_VOWEL = re.compile(r"(.*?)(au|ai|oi|ou|oo|ee|ea|ae|oe|[aeiouy])([^aeiouy]*)")
_FULL = {"a": "æ", "e": "ɛ", "i": "ɪ", "o": "oʊ", "u": "uː", "y": "aɪ", "au": "ɔː", "ai": "eɪ", "oi": "ɔɪ"}
_FULL |= {"ou": "uː", "oo": "uː", "ee": "iː", "ea": "iː", "ae": "iː", "oe": "iː"}
"""A stressed vowel before one consonant, or before one that runs on into l or r (omEprazole)."""
_CHECKED = {"o": "ɑː", "u": "ʌ", "y": "ɪ"}
"""A stressed vowel before other consonants (rivarOxaban)."""
_BEFORE_R = {"a": "ɑː", "e": "ɜː", "i": "ɜː", "o": "ɔː", "u": "ɜː"}
_RUNS_ON = re.compile(r"([^x]?|[^lrx][lr]|ch|ph|th|qu)")
_WEAK = {"a": "ə", "e": "ə", "i": "ɪ", "o": "ə", "u": "jʊ", "y": "ɪ"}
"""An unstressed vowel right before a stem, after a consonant."""
_CONSONANTS = {"j": "dʒ", "r": "ɹ", "c": "k", "g": "ɡ", "q": "k", "x": "ks", "ch": "k", "ph": "f", "th": "θ", "ck": "k"}
_VOWEL_SOUND = re.compile("[ˈˌ]?(?:aɪ|aʊ|eɪ|oʊ|ɔɪ|[aæɐɑɒɔəɚɛɜiɪuʊʌᵻeo]ː?)")


def has_stem(term: Term) -> bool:
    """Whether a rule knows a word of a term, and the term may be a drug."""
    if term.category.casefold() not in DRUG_CATEGORIES:
        return False
    return any(stem_of(word) for word in term.as_spoken.split())


def of_phrase(phrase: str, g2p: G2p) -> str:
    """The IPA of a phrase, each word by its stem or, without one, by `g2p`."""
    return " ".join(pronounce(word, g2p) or g2p(word) for word in phrase.split())


def stem_of(name: str) -> str | None:
    """The letters of a drug name that are a stem, e.g. ``gliflozin``; None where no rule knows it."""
    parts = _parts(name)
    return name.lower().removeprefix(parts[0]) if parts else None


def pronounce(name: str, g2p: G2p) -> str | None:
    """The IPA of a drug name (one word) by its stem, and by `g2p` for what stands before it; None: no rule knows it."""
    parts = _parts(name)
    if parts is None:
        return None
    before, stem = parts
    if "ˈ" in stem.ipa:
        return _unstressed(before, g2p) + stem.ipa
    before_vowel, vowel, consonants = _LAST_VOWEL.fullmatch(before).groups()  # type: ignore[union-attr]
    return _beginning(before_vowel, g2p) + _stressed(vowel, consonants) + stem.ipa


def _parts(name: str) -> tuple[str, Stem] | None:
    """What stands before the longest stem of a name, and the stem."""
    letters = name.lower()
    if not _NAME.fullmatch(letters):
        return None
    for form, stem in _FORMS:
        match = form.fullmatch(letters)
        if match and ("ˈ" in stem.ipa or _LAST_VOWEL.fullmatch(match[1])):
            return match[1], stem
    return None


def _unstressed(before: str, g2p: G2p) -> str:
    """The sounds before a stem that has the stress."""
    weak = _WEAK.get(before[-1])
    if weak is None or not re.search("[aeiouy].*[^aeiouy].$", before):
        return _demoted(_short(before, g2p(before)))
    return _demoted(_short(before, _without_last_vowel(g2p(before[:-1] + "a"))) + weak)


def _beginning(before: str, g2p: G2p) -> str:
    """The sounds before a stressed vowel."""
    if not re.search("[aeiouy]", before):
        return _consonants(before)
    return _demoted(_short(before, _without_last_vowel(g2p(before + "a"))))


def _short(letters: str, ipa: str) -> str:
    """Sounds in which `a` and `i` are short, as in "dapagliflozin": before an `a`, a G2P of English makes them long."""
    if "o" not in letters:
        ipa = re.sub("ɑː(?!ɹ)", "æ", ipa)
    return ipa if re.search("e[aei]", letters) else re.sub("i(ː|ə(?=ɹ))", "ɪ", ipa)


def _stressed(vowel: str, consonants: str) -> str:
    """A stressed vowel, and the consonants between it and the stem."""
    if consonants.startswith("r") and (vowel == "o" or len(consonants) > 1):
        full = _BEFORE_R.get(vowel, _FULL[vowel])
    elif _RUNS_ON.fullmatch(consonants):
        full = _FULL[vowel]
    else:
        full = _CHECKED.get(vowel, _FULL[vowel])
    return "ˈ" + full + _consonants(consonants)


def _consonants(letters: str) -> str:
    sounds = re.findall("ch|ph|th|ck|.", letters)
    return "".join(_CONSONANTS.get(sound, sound) for sound in sounds)


def _without_last_vowel(ipa: str) -> str:
    vowels = list(_VOWEL_SOUND.finditer(ipa))
    return ipa[: vowels[-1].start()]


def _demoted(ipa: str) -> str:
    """Sounds whose stresses are secondary, and of which the last vowel has none: the next one has the primary."""
    vowels = list(_VOWEL_SOUND.finditer(ipa))
    plain = ipa.replace("ˈ", "ˌ")
    if not vowels:
        return plain
    last = vowels[-1].start()
    plain = plain[:last] + plain[last:].replace("ˌ", "").replace("ɾ", "t")
    if len(vowels) > 1 and "ˌ" not in plain:
        first = vowels[0].start()
        plain = f"{plain[:first]}ˌ{plain[first:]}"
    return plain
