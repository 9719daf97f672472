"""httpx2's errors, as ours."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

import httpx2

from mirror.errors import ConnectionDroppedError, SourceError, StalledError
from mirror.sources.failures import failure

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROXY_HINT = "check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY: `minibert-mirror doctor`"


def translated(error: httpx2.HTTPError | httpx2.InvalidURL) -> SourceError:
    """Return our error for one of httpx2's; whoever asked adds the address.

    Args:
        error: What httpx2, or a transport of ours, raised; its causes tell a missing name from a closed port.
    """
    causes = list(_causes(error))
    if ours := next((cause for cause in causes if isinstance(cause, SourceError)), None):
        return copy(ours)  # from our own transport
    failures = [failure(cause) for cause in causes if isinstance(cause, OSError)]
    telling = [found for found in failures if type(found) is not ConnectionDroppedError]
    if telling:
        return telling[0]  # no such name, or no trust in the certificate
    if isinstance(error, httpx2.ConnectTimeout):
        return ConnectionDroppedError("nobody answers")
    if isinstance(error, httpx2.TimeoutException):
        return StalledError(str(error) or "no byte came in time")
    if isinstance(error, httpx2.ProxyError):
        return SourceError(f"the proxy refuses: {error}", transient=True, hint=_PROXY_HINT)
    if isinstance(error, (httpx2.NetworkError, httpx2.RemoteProtocolError)):
        return failures[0] if failures else ConnectionDroppedError(str(error) or type(error).__name__)
    return SourceError("this address cannot be asked")


def _causes(error: BaseException) -> Iterator[BaseException]:
    at: BaseException | None = error
    while at is not None:
        yield at
        at = at.__cause__ or at.__context__
