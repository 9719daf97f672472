"""Events as a pull makes them, for the tests of the ledger."""

from __future__ import annotations

import base64
import hashlib
import struct
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from mirror.ledger import Ledger
from mirror.model import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

ARTIFACT = "bert-tiny@huggingface"
REVISION = "30b0a37ccaaa32f332884b96992754e246e48c5f"


def sha256(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def clock(start: datetime = datetime(2025, 1, 31, 12, tzinfo=UTC)) -> Callable[[], datetime]:
    """Return a clock that goes on by one second whenever it is read."""
    ticks = iter(range(10**9))
    return lambda: start + timedelta(seconds=next(ticks))


def open_ledger(path: Path, **options: Any) -> Ledger:
    return Ledger.open(path, tool="minibert-mirror 0.0", now=options.pop("now", clock()), **options)


def claim(digest: str, authority: str = "publisher") -> dict[str, Any]:
    return {"digest": digest, "authority": authority, "where": "huggingface.co API", "secure": True}


def file(
    path: str, *claims: dict[str, Any], size: int | None = None, revision: str | None = REVISION
) -> dict[str, Any]:
    return {
        "path": path,
        "size": size,
        "urls": [f"https://huggingface.co/x/{path}"],
        "revision": revision,
        "claims": list(claims),
    }


def listed(
    *files: dict[str, Any],
    artifact: str = ARTIFACT,
    revision: str | None = REVISION,
    narrowed: Sequence[str] | None = None,
) -> Event:
    detail = {
        "artifact": artifact,
        "revision": revision,
        "narrowed": narrowed,
        "source": "https://huggingface.co",
        "files": list(files),
    }
    return Event("listed", artifact, detail)


def stored(
    path: str,
    digest: str | None = None,
    *,
    artifact: str = ARTIFACT,
    size: int = 285,
    level: str = "attested",
    how: str = "fetched",
    digests: dict[str, str] | None = None,
    blocks: Sequence[int] = (),
) -> Event:
    digest = digest or sha256(path)
    detail = {
        "artifact": artifact,
        "path": path,
        "sha256": digest,
        "size": size,
        "level": level,
        "digests": {"sha256": digest, **(digests or {})},
        "url": f"https://huggingface.co/x/{path}",
        "hops": [{"url": f"https://huggingface.co/x/{path}", "status": 200, "headers": [["etag", '"x"']]}],
        "agreeing": [],
        "seconds": 0.25,
        "blocks": base64.b64encode(struct.pack(f"<{len(blocks)}I", *blocks)).decode() if blocks else None,
        "how": how,
    }
    return Event("stored", f"{artifact}/{path}", detail)


def failed(path: str | None, *, artifact: str = ARTIFACT) -> Event:
    detail: dict[str, Any] = {
        "artifact": artifact,
        "path": path,
        "error": "StalledError",
        "message": "no byte for 60 s",
        "status": None,
        "attempts": [],
    }
    return Event("failed", f"{artifact}/{path}" if path else artifact, detail)


def disputed(path: str, *, artifact: str = ARTIFACT) -> Event:
    detail: dict[str, Any] = {
        "artifact": artifact,
        "path": path,
        "actual": {"sha256": sha256("other"), "git-sha1": sha256("other")[:40]},
        "against": [claim(f"sha256:{sha256(path)}", "catalog")],
        "agreeing": [],
        "quarantine": "2025-01-31-0001",
        "hops": [],
    }
    return Event("disputed", f"{artifact}/{path}", detail)


def members(blob: str, *paths: str) -> Event:
    rows = [{"path": path, "size": 7, "crc32": "0badcafe", "sha256": sha256(path)} for path in paths]
    return Event("members", f"sha256:{blob}", {"sha256": blob, "members": rows})


def verified(blob: str, verdict: str = "intact", level: str = "digest") -> Event:
    return Event("verified", f"sha256:{blob}", {"sha256": blob, "level": level, "verdict": verdict})


def removed(blob: str) -> Event:
    return Event("removed", f"sha256:{blob}", {"sha256": blob, "size": 285, "why": "no artifact needs it"})


def loaded(
    blob: str,
    member: str = "",
    *,
    verdict: str = "sound",
    tensors: Sequence[tuple[str, str, str, str]] | None = (("pooler.dense.bias", "F32", "128", sha256("bias")),),
) -> Event:
    detail = {
        "sha256": blob,
        "member": member,
        "format": "torch-zip",
        "family": "bert",
        "verdict": verdict,
        "parameters": 128,
        "roots": {"pooler": sha256("root"), "all": sha256("root")},
        "findings": [["values", "warning", "pooler.dense.bias", "all zero"]],
        "tensors": None if tensors is None else [list(one) for one in tensors],
    }
    return Event("loaded", f"sha256:{blob}", detail)
