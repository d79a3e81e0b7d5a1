"""eSpeak NG, loaded as the shared library of the Debian package `espeak-ng`: text to IPA phonemes."""

import ctypes
import ctypes.util
import re
from functools import cache

from shoptalk.core.errors import MissingToolError

Accent = str
"""A language and accent by eSpeak NG's code: ``en-us``, ``en-gb``, ``es``, ``sw`` …"""

TIE = "^"
"""Written between the letters of one phoneme (``e^ɪ``, ``t^ʃ``), so that it cannot be taken for two."""

# Values of speak_lib.h, the C interface of eSpeak NG.
_OUTPUT_RETRIEVAL = 1
_DONT_EXIT = 0x8000
_UTF8 = 1
_IPA_WITH_TIE = 0x02 | 0x80 | ord(TIE) << 8
_VOICE_FILES = {"en": b"gmw/en-US", "en-us": b"gmw/en-US", "en-gb": b"gmw/en"}


@cache
def _library() -> ctypes.CDLL:
    names = ("libespeak-ng.so.1", ctypes.util.find_library("espeak-ng"), "libespeak-ng.dylib")
    for name in filter(None, names):
        try:
            library = ctypes.CDLL(name)
            break
        except OSError:
            continue
    else:
        raise MissingToolError("eSpeak NG is missing; install it: apt-get install espeak-ng")
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    library.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int]
    if library.espeak_Initialize(_OUTPUT_RETRIEVAL, 0, None, _DONT_EXIT) < 0:
        raise MissingToolError("eSpeak NG found no data; reinstall it: apt-get install --reinstall espeak-ng-data")
    return library


def ipa(text: str, language: Accent = "en") -> str:
    """The pronunciation of a text in IPA as people write it, without `TIE`; of English the American one; not
    thread-safe.
    """
    plain = re.sub(r"\([a-z-]+\)", "", phonemes(text, language))  # eSpeak's marks of a change of language
    return " ".join(plain.replace(TIE, "").split())


def phonemes(text: str, accent: Accent) -> str:
    """IPA of a text, words apart by spaces, phonemes of several letters tied with `TIE`; not thread-safe."""
    library = _library()
    if library.espeak_SetVoiceByName(_VOICE_FILES.get(accent, accent.encode())) != 0:
        raise MissingToolError(
            f"eSpeak NG has no language {accent!r}; `espeak-ng --voices` lists those that it has, and "
            "`apt-get install espeak-ng-data` brings them"
        )
    rest = ctypes.c_char_p(text.encode())
    clauses = []
    while rest.value:
        clauses.append((library.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, _IPA_WITH_TIE) or b"").decode())
    return " ".join(" ".join(clauses).split())
