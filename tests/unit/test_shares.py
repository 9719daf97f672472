"""What the share interfaces say, read without a socket: pages, verdicts, entries, whole listings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mirror.errors import CaptchaError, DeadShareError, MirrorError, SourceError, UsageError, WrongCodeError
from mirror.sources.shares.answers import Meaning, as_object, number, page_said, said
from mirror.sources.shares.entries import Entry, Listed, entries, shown_name
from mirror.sources.shares.link import Link
from mirror.sources.shares.page import PageState, parse_page
from mirror.sources.shares.walk import Part, TooLargeError, walk
from mirror.upstream.pan_pages import STATES, data_page, page
from tests.shares_world import share

if TYPE_CHECKING:
    from collections.abc import Callable

SURL = "9b1x0yJafaTcLa5qBysjEQ"
#: An id that a floating-point number cannot hold.
BIG = (1 << 53) + 1
ENTRY = {"fs_id": BIG, "isdir": 0, "size": 8, "server_filename": "a.bin", "path": "/x/a.bin"}


# --- whom an address means -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "link"),
    [
        (f"https://pan.baidu.com/s/1{SURL}", ("https://pan.baidu.com", SURL)),
        (f"http://yun.baidu.com/s/1{SURL}?pwd=lnyy ", ("https://pan.baidu.com", SURL)),
        (f"https://pan.baidu.com/share/init?surl={SURL}", ("https://pan.baidu.com", SURL)),
        ("https://pan.baidu.com/s/1-qN1BLlXaY_SIGIOws1lqQ", ("https://pan.baidu.com", "-qN1BLlXaY_SIGIOws1lqQ")),
        ("http://127.0.0.1:8099/s/1_w0Cyx56CGaD2kekkkkaxQ", ("http://127.0.0.1:8099", "_w0Cyx56CGaD2kekkkkaxQ")),
        ("https://pan.example.org/s/1a?pwd=abcd", ("https://pan.example.org", "a")),
    ],
)
def test_an_address_means_a_host_and_a_share(url: str, link: tuple[str, str]) -> None:
    assert Link.of(url) == link
    assert "pwd" not in Link.of(url).page


@pytest.mark.parametrize(
    "url",
    [
        "http://pan.example.org/s/1abc",  # could be read, and the proof of the code taken, on the way
        "https://user:word@pan.example.org/s/1abc",
        "https://pan.example.org/e/1abc",
        "https://pan.baidu.com/e/1abc",
        "ftp://pan.example.org/s/1abc",
        "https://h\x1b[2J/s/1abc",
        "https://[/s/1abc",
        "",
    ],
)
def test_any_other_address_is_asked_nothing(url: str) -> None:
    with pytest.raises(UsageError):
        Link.of(url)


# --- verdicts ------------------------------------------------------------------------------

DEAD = (-1, -3, -7, -8, -21, -70, 10, 105, 115, 116, 117, 145)
CAPTCHAS = (-19, -20, -62, -63, 110, 132, 8001, 8002, 9013, 9019, 9100, 9500, 42000, 42001, 42999)


@pytest.mark.parametrize(
    ("codes", "meaning", "kind"),
    [
        ((0,), Meaning.FINE, None),
        (DEAD, Meaning.DEAD, DeadShareError),
        ((-9, -12, 5), Meaning.CODE, WrongCodeError),
        (CAPTCHAS, Meaning.CAPTCHA, CaptchaError),
        ((-4, -6, 2, 3, 112, 118, -130, 200025, 31326, 777777), Meaning.TROUBLE, SourceError),
    ],
)
def test_every_number_has_its_meaning_as_number_and_as_text(
    codes: tuple[int, ...], meaning: Meaning, kind: type[MirrorError] | None
) -> None:
    for code in codes:
        for reply in ({"errno": code}, {"errno": str(code)}, {"error_code": code, "error_msg": "x"}):
            verdict = said(reply)
            assert verdict.meaning is meaning, code
            if kind is not None:
                assert type(verdict.error("here")) is kind
                assert str(code) in verdict.why


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        *((word, Meaning.CODE) for word in ("mispw_9", "mispwd-9", "5")),
        *((word, Meaning.DEAD) for word in ("mis_105", "0", "3", "10")),
        *((word, Meaning.TROUBLE) for word in ("mis_2", "mis_4", "mis_unheard")),
        *((word, Meaning.CAPTCHA) for word in ("mis_62", "mis-19", "mispwd_63", "mis_9019")),
    ],
)
def test_the_mini_program_s_words_count_before_its_number(word: str, meaning: Meaning) -> None:
    assert said({"errno": -130, "errtype": word}).meaning is meaning


def test_after_the_code_was_accepted_a_wrong_code_means_something_else() -> None:
    assert said({"errno": -9}, opened=True).meaning is Meaning.TROUBLE
    assert said({"errno": 115}, opened=True).meaning is Meaning.TROUBLE
    assert said({"errno": -62}, opened=True).meaning is Meaning.CAPTCHA
    assert said({"errno": -21}, opened=True).meaning is Meaning.DEAD


@pytest.mark.parametrize("reply", [{}, {"errno": None}, {"errno": 1.5}, {"errno": True}, {"errno": "0x0"}])
def test_a_reply_without_a_number_is_no_verdict(reply: dict[str, Any]) -> None:
    assert said(reply).meaning is Meaning.TROUBLE


def test_the_host_s_own_words_are_not_repeated_unless_they_are_one_word() -> None:
    assert "pending" in said({"error": "authorization_pending"}).why
    assert "\x1b" not in said({"error": "\x1b[2J"}).why
    assert "BDCLND" not in said({"errno": -9, "err_msg": "BDCLND=abc"}).why


@pytest.mark.parametrize(
    ("kind", "meaning"),
    [(0, Meaning.DEAD), (3, Meaning.DEAD), (11, Meaning.CAPTCHA), (123, Meaning.CAPTCHA), (15, Meaning.TROUBLE)],
)
def test_a_page_s_kind_of_error_is_a_verdict(kind: int, meaning: Meaning) -> None:
    assert page_said({"errno": -1, "errortype": kind}).meaning is meaning
    assert page_said({"errortype": str(kind)}).meaning is meaning


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{", b"\xff{}", b'{"a":NaN}', b'{"a":' + b"9" * 5000 + b"}", b'{"a":' * 100_000]
)
def test_what_is_no_object_is_none(body: bytes) -> None:
    assert as_object(body) is None


@pytest.mark.parametrize(
    ("value", "whole"),
    [(BIG, BIG), (str(BIG), BIG), ("-9", -9), (1.0, None), ("1.0", None), (True, None), ("٣", None), (1 << 70, None)],
)
def test_a_number_is_whole_and_exact_or_none(value: object, whole: int | None) -> None:
    assert number(value) == whole


# --- pages ---------------------------------------------------------------------------------


@pytest.mark.parametrize("wrapping", ["mset", "script", "try"])
@pytest.mark.parametrize("kind", ["array", "object", "string"])
def test_the_data_of_a_page_are_found_in_every_wrapping(wrapping: str, kind: str) -> None:
    lists: dict[str, Any] = {"array": [ENTRY], "object": {"list": [ENTRY]}, "string": json.dumps([ENTRY])}
    values = {"loginstate": 0, "errno": 0, "uk": 7, "share_uk": "11", "shareid": "22", "file_list": lists[kind]}
    found = parse_page(bytes(data_page(values, wrapping).body), "/s/1abc")
    assert (found.state, found.ids) == (PageState.OPEN, (11, 22)), "the sharer, not the visitor"
    assert [entry.fs_id for entry in found.shown] == [BIG]


def test_data_are_found_further_in_too() -> None:
    nested = b'x({"a": {"b": 1}}); y({"data": {"list": [], "inner": {"shareid": 5, "uk": 6}}});'
    assert parse_page(nested, "/s/1a").ids == (6, 5)


def test_the_plain_number_of_the_sharer_will_do_where_there_is_one_only() -> None:
    assert parse_page(b'locals.mset({"shareid": 1, "uk": 2});', "/s/1a").ids == (2, 1)


@pytest.mark.parametrize(
    ("state", "meaning"),
    [("gone", Meaning.DEAD), ("missing", Meaning.DEAD), ("captcha", Meaning.CAPTCHA)],
)
def test_a_page_without_data_tells_its_state(state: str, meaning: Meaning) -> None:
    for path in ("/s/1abc", "/share/init"):
        found = parse_page(bytes(page(*STATES[state]).body), path)
        assert (found.state, found.said.meaning) == (PageState.CLOSED, meaning)


def test_a_page_that_asks_for_the_code_is_locked() -> None:
    assert parse_page(bytes(page(*STATES["locked"]).body), "/s/1abc").state is PageState.LOCKED
    assert parse_page(b"<html>anything</html>", "/share/init").state is PageState.LOCKED
    # The form has the captcha's box in it too, hidden; whether one is wanted shows when the code is sent.
    assert parse_page(b'<div class="verify-form"><a class="change-code">', "/share/init").state is PageState.LOCKED


def test_a_page_whose_data_are_an_error_is_closed() -> None:
    found = parse_page(b'locals.mset({"errno": -1, "errortype": 3});', "/s/1a")
    assert (found.state, found.said.meaning) == (PageState.CLOSED, Meaning.DEAD)


def test_a_login_page_is_a_captcha_and_any_other_page_is_trouble() -> None:
    login = b'<form action="https://passport.baidu.com/v2/api/?login">'
    assert parse_page(login, "/s/1a").said.meaning is Meaning.CAPTCHA
    assert parse_page(b"<title>Sign in to the network</title>", "/s/1a").said.meaning is Meaning.TROUBLE


def test_an_error_in_plain_json_in_place_of_a_page_counts() -> None:
    assert parse_page(b'{"errno": -62}', "/share/init").said.meaning is Meaning.CAPTCHA
    assert parse_page(b'{"errno": 105}', "/s/1a").said.meaning is Meaning.DEAD


def test_a_page_built_to_cost_time_costs_none() -> None:
    bomb = b'{"shareid":[' * 100_000
    assert parse_page(bomb, "/s/1a").state is PageState.CLOSED


def test_a_page_without_numbers_is_refused() -> None:
    with pytest.raises(SourceError, match="numbers"):
        parse_page(b'{"shareid": "x"}', "/s/1a")


# --- entries -------------------------------------------------------------------------------


def test_numbers_may_come_as_text_and_large_ids_stay_exact() -> None:
    texts = {key: str(value) if isinstance(value, int) else value for key, value in ENTRY.items()}
    assert entries([ENTRY]) == entries([texts]) == (Entry(BIG, "a.bin", "/x/a.bin", 8, False),)


def test_a_fixture_writes_what_we_read() -> None:
    node = next(node for node in share().folder("") or [] if node.tree is None)
    assert node.fs_id > 1 << 53
    for text in (True, False):
        assert entries([node.entry(share().habits, text=text)])[0].fs_id == node.fs_id


@pytest.mark.parametrize(
    "change",
    [
        {"fs_id": 1.5},
        {"fs_id": "1e9"},
        {"fs_id": 0},
        {"fs_id": 1 << 63},
        {"fs_id": None},
        {"size": -1},
        {"size": "x"},
        {"size": 1 << 63},
        {"isdir": 2},
        {"isdir": None},
        {"server_filename": None},
        {"path": "relative"},
        {"path": None},
    ],
)
def test_an_entry_that_makes_no_sense_spoils_the_listing(change: dict[str, Any]) -> None:
    with pytest.raises(SourceError):
        entries([ENTRY, {**ENTRY, **change}])


@pytest.mark.parametrize("value", [None, 3, "", "[", '"x"', {"list": 1}, {}, [1]])
def test_what_is_no_list_is_refused(value: object) -> None:
    with pytest.raises(SourceError):
        entries(value)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("pytorch_model.bin", "pytorch_model.bin"),
        ("a &amp; b.txt", "a & b.txt"),
        ("模型 (1).zip", "模型 (1).zip"),
        ("..", "��"),
        (".", "�"),
        ("", "�"),
        ("../../etc/passwd", "..�..�etc�passwd"),
        ("a\\b", "a�b"),
        ("a&#47;b", "a�b"),
        ("red\x1b[31m\r\n", "red�[31m��"),
        ("gpj\u202eexe.bin", "gpj�exe.bin"),
        ("half \ud800", "half �"),
        ("n" * 300, "n" * 254 + "…"),
    ],
)
def test_a_name_is_one_harmless_line(name: str, shown: str) -> None:
    (found,) = entries([{**ENTRY, "server_filename": name}])
    assert found.name == shown
    assert shown_name(found.name) == found.name


# --- whole listings ------------------------------------------------------------------------


def entry(number: int, *, folder: str = "") -> Entry:
    return Entry(number, folder or f"f{number}", f"/{number}", 0 if folder else number, bool(folder))


def pages(table: dict[tuple[str | None, int], list[Entry]]) -> Callable[[str | None, int], Part]:
    return lambda folder, page: Part(tuple(table.get((folder, page), ())))


def test_folders_are_listed_page_by_page_until_nothing_comes() -> None:
    table = {
        (None, 1): [entry(1), entry(2, folder="b")],
        (None, 2): [entry(3, folder="a")],
        ("/2", 1): [entry(4)],
        ("/3", 1): [entry(5)],
        ("/3", 2): [entry(6)],
    }
    assert walk(pages(table)) == (Listed("a/f5", 5, 5), Listed("a/f6", 6, 6), Listed("b/f4", 4, 4), Listed("f1", 1, 1))


def test_a_short_page_is_not_the_end() -> None:
    assert len(walk(pages({(None, n): [entry(n)] for n in range(1, 9)}))) == 8


def test_the_host_s_word_that_there_is_no_more_is_the_end() -> None:
    asked = []

    def ask(folder: str | None, page: int) -> Part:
        asked.append(page)
        return Part((entry(page),), more=page < 3)

    assert len(walk(ask)) == 3
    assert asked == [1, 2, 3]


def test_an_empty_page_is_the_end_even_if_the_host_says_otherwise() -> None:
    assert walk(lambda folder, page: Part((), more=True)) == ()


def test_a_page_that_comes_again_spoils_the_listing() -> None:
    with pytest.raises(SourceError, match="repeats"):
        walk(lambda folder, page: Part((entry(1),)))


def test_a_folder_in_itself_spoils_the_listing() -> None:
    with pytest.raises(SourceError, match="repeats"):
        walk(lambda folder, page: Part((entry(1, folder="x"),) if page == 1 else ()))


def test_endless_listings_end() -> None:
    numbers = iter(range(1, 10**9))
    with pytest.raises(TooLargeError, match="pages"):
        walk(lambda folder, page: Part((entry(next(numbers)),)))
    with pytest.raises(TooLargeError, match="entries"):
        walk(lambda folder, page: Part(tuple(entry(next(numbers)) for _ in range(100))))
    with pytest.raises(TooLargeError):
        walk(lambda folder, page: Part((entry(next(numbers), folder="d"),) if page == 1 else ()))
