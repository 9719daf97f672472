"""Every error of the program, with its exit code and a hint.

One tree. Raise the narrowest, catch the family. An error carries its facts as
attributes, not only in its text, and no text holds a token, a cookie or a URL's
query. The exit codes are a promise (``docs/cli.md``): they are never renumbered.
"""

from __future__ import annotations

import errno

#: What the system says where there is no room. A limit on file sizes (EFBIG) is, for whoever meets it, a quota.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
#: What it says where no more files, or sockets, may be open: a limit of this process, or of the machine.
CROWDED = frozenset({errno.EMFILE, errno.ENFILE})
#: What it says where we may not write.
FORBIDDEN = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})

#: What whoever has logged in with the hub's own program has to know.
HF_LOGIN = 'what `hf auth login` wrote is not read: export HF_TOKEN="$(hf auth token)"'
_LATER = "the host has trouble of its own: run the same command again later; what has arrived is kept"
_OTHER_BYTES = "another file than promised: correct catalog.json where its size (`--size`) is wrong, then pull --update"


class MirrorError(Exception):
    """Root of all our errors; ``exit_code`` and ``hint`` are for the command line.

    ``account`` is what a transfer tells of its failure: see ``mirror.transfer.account_of``.
    """

    exit_code = 1
    hint = ""
    account: object = None

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        if hint is not None:
            self.hint = hint


class UsageError(MirrorError):
    """The command line, or a call, asks for something that does not make sense."""

    exit_code = 2


class SelectorError(UsageError):
    """A selector is malformed, or names nothing that the catalog knows."""

    hint = "see `minibert-mirror catalog list` for every name"

    def __init__(self, message: str, *, nearest: tuple[str, ...] = ()) -> None:
        if nearest:
            message = f"{message}; nearest: {', '.join(nearest)}"
        super().__init__(message)
        self.nearest = nearest


class CatalogError(MirrorError):
    """``catalog.json`` or ``catalog.lock.json`` is not what its schema says."""

    exit_code = 3
    hint = "`minibert-mirror catalog check` names every problem"


class WrongCodeError(CatalogError):
    """A share is there, and does not take the extraction code that the catalog has for it."""

    hint = "correct the code in catalog.json, then `minibert-mirror probe --again` for this share"


class IntegrityError(MirrorError):
    """Bytes are here, and they are not the ones somebody promised."""

    exit_code = 4


class DeadShareError(IntegrityError):
    """A share that was promised is gone: cancelled, deleted, expired or blocked."""

    hint = "the model's other sources: `minibert-mirror catalog show MODEL`; the catalog keeps the link, with its date"


class DisputedError(IntegrityError):
    """Two authorities disagree about one file; the bytes are in quarantine."""

    hint = "`minibert-mirror why FILE` shows both values; ask the publisher before changing a pin"

    def __init__(self, path: str, *, claims: tuple[str, ...], actual: str) -> None:
        super().__init__(f"{path}: got {actual}, but {'; '.join(claims)}")
        self.path, self.claims, self.actual = path, claims, actual


class ImpostorError(IntegrityError):
    """A reply of status 200 holds something else: a login page, a Git LFS pointer."""

    hint = "the host answers with a page instead of the file: check the address, login or captive portal"


class ArchiveError(IntegrityError):
    """A zip or tar is damaged, or built to harm whoever unpacks it.

    Attributes:
        member: The member it is about; empty when it is about the whole.
    """

    hint = "do not unpack it; compare its digest with the publisher's"

    def __init__(self, message: str, *, member: str = "") -> None:
        super().__init__(f"{member}: {message}" if member else message)
        self.member = member


class ArchiveMethodError(ArchiveError):
    """An archive is encrypted, or packed in a way that is not read here."""

    hint = "unpack it yourself, then give the folder"


class FormatError(IntegrityError):
    """A file is not exactly what its weight format says, or is built to harm its reader.

    Attributes:
        at: Offset in the file, in bytes, of what is wrong; None where it has no single place.
        tensor: Name of the tensor that it is about, as the file has it; empty when it is about the whole.
    """

    hint = "nothing of it was loaded or run; compare its digest with the publisher's"

    def __init__(self, message: str, *, at: int | None = None, tensor: str = "") -> None:
        where = [f"tensor {tensor}"] if tensor else []
        where += [f"byte {at}"] if at is not None else []
        super().__init__(f"{', '.join(where)}: {message}" if where else message)
        self.at, self.tensor = at, tensor


class UnsoundError(IntegrityError):
    """Weights are the publisher's, byte by byte, and not what the model needs."""

    hint = "do not use the model before you know why: `minibert-mirror why FILE` tells everything"


class DifferentError(IntegrityError):
    """Weights that should be the same numbers are not."""

    hint = "`minibert-mirror identify FILE` says whose numbers they are; use those of the publisher that you trust"


class UnpinnedError(IntegrityError):
    """``--locked`` was asked for and a file has no pin."""

    hint = "run `minibert-mirror lock` after a pull that you trust"


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


class StoreError(MirrorError):
    """The store cannot be read or written."""

    exit_code = 6


class DiskFullError(StoreError):
    """There is no room, or no quota, for the bytes."""

    hint = "free space (`minibert-mirror gc`), then run the same command again: what has arrived is kept"


class OpenFilesError(StoreError):
    """No more files may be open at once."""

    hint = "raise the limit, `ulimit -n 1024`, then run the same command again: what has arrived is kept"


class ReadOnlyStoreError(StoreError):
    """The store belongs to somebody else and can only be read from here."""

    hint = "pull into a mirror of your own: `minibert-mirror init DIR`"


class LinkError(StoreError):
    """Two files cannot share their bytes in the way that was asked for."""

    hint = "`--link-mode auto` copies what cannot be shared; a file that still grows has to be finished first"


class BusyError(StoreError):
    """Another live process is writing the same partial.

    Attributes:
        owner: Host, process id and start time of that process, as text.
    """

    hint = "let it finish; a claim is taken over when its process has ended, on another host after two silent minutes"

    def __init__(self, key: str, *, owner: str) -> None:
        super().__init__(f"partial {key} is being written by {owner}")
        self.key, self.owner = key, owner


class LedgerError(MirrorError):
    """The ledger cannot be read, written or believed."""

    exit_code = 7


class NoLedgerError(LedgerError):
    """Nothing was ever recorded: there is no ledger yet, or another thread or process is just making it."""

    hint = "`minibert-mirror pull` makes one"


class TamperedError(LedgerError):
    """A row of the ledger, or its tail, is not what was written.

    Attributes:
        problems: Everything that was found, one line each; the text may hold only the first of them.
    """

    hint = "compare `minibert-mirror ledger head` with a copy kept elsewhere"

    def __init__(self, message: str, *, problems: tuple[str, ...] = (), hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.problems = problems or (message,)


class WaitingError(MirrorError):
    """Everything else is done, and something waits for a person (``--strict``)."""

    exit_code = 8
    hint = "`minibert-mirror handoff` lists links and codes, `minibert-mirror ingest` takes in what comes"


class CaptchaError(WaitingError):
    """A host wants to see a person before it answers; no program should go on asking."""

    hint = "ask nobody for a quarter of an hour, or open the link yourself: `minibert-mirror handoff`"


class LoginNeededError(WaitingError):
    """Baidu wants its user to say yes again, in a browser."""

    hint = "minibert-mirror baidu login"
