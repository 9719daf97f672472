"""Addresses for other programs; the real aria2c takes both of its forms."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from mirror.catalog import Catalog, builtin_catalog_text, parse, select
from mirror.catalog.addresses import addresses, aria2, metalink, plain
from mirror.errors import CatalogError
from tests.catalogs import COMMIT, GIT_SHA1, SHA256, file, http, hub, model, pan, text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHIPPED = parse(builtin_catalog_text())
NAMESPACE = "{urn:ietf:params:xml:ns:metalink}"


def known(*sources: dict[str, Any]) -> Catalog:
    return parse(text(model("a", *sources)))


def test_the_plain_list_has_every_address_and_a_shares_code_as_a_comment() -> None:
    artifacts = known(
        http(file("x", "https://one/x", "http://two/x")),
        pan(),
        pan(id="baidu-tensorflow", url=None, code=None, status="unpublished"),
        hub("o/a"),
        hub("o/b", file("y"), id="huggingface-o", revision=COMMIT),
    ).artifacts()
    assert list(plain(artifacts)) == [
        "https://one/x",
        "http://two/x",
        "# a@baidu-pytorch: for a person; extraction code a1b2",
        "https://pan.baidu.com/s/1abcdefghijklmnopqrstuv",
        "# a@baidu-tensorflow: not published",
        "# a@huggingface: no file is known yet, a pull lists them: https://huggingface.co/o/a",
        f"https://huggingface.co/o/b/resolve/{COMMIT}/y",
    ]


def test_every_address_of_the_shipped_catalog_is_in_the_plain_list() -> None:
    lines = list(plain(select(SHIPPED, [], everything=True)))
    urls = [line for line in lines if not line.startswith("#")]
    assert len([url for url in urls if "pan.baidu.com" in url]) == 48
    assert len(urls) == 48 + sum(
        len(entry.urls) for artifact in SHIPPED.artifacts() if not artifact.bundle for entry in artifact.files
    )


def test_a_mirror_of_the_hub_takes_the_hubs_place_and_nobody_elses() -> None:
    artifacts = list(known(hub("o/a", file("x")), http(file("y", "https://huggingface.co/y"))).artifacts())
    found = [address.urls for address in addresses(artifacts, endpoint="https://hub.example/")]
    assert found == [("https://hub.example/o/a/resolve/main/x",), ("https://huggingface.co/y",)]


def test_the_page_of_a_repository_is_never_two_addresses_in_one() -> None:
    demo = hub("o/a", url="http://127.0.0.1:18461/o/a")
    (line,) = plain(known(demo).artifacts())
    assert line.endswith("a pull lists them: http://127.0.0.1:18461/o/a")
    (line,) = plain(known(demo).artifacts(), endpoint="http://127.0.0.1:18461")
    assert line.endswith("a pull lists them: http://127.0.0.1:18461/o/a")
    (line,) = plain(known(hub("o/a")).artifacts(), endpoint="https://hub.example/")
    assert line.endswith("a pull lists them: https://hub.example/o/a")


def test_aria2_gets_alternates_a_name_and_the_best_checksum() -> None:
    both = file("x", "https://one/x", "http://two/x", sha256=SHA256, md5="ef" * 16)
    weak = file("y", "https://one/y", md5="ef" * 16)
    none = file("z", "https://one/z", git_sha1=GIT_SHA1)
    assert list(aria2(known(http(both, weak, none), pan()).artifacts())) == [
        "https://one/x\thttp://two/x",
        "  out=a@google/x",
        f"  checksum=sha-256={SHA256}",
        "  continue=true",
        "https://one/y",
        "  out=a@google/y",
        f"  checksum=md5={'ef' * 16}",
        "  continue=true",
        "https://one/z",
        "  out=a@google/z",
        "  continue=true",
    ]


def test_metalink_has_size_digests_and_addresses_in_order() -> None:
    entry = file("x&y", "https://one/x?a=1&b=2", "http://two/x", sha256=SHA256, md5="ef" * 16, size=5)
    document = "\n".join(metalink(known(http(entry)).artifacts()))
    (found,) = ET.fromstring(document).iter(f"{NAMESPACE}file")
    assert found.get("name") == "a@google/x&y"
    assert found.findtext(f"{NAMESPACE}size") == "5"
    assert [(h.get("type"), h.text) for h in found.iter(f"{NAMESPACE}hash")] == [
        ("sha-256", SHA256),
        ("md5", "ef" * 16),
    ]
    assert [(u.get("priority"), u.text) for u in found.iter(f"{NAMESPACE}url")] == [
        ("1", "https://one/x?a=1&b=2"),
        ("2", "http://two/x"),
    ]


def test_what_is_no_promise_is_no_checksum_either() -> None:
    entry = file("x", sha256=SHA256, size=5, revision="main")
    (address,) = addresses(known(hub("o/a", entry, revision=COMMIT)).artifacts())
    assert (address.size, address.digests) == (None, ())


@pytest.mark.parametrize(
    "url", ["https://h/x\n  out=/etc/passwd", "https://h/x y", "ftp://h/x", "h/x", "https://h/<x>"]
)
def test_an_address_that_could_smuggle_an_option_is_refused(url: str) -> None:
    with pytest.raises(CatalogError, match="unsafe path or address"):
        list(aria2(known(http(file("x", url))).artifacts()))


@pytest.fixture
def host(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A plain web server on loopback, and the folder that it serves."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name of the base class)
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", folder
    server.shutdown()
    server.server_close()
    thread.join()


def served(host: tuple[str, Path], *, wrong: bool = False) -> Catalog:
    """Return a catalog of two served files, the first with a dead address before the good one."""
    base, folder = host
    files = []
    for path, data in (("one.bin", b"one" * 40_000), ("two.txt", b"two")):
        (folder / path).write_bytes(data)
        digest = hashlib.sha256(data + (b"!" if wrong else b"")).hexdigest()
        urls = ("http://127.0.0.1:1/dead", f"{base}/{path}") if path == "one.bin" else (f"{base}/{path}",)
        files.append(file(path, *urls, sha256=digest, size=len(data)))
    return known(http(*files))


def run_aria2(folder: Path, option: str, lines: Iterator[str]) -> int:
    source = folder / "input"
    source.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    command = ["aria2c", f"{option}={source}", f"--dir={folder / 'out'}", "--no-conf", "--max-tries=1", "--quiet",
               "--connect-timeout=5", "--async-dns=false", "--no-proxy=127.0.0.1"]  # fmt: skip
    return subprocess.run(command, check=False, timeout=60).returncode


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("aria2c") is None, reason="aria2c is not installed")
@pytest.mark.parametrize(("option", "form"), [("--input-file", aria2), ("--metalink-file", metalink)])
def test_real_aria2_fetches_and_checks_the_files(
    host: tuple[str, Path], tmp_path: Path, option: str, form: Any
) -> None:
    assert run_aria2(tmp_path, option, form(served(host).artifacts())) == 0
    for path in ("one.bin", "two.txt"):
        assert (tmp_path / "out" / "a@google" / path).read_bytes() == (host[1] / path).read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("aria2c") is None, reason="aria2c is not installed")
@pytest.mark.parametrize(("option", "form"), [("--input-file", aria2), ("--metalink-file", metalink)])
def test_real_aria2_fails_on_bytes_that_are_not_the_pinned_ones(
    host: tuple[str, Path], tmp_path: Path, option: str, form: Any
) -> None:
    checksum_failed = 32  # aria2c(1), EXIT STATUS
    assert run_aria2(tmp_path, option, form(served(host, wrong=True).artifacts())) == checksum_failed
