"""The official way to Baidu, without a socket: its words, whom secrets go to, private files, the hour's calls."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mirror.drive import private
from mirror.drive.memory import HOUR, State, TokenFile
from mirror.drive.settings import Settings
from mirror.errors import BaiduError, DiskFullError, LoginNeededError, QuotaError, RemovedError, SourceError, UsageError
from mirror.evidence import judge
from mirror.model import Authority, Claim, Digest, Level
from mirror.sources.baidu_open.asking import Bases
from mirror.sources.baidu_open.files import Entry, links_of, page_of
from mirror.sources.baidu_open.node import claims_of, tag_of
from mirror.sources.baidu_open.oauth import App, DeviceCode, Tokens
from mirror.sources.baidu_open.words import Remedy, Said, login_error, node_error, platform_error, said
from mirror.wire import Fields

if TYPE_CHECKING:
    from collections.abc import Callable

APP = App("the key", "the secret", "demo")
MD5 = "ee36794a4a89dd89247fa0075a4fb553"
ITEM = {"fs_id": 323456789012345, "path": "/apps/demo/a.bin", "size": 8, "isdir": 0, "server_mtime": 17, "md5": MD5}


# --- words -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"errno": -9, "err_msg": "", "request_id": 1}', Said(-9)),
        (b'{"errno": "-9"}', Said(-9)),
        (b'{"error_code": 31326, "error_msg": "user is not authorized, hitcode:119"}', Said(31326, "119")),
        (b'{"error": "authorization_pending", "error_description": "x"}', Said("authorization_pending")),
        (b'{"error": "<script>secret"}', Said("unknown")),
        (b'{"errno": 0, "list": []}', None),
        (b'{"errno": 0.5}', None),
        (b'{"errno": true}', None),
        (b"[1]", None),
        (b"<html>", None),
        (b"", None),
        (b"[" * 100_000, None),
    ],
)
def test_an_error_is_found_in_every_envelope(body: bytes, told: Said | None) -> None:
    assert said(body) == told


@pytest.mark.parametrize(
    ("code", "kind", "remedy"),
    [
        (-6, BaiduError, Remedy.LOGIN),
        (111, BaiduError, Remedy.LOGIN),
        (20012, QuotaError, Remedy.QUOTA),
        (31034, QuotaError, Remedy.QUOTA),
        (9013, QuotaError, Remedy.QUOTA),
        (20020, BaiduError, Remedy.FIX),
        (31023, BaiduError, Remedy.BUG),
        (42212, BaiduError, Remedy.RETRY),
        (77777, BaiduError, Remedy.STOP),
    ],
)
def test_the_platform_s_codes_say_what_helps(code: int, kind: type, remedy: str) -> None:
    error = platform_error(Said(code), "listing")
    assert (type(error), getattr(error, "remedy", "")) == (kind, remedy)
    assert error.exit_code == 5
    assert error.hint


@pytest.mark.parametrize(
    ("code", "kind", "remedy"),
    [
        (31045, BaiduError, Remedy.LOGIN),
        (31066, BaiduError, Remedy.STOP),
        (31326, BaiduError, Remedy.STOP_RUN),
        (31626, BaiduError, Remedy.STOP_RUN),
        (31329, BaiduError, Remedy.STOP_RUN),
        (31360, BaiduError, Remedy.RELINK),
        (31362, BaiduError, Remedy.RELINK),
        (403, BaiduError, Remedy.RELINK),
        (416, BaiduError, Remedy.BUG),
        (31390, RemovedError, Remedy.REMOVED),
        (100001, RemovedError, Remedy.REMOVED),
    ],
)
def test_the_nodes_codes_say_what_helps(code: int, kind: type, remedy: str) -> None:
    error = node_error(Said(code), "/apps/demo/a")
    assert (type(error), getattr(error, "remedy", "")) == (kind, remedy)


def test_a_login_s_error_is_a_person_s_to_mend() -> None:
    assert login_error(Said("expired_token"), "x").exit_code == 8
    assert "SECRET_KEY" in login_error(Said("invalid_client"), "x").hint
    assert isinstance(login_error(Said("unknown"), "x"), LoginNeededError)


# --- whom secrets go to ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "trusted"),
    [
        ("https://pan.baidu.com/x", True),
        ("https://openapi.baidu.com/x", True),
        ("https://d.pcs.baidu.com/file/x?sign=1", True),
        ("https://nj01ct01.baidupcs.com/file/x", True),
        ("http://d.pcs.baidu.com/file/x", False),
        ("https://baidupcs.com.evil.example/x", False),
        ("https://evilbaidupcs.com/x", False),
        ("https://d.pcs.baidu.com@evil.example/x", False),
        ("https://evil.example/?d.pcs.baidu.com", False),
        ("http://127.0.0.1:9/x", False),
        ("file:///etc/passwd", False),
        ("ftp://d.pcs.baidu.com/x", False),
        ("https://[", False),
        ("", False),
    ],
)
def test_only_baidu_s_own_hosts_are_trusted(url: str, trusted: bool) -> None:
    assert Bases().trust(url) is trusted


def test_with_other_bases_baidu_s_hosts_are_strangers() -> None:
    bases = Bases("http://127.0.0.1:1", "http://127.0.0.1:2").checked()
    assert bases.trust("http://127.0.0.1:3/file/x")
    assert not bases.trust("https://d.pcs.baidu.com/file/x")


@pytest.mark.parametrize("base", ["http://pan.baidu.com", "pan.baidu.com", "https://", "ftp://127.0.0.1"])
def test_a_base_that_everybody_could_read_is_refused(base: str) -> None:
    with pytest.raises(UsageError):
        Bases(pan=base).checked()


def test_no_value_shows_its_secrets() -> None:
    tokens, device = Tokens("126.ACCESS", "127.REFRESH", 1.0), DeviceCode("DEVICE", "abcd", "https://x", 300.0, 5.0)
    shown = f"{tokens!r} {device!r} {APP!r}"
    assert not any(secret in shown for secret in ("126.", "127.", "DEVICE", "the key", "the secret"))


# --- listings ----------------------------------------------------------------------------


def test_numbers_may_be_text_and_folders_are_left_out() -> None:
    texts = {**ITEM, "fs_id": "9007199254740993", "size": "8", "isdir": "0", "server_mtime": "17"}
    folder = {"isdir": "1", "path": "/apps/demo/sub"}
    page = page_of({"list": [texts, folder], "has_more": 0}, "/apps/demo", 0)
    assert page.entries == (Entry((1 << 53) + 1, "/apps/demo/a.bin", 8, 17, MD5),)
    assert page.following is None


@pytest.mark.parametrize(
    ("values", "following"),
    [({"has_more": 1, "cursor": 7}, 7), ({"has_more": 1}, 6), ({"has_more": 1, "cursor": 5}, 6), ({}, None)],
)
def test_a_page_says_where_the_next_begins(values: dict[str, int], following: int | None) -> None:
    assert page_of({"list": [ITEM], **values}, "/apps/demo", 5).following == following


@pytest.mark.parametrize(
    "change",
    [{"fs_id": 1.5}, {"fs_id": None}, {"fs_id": -1}, {"size": -1}, {"size": "many"}, {"size": 1 << 60}, {"path": 7}],
)
def test_an_entry_that_makes_no_sense_is_an_error_not_a_shorter_list(change: dict[str, object]) -> None:
    with pytest.raises(SourceError):
        page_of({"list": [{**ITEM, **change}]}, "/apps/demo", 0)


def test_a_file_outside_of_the_folder_is_an_error() -> None:
    with pytest.raises(SourceError):
        page_of({"list": [{**ITEM, "path": "/private/diary.txt"}]}, "/apps/demo", 0)


def test_what_a_path_cannot_show_is_replaced() -> None:
    (entry,) = page_of({"list": [{**ITEM, "path": "/apps/demo/a\n\x1b[2J"}]}, "/apps/demo", 0).entries
    assert entry.path.isprintable()


def test_a_link_with_odd_signs_counts_as_none() -> None:
    assert [link for _, link in links_of({"list": [{**ITEM, "dlink": "https://x/\r\nEvil: 1"}, ITEM]})] == ["", ""]


# --- what nodes say of bytes -------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "tag", "claims"),
    [
        ({"Content-MD5": MD5, "x-bs-meta-crc32": "57442353"}, MD5, {f"md5:{MD5}", "crc32:036c8031"}),
        ({"Content-MD5": MD5.upper()}, MD5, {f"md5:{MD5}"}),
        ({"ETag": f'"{MD5}"'}, MD5, set()),
        ({"Content-MD5": "7jZ5SkqJ3Ykkf6AHWk+1Uw==", "x-bs-meta-crc32": "0"}, "", set()),
        ({"Content-MD5": "x", "x-bs-meta-crc32": "99999999999999"}, "", set()),
        ({}, "", set()),
    ],
)
def test_digests_count_when_they_are_of_the_whole(headers: dict[str, str], tag: str, claims: set[str]) -> None:
    assert tag_of(Fields(headers)) == tag
    assert {str(claim.digest) for claim in claims_of(Fields(headers), "https://a.baidupcs.com/x")} == claims


def test_whoever_only_carried_bytes_does_not_vouch_for_them() -> None:
    digest = Digest("md5", MD5)
    evidence = judge({"md5": digest}, [Claim(digest, Authority.CARRIER, "a.baidupcs.com content-md5")])
    assert (evidence.level, len(evidence.agreeing)) == (Level.FIRST_SEEN, 1)
    other = Claim(Digest("md5", MD5[::-1]), Authority.CARRIER, "x")
    assert judge({"md5": digest}, [other]).level is Level.DISPUTED


# --- private files -----------------------------------------------------------------------


def test_a_private_file_is_its_owner_s_alone(tmp_path: Path) -> None:
    path = tmp_path / "a/b/secret.json"
    private.save(path, b"1")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert private.read(path) == b"1"
    assert [one.name for one in path.parent.iterdir()] == ["secret.json"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o644])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "config.json"
    path.write_text("{}")
    path.chmod(mode)
    with pytest.raises(UsageError, match="others") as caught:
        private.read(path)
    assert caught.value.hint == f"chmod 600 {path}"


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
@pytest.mark.parametrize("name", ["config.json", "tokens.json", "tokens.json.new", "state.json"])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path, name: str, make: Callable[[Path], None]) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    make(tmp_path / name)
    with pytest.raises(UsageError, match=f"{name} is no file") as caught:
        _all_files(tmp_path)
    assert caught.value.hint == "move it away, then run the command again"
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def _all_files(folder: Path) -> None:
    """Read every private file of a folder."""
    settings = Settings.of(ENVIRON, folder)
    TokenFile(folder / "tokens.json", settings.app).load()
    State.load(folder / "state.json")


def whole(data: bytes) -> bytes | None:
    return data if data.endswith(b"}") else None


@pytest.mark.parametrize(("aside", "found"), [(b'{"new"}', b'{"new"}'), (b'{"ne', b'{"old"}'), (b"", b'{"old"}')])
def test_a_save_that_was_cut_off_is_ended_if_it_is_whole(tmp_path: Path, aside: bytes, found: bytes) -> None:
    path = tmp_path / "tokens.json"
    private.save(path, b'{"old"}')
    left = path.with_name("tokens.json.new")
    left.write_bytes(aside)
    left.chmod(0o600)
    assert private.load(path, whole) == found
    assert private.read(path) == found
    private.save(path, b'{"next"}')
    assert not left.exists()
    assert private.load(path, whole) == b'{"next"}'


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    private.save(path, b'{"old"}')
    with pytest.raises(DiskFullError):
        _full(path)
    assert private.load(path, whole) == b'{"old"}'


def _full(path: Path) -> None:
    """Save more than the system lets a file hold, as a full disk does."""
    import resource
    import signal

    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        private.save(path, bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_tokens_of_another_app_count_as_none(tmp_path: Path) -> None:
    path, tokens = tmp_path / "tokens.json", Tokens("126.a", "127.b", 5.0)
    TokenFile(path, APP).save(tokens)
    assert TokenFile(path, APP).load() == tokens
    assert TokenFile(path, App("another", "the secret", "demo")).load() is None
    private.save(path, b"garbage")
    assert TokenFile(path, APP).load() is None


# --- settings ----------------------------------------------------------------------------

ENVIRON = {
    "MINIBERT_MIRROR_BAIDU_APP_KEY": "k",
    "MINIBERT_MIRROR_BAIDU_SECRET_KEY": "s",
    "MINIBERT_MIRROR_BAIDU_APP_NAME": "demo",
}


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    private.save(
        tmp_path / "config.json", json.dumps({"app_key": "file", "app_name": "f", "range_size": 1000}).encode()
    )
    settings = Settings.of(
        {"MINIBERT_MIRROR_BAIDU_SECRET_KEY": "s", "MINIBERT_MIRROR_BAIDU_APP_NAME": "demo"}, tmp_path
    )
    assert (settings.app.key, settings.app.folder, settings.range_size) == ("file", "/apps/demo", 1000)
    assert settings.bases == Bases()
    assert Settings.of(ENVIRON, tmp_path / "none").range_size == 4 << 20


def test_what_is_missing_is_named_with_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="SECRET_KEY") as caught:
        Settings.of({**ENVIRON, "MINIBERT_MIRROR_BAIDU_SECRET_KEY": ""}, tmp_path)
    assert "register an app" in caught.value.hint


@pytest.mark.parametrize(
    "more",
    [
        {"APP_NAME": "a/b"},
        {"APP_NAME": ".."},
        {"APP_NAME": "a\nb"},
        {"RANGE_SIZE": "0"},
        {"RANGE_SIZE": "4M"},
        {"CALLS_AN_HOUR": "-1"},
        {"PAN_BASE": "http://pan.example"},
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(tmp_path: Path, more: dict[str, str]) -> None:
    given = {f"MINIBERT_MIRROR_BAIDU_{name}": value for name, value in more.items()}
    with pytest.raises(UsageError):
        Settings.of({**ENVIRON, **given}, tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '{"app_key": ["x"]}', '{"appkey": "x"}'])
def test_a_configuration_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    private.save(tmp_path / "config.json", text.encode())
    with pytest.raises(UsageError):
        Settings.of(ENVIRON, tmp_path)


# --- the hour's calls --------------------------------------------------------------------


def test_calls_count_for_an_hour() -> None:
    state = State()
    for at in range(10):
        state.take(10, 1000.0 + at)
    with pytest.raises(QuotaError) as caught:
        state.take(10, 1500.0)
    assert caught.value.retry_after == 1000.0 + HOUR - 1500.0
    assert state.left(10, 1000.0 + HOUR + 2) == 3


def test_a_clock_that_was_put_back_blocks_nobody_for_long() -> None:
    state = State(calls=[1e12] * 10, blocked=1e12)
    assert state.left(10, 1000.0) == 10


def test_what_is_remembered_is_remembered_and_garbage_is_a_fresh_start(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    state = State([1.0], 2.0, 3.0, (Entry(1 << 60, "/apps/demo/模型", 8, 17, MD5),))
    state.save(path)
    assert State.load(path) == state
    for garbage in (b"", b"{}", b"[]", b'{"entries": [[1]], "calls": []}'):
        private.save(path, garbage)
        assert State.load(path) == State()
