"""Encryption of what was spoken, wherever the service keeps it: AES-256-GCM under a key that the operator gives.

What is sealed is a nonce of 12 bytes, then what is encrypted, which ends with a tag of 16 bytes. The tag also covers a
context, such as the name of the place where it is kept: moved to another place, it cannot be opened.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shoptalk.core.errors import EncryptionKeyError

KEY_BYTES = 32
NONCE_BYTES = 12
TOKEN_DIGITS = 32


class Seal:
    """Seals and opens with one key; safe between threads."""

    def __init__(self, key: bytes) -> None:
        """`key` has `KEY_BYTES` bytes; `read_key` reads one."""
        self._cipher = AESGCM(key)
        self._token_key = hmac.digest(key, b"tokens", hashlib.sha256)

    def token(self, text: str, context: str) -> str:
        """What stands for a text where the text itself shall not be: the same for the same text, key and context."""
        return hmac.new(self._token_key, f"{context}\0{text}".encode(), hashlib.sha256).hexdigest()[:TOKEN_DIGITS]

    def close(self, content: bytes, context: str) -> bytes:
        """The content, encrypted."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        """What was sealed in this context; `EncryptionKeyError` for another key or context, or changed bytes."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context.encode())
        except (InvalidTag, ValueError):
            message = f"{context}: was written with another key, renamed or changed; give the right key"
            raise EncryptionKeyError(message) from None


def read_key(path: Path) -> bytes:
    """The key of a file; `EncryptionKeyError` if it holds none."""
    cure = f"write one with `openssl rand -base64 32 > {path}`"
    try:
        key = base64.b64decode(path.read_text(encoding="ascii").strip(), validate=True)
    except OSError as error:
        raise EncryptionKeyError(f"{path}: {error.strerror}; {cure}") from None
    except (binascii.Error, UnicodeDecodeError):
        raise EncryptionKeyError(f"{path}: no key in base64; {cure}") from None
    if len(key) != KEY_BYTES:
        raise EncryptionKeyError(f"{path}: a key of {len(key)} bytes; {KEY_BYTES} are needed: {cure}")
    return key
