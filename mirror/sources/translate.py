"""httpx2's errors, as ours."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

import httpx2

from mirror.errors import ConnectionDroppedError, SourceError, StalledError, TlsError
from mirror.sources.failures import failure

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROXY_HINT = "check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY: `minibert-mirror doctor`"


def translated(error: httpx2.HTTPError | httpx2.InvalidURL, *, proxy: str = "") -> SourceError:
    """Return our error for one of httpx2's; whoever asked adds the address.

    Args:
        error: What httpx2, or a transport of ours, raised; its causes tell a missing name from a closed port.
        proxy: Host and port that httpx2 connected to, where that is known.
    """
    causes = list(_causes(error))
    if ours := next((cause for cause in causes if isinstance(cause, SourceError)), None):
        return copy(ours)  # from our own transport
    failures = [failure(cause) for cause in causes if isinstance(cause, OSError)]
    # From here on, a proxy was asked: a connection of our own fails with our own errors.
    named = f"the proxy {proxy}" if proxy else "the proxy"
    if trust := next((found for found in failures if isinstance(found, TlsError)), None):
        return trust
    if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout)):
        said = failures[0] if failures else "nobody answers"
        return ConnectionDroppedError(f"{named} gives no connection: {said}", hint=_PROXY_HINT)
    if isinstance(error, httpx2.TimeoutException):
        return StalledError(str(error) or "no byte came in time")
    if isinstance(error, httpx2.ProxyError):
        return SourceError(f"{named} refuses: {error}", transient=True, hint=_PROXY_HINT)
    if isinstance(error, (httpx2.NetworkError, httpx2.RemoteProtocolError)):
        return failures[0] if failures else ConnectionDroppedError(str(error) or type(error).__name__)
    return SourceError("this address cannot be asked")


def _causes(error: BaseException) -> Iterator[BaseException]:
    at: BaseException | None = error
    while at is not None:
        yield at
        at = at.__cause__ or at.__context__
