"""The secret that proves that a Baidu Pan share's extraction code was accepted, in its four spellings.

One value: ``sekey`` is plain base64; ``randsk``, in JSON, and ``BDCLND``, the cookie, are that
percent-encoded; ``seckey`` is base64 for addresses with ``~`` for padding. Mixing them up looks
like a wrong code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import quote, unquote

_BASE64 = re.compile(r"[A-Za-z0-9+/]{4,252}={0,2}", re.ASCII)
_TO_SECKEY = str.maketrans("+/=", "-_~")
_FROM_SECKEY = str.maketrans("-_~", "+/=")


@dataclass(frozen=True, slots=True)
class ShareSecret:
    """One share's secret; its text appears in no ``repr``.

    Attributes:
        sekey: The secret as form fields and JSON have it: standard base64.
    """

    sekey: str = field(repr=False)

    def __post_init__(self) -> None:
        if not _BASE64.fullmatch(self.sekey):
            raise ValueError("a share's secret is base64")

    @classmethod
    def from_randsk(cls, text: str) -> Self:
        """Return the secret of ``randsk`` in an answer, or of the cookie ``BDCLND``; decoded once, never twice.

        Raises:
            ValueError: It is none.
        """
        return cls(unquote(text))

    @classmethod
    def from_seckey(cls, text: str) -> Self:
        """Return the secret of ``seckey``, as the endpoint of the mini program writes it.

        Raises:
            ValueError: It is none.
        """
        return cls(text.translate(_FROM_SECKEY))

    @property
    def randsk(self) -> str:
        """As ``randsk`` and as the value of the cookie."""
        return quote(self.sekey, safe="")

    @property
    def seckey(self) -> str:
        """As ``seckey``."""
        return self.sekey.translate(_TO_SECKEY)
