"""Which hub is asked, and as whom."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mirror.errors import AccessError, SourceError, UsageError
from mirror.wire import is_secure, origin, redact

if TYPE_CHECKING:
    from collections.abc import Mapping

HUB = "https://huggingface.co"


@dataclass(frozen=True, slots=True)
class HubAccess:
    """A hub's endpoint and the token for it.

    Attributes:
        endpoint: Base address, without a slash at its end.
        token: The user's token; it is sent to the endpoint's origin only, and there only
            where nobody on the way can read it.
    """

    endpoint: str = HUB
    token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        found = origin(self.endpoint)
        if found is None or found[0] not in {"http", "https"}:
            raise UsageError(f"the hub's endpoint {redact(self.endpoint)!r} is not an http address")
        if self.token is not None and not (self.token.isascii() and self.token.isprintable()):
            raise UsageError("the hub token holds characters that no token has")
        object.__setattr__(self, "endpoint", self.endpoint.rstrip("/"))

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> HubAccess:
        """Return what ``HF_ENDPOINT`` and ``HF_TOKEN`` say.

        Raises:
            UsageError: The endpoint is not an http address, or the token is none.
        """
        token = environ.get("HF_TOKEN") or environ.get("HUGGING_FACE_HUB_TOKEN") or ""
        return cls(environ.get("HF_ENDPOINT") or HUB, token.strip() or None)

    def token_for(self, url: str) -> str | None:
        """Return the token if ``url`` may have it: same origin, and TLS or this very machine."""
        if self.token is None or origin(url) != origin(self.endpoint) or not is_secure(url):
            return None
        return self.token

    def explained(self, error: SourceError, url: str) -> SourceError:
        """Return a refusal by ``url``; where the token was kept back it says so, instead of asking for one."""
        kept_back = self.token is not None and origin(url) == origin(self.endpoint) and not is_secure(url)
        if not kept_back or not (isinstance(error, AccessError) or "HF_TOKEN" in error.hint):
            return error
        told = copy(error)
        told.hint = "HF_TOKEN is set and was not sent: over http anybody on the way could read it; ask over https"
        return told
