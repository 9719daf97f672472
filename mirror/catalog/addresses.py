"""Every address the catalog knows, for people and for other download programs.

Three forms: a plain list, an input file of aria2, and Metalink 4. Where the catalog
pins a digest, the other program checks it; where bytes stand at several addresses, it
gets them all. A cloud-drive share is for a person, so only the plain list has it.

Source: aria2c(1), "Input File"; RFC 5854 (Metalink).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from mirror.catalog.values import HUB, Artifact
from mirror.errors import CatalogError
from mirror.model import Digest, printable, safe_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Names of hash functions in aria2 and in RFC 5854's registry; a git blob id has none. Best first.
_NAMES = {"sha256": "sha-256", "md5": "md5"}
_NAMESPACE = "urn:ietf:params:xml:ns:metalink"
_FOREIGN = re.compile(r"[^\x20-\x7e]+")
_URL = re.compile(r"(https?|file)://[^\s<>\"]+")


class Address(NamedTuple):
    """One file to fetch.

    Attributes:
        out: Where it should stand: the artifact's name and the path.
        urls: Its addresses, best first.
        size: Bytes, where promised.
        digests: Promised digests that other programs can check, best first.
    """

    out: str
    urls: tuple[str, ...]
    size: int | None
    digests: tuple[Digest, ...]


def addresses(artifacts: Iterable[Artifact], *, endpoint: str = HUB) -> Iterator[Address]:
    """Yield the files of ``artifacts`` that a program can fetch, in order.

    Args:
        artifacts: What was selected.
        endpoint: Base URL of the hub, or of a mirror of it.

    Raises:
        CatalogError: An address or a path cannot be handed to another program.
    """
    base = endpoint.rstrip("/")
    for artifact in artifacts:
        if artifact.waits_for_person:
            continue
        for file in artifact.files:
            urls = file.urls
            if artifact.kind == "hub":
                urls = tuple(base + url.removeprefix(HUB) for url in urls)
            urls = tuple(map(_encoded, urls))
            out = f"{artifact.name}/{file.path}"
            # A line break or `..` here would write where nobody asked.
            if not safe_path(out) or not all(_URL.fullmatch(url) for url in urls):
                raise CatalogError(f"{out}: an unsafe path or address")
            known = {claim.digest.algorithm: claim.digest for claim in file.claims()}
            digests = tuple(known[algorithm] for algorithm in _NAMES if algorithm in known)
            yield Address(out, urls, file.promised_size, digests)


def plain(artifacts: Iterable[Artifact], *, endpoint: str = HUB) -> Iterator[str]:
    """Yield lines: every address, and as comments what a program cannot fetch.

    Raises:
        CatalogError: As ``addresses``.
    """
    for artifact in artifacts:
        if not artifact.published:
            yield f"# {artifact.name}: not published"
        elif artifact.waits_for_person:
            yield f"# {artifact.name}: for a person; extraction code {printable(artifact.code or 'unknown')}"
            yield _encoded(artifact.url or "")
        elif not artifact.files:
            yield f"# {artifact.name}: no file is known yet, a pull lists them: {page(artifact, endpoint=endpoint)}"
        else:
            yield from (url for address in addresses([artifact], endpoint=endpoint) for url in address.urls)


def aria2(artifacts: Iterable[Artifact], *, endpoint: str = HUB) -> Iterator[str]:
    """Yield the lines of an input file for ``aria2c --input-file``.

    Raises:
        CatalogError: As ``addresses``.
    """
    for address in addresses(artifacts, endpoint=endpoint):
        yield "\t".join(address.urls)
        yield f"  out={address.out}"
        for digest in address.digests[:1]:  # aria2 takes one
            yield f"  checksum={_NAMES[digest.algorithm]}={digest.hex}"
        yield "  continue=true"


def metalink(artifacts: Iterable[Artifact], *, endpoint: str = HUB) -> Iterator[str]:
    """Yield the lines of a Metalink document.

    Raises:
        CatalogError: As ``addresses``.

    Source: RFC 5854 §4.2.
    """
    from xml.sax.saxutils import escape, quoteattr

    from mirror import __version__

    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield f'<metalink xmlns="{_NAMESPACE}">'
    yield f"  <generator>minibert-mirror/{__version__}</generator>"
    for address in addresses(artifacts, endpoint=endpoint):
        yield f"  <file name={quoteattr(address.out)}>"
        if address.size is not None:
            yield f"    <size>{address.size}</size>"
        for digest in address.digests:
            yield f'    <hash type="{_NAMES[digest.algorithm]}">{digest.hex}</hash>'
        for priority, url in enumerate(address.urls, 1):
            yield f'    <url priority="{priority}">{escape(url)}</url>'
        yield "  </file>"
    yield "</metalink>"


def page(artifact: Artifact, *, endpoint: str = HUB) -> str:
    """Return the address that a person would open; one of the hub, at the hub's mirror."""
    url = artifact.url or ""
    at_hub = artifact.kind == "hub" and url.startswith(f"{HUB}/")
    return _encoded(endpoint.rstrip("/") + url.removeprefix(HUB) if at_hub else url)


def _encoded(url: str) -> str:
    """Return an address in printable ASCII (RFC 3986 §2.1): safe in lines, in XML and on a terminal."""
    return _FOREIGN.sub(lambda found: quote(found[0], errors="surrogatepass"), url)
