"""The one way to open an address, whatever its scheme."""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING, Self

from mirror.errors import ConnectionDroppedError, SourceError
from mirror.sources.access import HubAccess
from mirror.sources.folder import FileOpener
from mirror.sources.proxies import proxies
from mirror.wire import origin, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from types import TracebackType

    import httpx2

    from mirror.sources.asking import Asker
    from mirror.sources.direct import Direct
    from mirror.sources.http import HttpOpener
    from mirror.sources.reply import Reply
    from mirror.wire import Validator


class Openers:
    """Opens addresses by their scheme, from any thread; a context manager that closes what it opened.

    Args:
        make: Makes httpx2's client, when something needs it: a proxy, a hub's API, an odd address.
        hub: Whose token is sent to whom.
        direct: Makes what asks hosts without a proxy, at the first http address; without it, or when it
            gives None, the client asks them all.
        stall: Seconds that they wait for the next byte.

    Attributes:
        hub, stall: The same.
    """

    def __init__(
        self,
        make: Callable[[], httpx2.Client],
        *,
        hub: HubAccess | None = None,
        direct: Callable[[], Direct | None] = lambda: None,
        stall: float = 60.0,
    ) -> None:
        self._make = make
        self._direct = direct
        self.hub = hub or HubAccess()
        self.stall = stall
        self._lock = threading.RLock()
        self._client: httpx2.Client | None = None
        self._asker: Asker | None = None
        self._http: HttpOpener | None = None
        self._file = FileOpener()
        self._closed = False

    @classmethod
    def of(
        cls, environ: Mapping[str, str], *, connect: float = 10.0, stall: float = 60.0, hub: HubAccess | None = None
    ) -> Openers:
        """Return openers that follow the environment.

        Args:
            environ: See ``make_client``; ``HF_ENDPOINT`` and ``HF_TOKEN`` as well, unless ``hub`` is given.
            connect: Seconds to wait for a connection.
            stall: Seconds to wait for the next byte.
            hub: Which hub is asked, and as whom.

        Raises:
            UsageError: ``HF_ENDPOINT`` or ``HF_TOKEN`` makes no sense.
        """

        @cache
        def direct() -> Direct:
            from mirror.sources.direct import Direct
            from mirror.sources.tls import TlsContext

            return Direct(TlsContext(environ), connect=connect, stall=stall)

        def make() -> httpx2.Client:
            from mirror.sources.client import make_client

            return make_client(environ, direct())

        # Which address goes through a proxy, httpx2 knows best.
        straight = lambda: None if proxies(environ) else direct()  # noqa: E731
        return cls(make, hub=hub or HubAccess.of(environ), direct=straight, stall=stall)

    @property
    def client(self) -> httpx2.Client:
        """The HTTP client, made now if it has not been needed yet.

        Raises:
            ConnectionDroppedError: The openers are closed.
        """
        with self._lock:
            if self._closed:
                raise ConnectionDroppedError("stopped before anything was asked")
            if self._client is None:
                self._client = self._make()
            return self._client

    def open(
        self,
        url: str,
        *,
        start: int = 0,
        stop: int | None = None,
        validator: Validator | None = None,
        size: int | None = None,
    ) -> AbstractContextManager[Reply]:
        """Ask for the bytes ``[start, stop)`` of the file at ``url``; see ``HttpOpener.open``.

        Raises:
            SourceError: The scheme is unknown or the openers are closed; all that ``HttpOpener.open`` and
                ``FileOpener.open`` raise.
            ImpostorError: A page comes where a file was promised.
        """
        scheme = url.partition(":")[0].lower()
        if scheme == "file":
            return self._file.open(url, start=start, stop=stop, validator=validator, size=size)
        if scheme not in {"http", "https"} or origin(url) is None:
            raise SourceError(f"{redact(url)}: only http, https and file addresses can be opened")
        http = self._http or self._made()
        return http.open(url, start=start, stop=stop, validator=validator, size=size)

    def _made(self) -> HttpOpener:
        from mirror.sources.asking import Asker
        from mirror.sources.http import HttpOpener

        with self._lock:
            if self._closed:
                raise ConnectionDroppedError("stopped before anything was asked")
            if self._http is None:
                self._asker = Asker(self.hub, lambda: self.client, self._direct())
                self._http = HttpOpener(self._asker)
            return self._http

    def asker(self, agent: str) -> Asker:
        """Return what sends single requests as ``agent``, through the connections that ``close`` closes.

        Raises:
            ConnectionDroppedError: The openers are closed.
        """
        from mirror.sources.asking import Asker

        self._made()
        return Asker(self.hub, lambda: self.client, self._direct(), agent=agent)

    def close(self) -> None:
        """Close every connection, from any thread: whoever waits for a byte gets an error at once."""
        with self._lock:
            self._closed = True
            opened = [each for each in (self._asker, self._client) if each is not None]
        for each in opened:
            each.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
