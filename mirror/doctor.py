"""Is this machine fit to mirror? Disk, file system, hosts, proxies, clocks, speed.

Every check is a question with an answer and, where it is not well, what to do.
Nothing is changed, but for a small file that is written and removed in the store.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from mirror.errors import HF_LOGIN, MirrorError
from mirror.wire import is_secure, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import httpx2

#: Less room than this is worth a warning: the 24 miniatures alone take 3 GB from one source.
_ROOM = 10 << 30
#: A clock further off than this makes TLS certificates and Retry-After dates unreliable.
_SKEW = 120.0
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_CAS = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class Health(StrEnum):
    """How well one thing is."""

    OK = "ok"
    NOTE = "note"
    BAD = "bad"


class Finding(NamedTuple):
    """The answer to one question.

    Attributes:
        topic: What was looked at.
        health: How well it is.
        text: What was found.
        advice: What to do; empty when nothing needs doing.
    """

    topic: str
    health: Health
    text: str
    advice: str = ""


def examine(
    cache: Path,
    hosts: Iterator[str] | list[str],
    *,
    environ: Mapping[str, str],
    client: Callable[[], httpx2.Client] | None,
) -> Iterator[Finding]:
    """Yield the answers, the local ones first.

    Args:
        cache: The mirror's ``cache/``.
        hosts: Addresses to try, one per host.
        environ: The environment.
        client: Makes the HTTP client; None asks no host.
    """
    yield _python()
    yield from _disk(cache)
    yield _hash_speed()
    yield from _environment(environ)
    if client is not None:
        with client() as http:
            for url in hosts:
                yield _host(http, url)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", Health.OK, f"{version}, SQLite {sqlite3.sqlite_version}, {sys.platform}")


def _disk(cache: Path) -> Iterator[Finding]:
    there = next(folder for folder in (cache, *cache.parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    yield Finding(
        "disk",
        Health.OK if free >= _ROOM else Health.NOTE,
        f"{free / 2**30:.1f} GiB free for {cache}",
        "" if free >= _ROOM else "all 24 miniatures take 3 GB from one source: `minibert-mirror gc` shows what can go",
    )
    probe = there / f".minibert-doctor-{os.getpid()}"
    try:
        begin = time.perf_counter()
        with probe.open("xb") as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
        probe.replace(probe.with_suffix(".renamed"))
        probe.with_suffix(".renamed").unlink()
        took = time.perf_counter() - begin
    except OSError as error:
        yield Finding(
            "store",
            Health.NOTE,
            f"{there} cannot be written: {error.strerror}",
            "reading works; to pull, use a mirror of your own: `minibert-mirror init DIR`",
        )
        return
    slow = took > 0.1
    yield Finding(
        "store",
        Health.NOTE if slow else Health.OK,
        f"write, fsync and rename work, {took * 1e3:.1f} ms",
        "a slow disk or a network file system: small files will take long" if slow else "",
    )


def _hash_speed() -> Finding:
    import hashlib

    block = bytes(1 << 20)
    begin = time.perf_counter()
    for _ in range(64):
        hashlib.sha256(block)
    rate = 64 / 1024 / (time.perf_counter() - begin)
    return Finding(
        "sha256",
        Health.OK if rate > 0.4 else Health.NOTE,
        f"{rate:.2f} GiB/s on one core",
        "" if rate > 0.4 else "no SHA instructions: hashing, not the link, may be the limit",
    )


def _environment(environ: Mapping[str, str]) -> Iterator[Finding]:
    found = {name: environ.get(name) or environ.get(name.lower()) for name in _PROXIES}
    proxies = [f"{name}={redact(value) if '://' in value else value}" for name, value in found.items() if value]
    yield Finding("proxies", Health.OK, ", ".join(proxies) or "none")
    for name in _CAS:
        if environ.get(name):
            there = Path(environ[name]).exists()
            yield Finding(
                "certificates",
                Health.OK if there else Health.BAD,
                f"{name}={environ[name]}",
                "" if there else "this path does not exist: every https host will be refused",
            )
    yield _hub(environ)


def _hub(environ: Mapping[str, str]) -> Finding:
    """Say where the hub is, and whether a token is sent; that another program keeps one is said, and no more."""
    endpoint = environ.get("HF_ENDPOINT") or "https://huggingface.co"
    where = f"endpoint {redact(endpoint)}"
    if not (environ.get("HF_TOKEN") or environ.get("HUGGING_FACE_HUB_TOKEN")):
        home = Path(environ.get("HF_HOME") or Path(environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface"))
        kept = Path(environ.get("HF_TOKEN_PATH") or home.expanduser() / "token").expanduser()
        said = f"{where}, no token (public repositories need none)"
        return Finding("hub", Health.OK, said, HF_LOGIN if kept.is_file() else "")
    if is_secure(endpoint):
        return Finding("hub", Health.OK, f"{where}, a token is set")
    said = f"{where}, a token is set and will not be sent: over http anybody on the way could read it"
    return Finding("hub", Health.NOTE, said, "set HF_ENDPOINT to an https address")


def _host(client: httpx2.Client, url: str) -> Finding:
    import httpx2

    host = urlsplit(url).netloc.rpartition("@")[2]
    begin = time.perf_counter()
    try:
        reply = client.request("HEAD", url, timeout=10.0)
    except (httpx2.HTTPError, MirrorError, OSError) as error:
        return Finding(
            host,
            Health.BAD,
            f"not reached: {error}",
            "check DNS, proxy and firewall; other sources of the same model may still work",
        )
    took = time.perf_counter() - begin
    text = f"answers {reply.status_code} in {took * 1e3:.0f} ms"
    try:
        skew = (datetime.now(UTC) - parsedate_to_datetime(reply.headers["date"])).total_seconds()
    except (KeyError, ValueError, TypeError):
        return Finding(host, Health.OK, text)
    if abs(skew) > _SKEW:
        return Finding(
            host,
            Health.NOTE,
            f"{text}; our clock is {skew:+.0f} s off its clock",
            "set the clock: certificates and times in the ledger depend on it",
        )
    return Finding(host, Health.OK, text)
