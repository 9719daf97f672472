"""How one GET is sent: straight to the host, or through httpx2's client where that knows more.

A plain address without a proxy needs nothing of httpx2 but its 0.1 s of import and 70 µs
a request (2 cores, Python 3.11); a proxy, user info, an international name and anything
else out of the ordinary goes through the client.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, Protocol

from mirror.sources.direct import USER_AGENT, Direct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import httpx2

    from mirror.sources.access import HubAccess
    from mirror.sources.direct import Origin
    from mirror.sources.reply import Body
    from mirror.wire import Fields

#: An address that stands on the wire as it is written: origin (scheme, host, port), then the target.
_PLAIN = re.compile(
    r"((https?)://([a-z0-9][a-z0-9.-]*)(?::([1-9][0-9]{0,3}|[1-5][0-9]{4}))?)"
    r"(?![^?]*/\.\.?(?:[/?]|\Z))"  # without segments that mean another path
    r"(/[\w.~+/-]*(?:%[0-9A-Fa-f]{2}[\w.~+/-]*)*(?:\?[\w.~+/:=&-]*(?:%[0-9A-Fa-f]{2}[\w.~+/:=&-]*)*)?)",
    re.ASCII,
)
_PORTS = {"http": "80", "https": "443"}
# A range counts stored bytes; with a content coding it would count others.
_ALWAYS = (("Accept", "*/*"), ("Accept-Encoding", "identity"))


class Answered(Protocol):
    """The head of a response, and its body."""

    @property
    def status(self) -> int:
        """Status code."""
        ...

    @property
    def fields(self) -> Fields:
        """Header fields."""
        ...

    @property
    def body(self) -> Body:
        """What follows them."""
        ...


class _Known(NamedTuple):
    """What every request to one origin has in common."""

    origin: Origin
    header: str


class Asker:
    """Sends requests.

    Args:
        hub: Whose token is sent to whom.
        client: Gives httpx2's client.
        direct: Asks hosts without a proxy; None leaves everything to the client.
        agent: What is sent as ``User-Agent``.

    Attributes:
        hub: The same.
    """

    def __init__(
        self, hub: HubAccess, client: Callable[[], httpx2.Client], direct: Direct | None, *, agent: str = USER_AGENT
    ) -> None:
        self.hub = hub
        self._client = client
        self._direct = direct
        self._always = (("User-Agent", agent), *_ALWAYS)
        self._known: dict[str, _Known] = {}

    def close(self) -> None:
        """Close every direct connection, from any thread; whoever waits for a byte gets an error at once."""
        if self._direct is not None:
            self._direct.close()

    def ask(self, url: str, conditions: Sequence[tuple[str, str]]) -> Answered:
        """Send a GET for ``url`` and return the answer as soon as its head is here.

        Args:
            url: An http or https address.
            conditions: Further header fields.

        Raises:
            ConnectionDroppedError, StalledError, NameResolutionError, TlsError: The source is not reached.
            SourceError: The address makes no sense, or the answer is malformed.
        """
        plain = _PLAIN.fullmatch(url) if self._direct is not None else None
        if plain is None or self._direct is None:
            from mirror.sources.proxied import ask_client

            return ask_client(self._client(), url, self._headers(url, conditions))
        known = self._known.get(plain[1]) or self._learn(url, *plain.groups())
        more = "".join([f"{name}: {value}\r\n" for name, value in conditions])
        message = f"GET {plain[5]} HTTP/1.1\r\n{known.header}{more}\r\n"
        return self._direct.ask(known.origin, message.encode("latin-1"))

    def _learn(self, url: str, base: str, scheme: str, host: str, port: str | None, target: str) -> _Known:
        origin = (scheme, host, int(port) if port and port != _PORTS[scheme] else None)
        name = host if origin[2] is None else f"{host}:{port}"
        lines = [f"{name}: {value}\r\n" for name, value in (("Host", name), *self._headers(url, ()))]
        known = self._known[base] = _Known(origin, "".join(lines))
        return known

    def _headers(self, url: str, conditions: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        token = self.hub.token_for(url)
        return [*self._always, *conditions, *([("Authorization", f"Bearer {token}")] if token else [])]
