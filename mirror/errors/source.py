"""What a host, or the way to it, does instead of giving the bytes."""

from __future__ import annotations

from mirror.errors.root import MirrorError

#: What whoever has logged in with the hub's own program has to know.
HF_LOGIN = 'what `hf auth login` wrote is not read: export HF_TOKEN="$(hf auth token)"'
_LATER = "the host has trouble of its own: run the same command again later; what has arrived is kept"
_OTHER_BYTES = "another file than promised: correct catalog.json where its size (`--size`) is wrong, then pull --update"


class SourceError(MirrorError):
    """A source did not give what was asked for.

    Attributes:
        transient: Whether asking again, later or elsewhere, may help.
        retry_after: Seconds that the source asks us to wait; 0 when it says nothing.
        status: HTTP status, where there was one.
    """

    exit_code = 5
    transient = False

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after: float = 0.0,
        transient: bool | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.retry_after = retry_after
        if transient is not None:
            if transient and not self.transient and hint is None:
                self.hint = _LATER  # the class speaks of errors that last
            self.transient = transient


class ConnectionDroppedError(SourceError):
    """The connection ended, was refused or reset before the last byte."""

    transient = True
    hint = "what has arrived is kept; run the same command again to go on"


class StalledError(ConnectionDroppedError):
    """No byte came for as long as the watchdog waits."""


class NameResolutionError(ConnectionDroppedError):
    """The host's name has no address here."""

    hint = "check the spelling, the DNS or the proxy settings: `minibert-mirror doctor`"


class TlsError(SourceError):
    """The host's certificate could not be trusted."""

    hint = "set SSL_CERT_FILE to your organisation's CA bundle, or see `minibert-mirror doctor`"


class RangeError(SourceError):
    """A reply's body is not the range that was asked for (RFC 9110 §14.4, §15.3.7)."""

    transient = True
    hint = "the host, or a cache on the way, sends other bytes than were asked for: try later, or without the proxy"


class ChangedError(SourceError):
    """The file changed at the source while it was being fetched."""

    transient = True
    hint = _OTHER_BYTES


class OversizeError(SourceError):
    """More bytes come than were promised; they are refused as they arrive."""

    transient = True
    hint = _OTHER_BYTES


class RedirectError(SourceError):
    """A redirect loops, leads to an unknown scheme, or from https to http."""

    hint = "check the address, HF_ENDPOINT, and whether a login page or a captive portal stands in between"


class StatusError(SourceError):
    """A status that is neither success nor one with a class of its own."""

    hint = "the host refuses, and will again; `minibert-mirror catalog show MODEL` lists other sources"


class NotFoundError(StatusError):
    """The source does not have it (404, 410), or hides it."""

    hint = "misspelt, moved or gone: `minibert-mirror catalog show MODEL` lists this address and other sources"


class AccessError(StatusError):
    """The source wants a login, a token or an accepted licence (401, 403)."""

    hint = f"accept its licence on the web page, and set HF_TOKEN to a token that may read it; {HF_LOGIN}"


class RateLimitedError(StatusError):
    """The source asks us to come back later (429, 503)."""

    transient = True
    hint = "the host is busy: run the same command again later; `--jobs 2` asks for less at once"


class BaiduError(SourceError):
    """Baidu's open platform, or its storage, answers with an error of its own.

    Attributes:
        code: Its number or word; 0 where it gives none.
        remedy: What helps, in the words of ``mirror.sources.baidu_open.words.Remedy``.
    """

    hint = "`minibert-mirror baidu status` says whether you are logged in and how many calls are left"

    def __init__(
        self, message: str, *, code: int | str = 0, remedy: str = "", retry_after: float = 0.0, hint: str | None = None
    ) -> None:
        super().__init__(message, retry_after=retry_after, hint=hint)
        self.code, self.remedy = code, remedy


class QuotaError(BaiduError):
    """The app has used up the calls that Baidu allows it; ``retry_after`` says for how long."""

    hint = "what has come is kept: run the same command again when the hour is over"


class RemovedError(BaiduError):
    """Baidu gives a notice, or nothing, in the place of the file."""

    hint = "Baidu has removed or blocked it; `minibert-mirror catalog show MODEL` lists other sources"


class OfflineError(SourceError):
    """``--offline`` was asked for and something would have to be fetched."""

    hint = "run the same command without --offline on a machine that reaches the sources"
