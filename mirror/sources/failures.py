"""What the system says of a connection that fails, as our errors; the address is added by whoever asked."""

from __future__ import annotations

import copy
import socket
from typing import TypeVar

from mirror.errors import ConnectionDroppedError, NameResolutionError, SourceError, TlsError
from mirror.wire import redact

E = TypeVar("E", bound=SourceError)


def failure(error: OSError | UnicodeError) -> SourceError:
    """Return our error for one of the system's, other than a timeout."""
    import ssl  # a pull over plain http does without it

    if isinstance(error, socket.gaierror):
        return NameResolutionError("the host's name has no address here")
    if isinstance(error, ssl.SSLCertVerificationError):
        return TlsError(f"the certificate is not trusted: {error.verify_message}")
    # TLS that ended because the connection did says nothing against the host.
    cut = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
    if isinstance(error, ssl.SSLError) and not isinstance(error, cut):
        reason: str | None = getattr(error, "reason", None)  # only OpenSSL's own errors have one
        said = reason.replace("_", " ").lower() if reason else " ".join(map(str, error.args))
        return TlsError(f"TLS failed: {said}")
    # The system's own words without the number in front: "[Errno 111] Connection refused".
    words = error.strerror if isinstance(error, OSError) else None
    return ConnectionDroppedError(words or str(error) or type(error).__name__)


def located(error: E, url: str) -> E:
    """Return ``error`` again, as what happened at ``url``, which is redacted here."""
    told = copy.copy(error)
    told.args = (f"{redact(url)}: {error}",)
    return told
