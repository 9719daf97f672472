"""httpx2's errors, as ours."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

import httpx2

from mirror.errors import ConnectionDroppedError, NameResolutionError, SourceError, StalledError, TlsError
from mirror.wire import redact

if TYPE_CHECKING:
    from collections.abc import Iterator

#: TLS that ended because the connection did; the certificate is not in question.
_CUT_TLS = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
_PROXY_HINT = "check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY: `minibert-mirror doctor`"


def translate(error: httpx2.HTTPError | httpx2.InvalidURL, url: str) -> SourceError:
    """Return our error for one of httpx2's, raised while ``url`` was asked or its body read.

    Args:
        error: What httpx2, or a transport of ours, raised; its causes tell a missing name from a closed port.
        url: The address; it is redacted here.
    """
    where = redact(url)
    causes = list(_causes(error))
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return NameResolutionError(f"{where}: the host's name has no address here")
    tls = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    if tls is not None and not isinstance(tls, _CUT_TLS):
        return TlsError(f"{where}: {_reason(tls)}")
    if isinstance(error, httpx2.ConnectTimeout):
        return ConnectionDroppedError(f"{where}: nobody answers")
    if isinstance(error, httpx2.TimeoutException):
        return StalledError(f"{where}: {error or 'no byte came in time'}")
    if isinstance(error, httpx2.ProxyError):
        return SourceError(f"{where}: the proxy refuses: {error}", transient=True, hint=_PROXY_HINT)
    if isinstance(error, (httpx2.NetworkError, httpx2.RemoteProtocolError)):
        ours = next((cause for cause in causes if isinstance(cause, SourceError)), None)
        if ours is not None:  # the head of the response was read, and refused
            return SourceError(f"{where}: {ours}", transient=ours.transient)
        # The system's own words without the number in front: "[Errno 111] Connection refused".
        said = next((cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror), None)
        return ConnectionDroppedError(f"{where}: {said or error or type(error).__name__}")
    return SourceError(f"{where}: this address cannot be asked")


def _causes(error: BaseException) -> Iterator[BaseException]:
    at: BaseException | None = error
    while at is not None:
        yield at
        at = at.__cause__ or at.__context__


def _reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {error.verify_message}"
    reason: str | None = getattr(error, "reason", None)  # only OpenSSL's own errors have one
    return f"TLS failed: {reason.replace('_', ' ').lower() if reason else error}"
