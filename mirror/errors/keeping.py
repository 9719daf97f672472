"""What happens to the store and the ledger, and what the system says of it."""

from __future__ import annotations

import errno

from mirror.errors.root import MirrorError

#: What the system says where there is no room. A limit on file sizes (EFBIG) is, for whoever meets it, a quota.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
#: What it says where no more files, or sockets, may be open: a limit of this process, or of the machine.
CROWDED = frozenset({errno.EMFILE, errno.ENFILE})
#: What it says where we may not write.
FORBIDDEN = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


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
