"""Which host a share's address means, and which share of it."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from mirror.errors import UsageError
from mirror.sources.baidu_links import parse
from mirror.wire import is_secure, redact

_PAN = "https://pan.baidu.com"
_AUTHORITY = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?", re.ASCII)
_PATH = re.compile(r"/s/1([A-Za-z0-9_-]+)/?", re.ASCII)


class Link(NamedTuple):
    """One share of one host.

    Attributes:
        base: Scheme and authority of the host, without a slash at the end.
        surl: Id of the share, without the ``1`` that marks its page's kind.
    """

    base: str
    surl: str

    @classmethod
    def of(cls, url: str) -> Link:
        """Return what ``url`` means: an address of Baidu's in any spelling, or ``/s/1…`` on another host.

        Raises:
            UsageError: It is no share's address, or what is said there could be read and changed on the way.
        """
        if (share := parse(url)) is not None:
            return cls(_PAN, share.surl)
        try:
            parts = urlsplit(url.strip())
        except ValueError:
            parts = urlsplit("")
        found = _PATH.fullmatch(parts.path)
        if found is None or parts.scheme not in {"http", "https"} or not _AUTHORITY.fullmatch(parts.netloc):
            raise UsageError(f"{redact(url)} is no share's address")
        if not is_secure(url):
            raise UsageError(f"{redact(url)}: a share is asked with TLS only")
        return cls(f"{parts.scheme}://{parts.netloc}", found[1])

    @property
    def host(self) -> str:
        """Whom politeness is owed to."""
        return self.base.partition("://")[2]

    @property
    def page(self) -> str:
        """Address of the share's page, without a code."""
        return f"{self.base}/s/1{self.surl}"
