"""Whatever a server, a catalog or a file's name says, a terminal gets nothing to obey but our own colours."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner

from mirror.api import Mirror
from mirror.cli import cli
from tests import catalogs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EVIL = "\x1b[35;5mred\x1b]0;pwn\x07\x9b2J\x00\r\u202e"
NAME = "\x1b[35;5mred\x1b]0;pwn\x07\n\u202ebin.pt"  # what a file may be called
#: The colours of our own.
OURS = re.compile(r"\x1b\[(?:0|1|3[1-6])m")
OBEYED = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


class _Evil(BaseHTTPRequestHandler):
    """Says everything that a host may say with escapes in it."""

    def do_GET(self) -> None:
        data = b"[PAD]\n"
        self.send_response(404 if "missing" in self.path else 200, EVIL[:20])
        self.send_header("ETag", f'"{EVIL[:20]}"')
        self.send_header("Content-Type", EVIL[:8])
        self.send_header("X-Linked-Size", EVIL[:8])
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    """A mirror whose catalog and whose host mean ill, after a pull."""
    root = tmp_path_factory.mktemp("evil")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Evil) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = f"http://127.0.0.1:{server.server_port}"
        files = [
            catalogs.file("vocab.txt", f"{host}/vocab.txt"),
            catalogs.file("missing.bin", f"{host}/missing.bin?{EVIL[:5]}{EVIL[-2]}", note=EVIL),
        ]
        evil = catalogs.model(
            "evil",
            catalogs.http(*files, url=f"{host}/"),
            catalogs.pan(code=EVIL),
            catalogs.http(id="empty", url=f"{host}/{EVIL}"),
            notes=[EVIL],
            licence={"value": EVIL, "basis": EVIL, "listed": EVIL, "provenance": ["named"]},
        )
        (root / "cache").mkdir()
        provenance = {**catalogs.PROVENANCE, "other": {**catalogs.PROVENANCE["other"], "note": EVIL}}
        text = json.dumps(catalogs.catalog(evil, provenance=provenance))
        (root / "catalog.json").write_text(text, encoding="utf-8")
        (root / "other.json").write_text(text.replace("pwn", "own"), encoding="utf-8")
        downloads = root / "downloads"
        downloads.mkdir()
        (downloads / NAME).write_bytes(b"\x80\x02}q\x00.")
        (downloads / "wrong.json").write_text(json.dumps({EVIL: {EVIL: EVIL}, "models": [{"id": EVIL}]}))
        CliRunner().invoke(cli, ["--mirror", str(root), "pull", "evil@google", "--retries", "0"])
        yield Mirror.open(root, environ={})
        server.shutdown()


COMMANDS = [
    "why evil@google/vocab.txt",
    "why evil@google/missing.bin",
    "status --all",
    "ls --missing",
    "catalog list",
    "catalog show evil",
    "catalog check",
    "catalog check downloads/wrong.json",
    "catalog diff",
    "catalog diff other.json catalog.json",
    "urls",
    "urls --as aria2",
    "urls --as metalink",
    "ledger log",
    "ledger verify",
    "handoff",
    "probe --dry-run",
    "identify downloads",
    "compare",
    "verify",
    "repair",
    "ingest downloads --dry-run",
    "ingest downloads",
    "pull evil@google --dry-run",
    "pull evil@google --offline",
    "gc",
]


@pytest.mark.parametrize("words", COMMANDS)
def test_a_terminal_obeys_nobody_else(here: Mirror, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here.place.root)
    done = CliRunner().invoke(cli, words.split(), color=True)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert "Usage:" not in done.output
    assert OBEYED.search(OURS.sub("", done.output)) is None, done.output


@pytest.mark.parametrize("words", [words for words in COMMANDS if "--as" not in words])
def test_json_is_json_and_shows_no_more(here: Mirror, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here.place.root)
    done = CliRunner().invoke(cli, [*words.split(), "--json"], color=True)
    assert OBEYED.search(done.stdout) is None
    assert all(isinstance(json.loads(line), dict) for line in done.stdout.splitlines())


def test_a_header_is_told_as_it_was(here: Mirror) -> None:
    done = CliRunner().invoke(cli, ["--mirror", str(here.place.root), "why", "evil@google/vocab.txt"])
    assert '"\\x1b[35;5mred\\x1b]0;pwn\\x07' in done.stdout


def test_other_programs_get_addresses_that_they_can_read(here: Mirror) -> None:
    plain = CliRunner().invoke(cli, ["--mirror", str(here.place.root), "urls"]).stdout
    assert "/missing.bin?%1B[35;%00" in plain.replace("%0D", "%00")
    metalink = CliRunner().invoke(cli, ["--mirror", str(here.place.root), "urls", "--as", "metalink"]).stdout
    assert len(ET.fromstring(metalink).findall(".//{*}url")) == 2


def test_a_blank_of_another_script_is_shown_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "百度\u3000网盘"
    folder.mkdir()
    (folder / "bert_model.index").write_bytes(b"nothing")
    done = CliRunner().invoke(cli, ["identify", str(folder)], color=True)
    assert "百度\u3000网盘" in done.stdout
