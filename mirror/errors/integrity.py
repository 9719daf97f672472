"""Bytes, or weights, that are not what somebody promised."""

from __future__ import annotations

from mirror.errors.root import MirrorError


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
