"""Files from the user's own disk at Baidu: login, listing, ranges, links that end, answers that are no files."""

from __future__ import annotations

import hashlib
import itertools
from typing import TYPE_CHECKING, Any

import pytest

from mirror.errors import (
    BaiduError,
    ChangedError,
    DisputedError,
    LoginNeededError,
    MirrorError,
    QuotaError,
    RangeError,
    RedirectError,
    RemovedError,
    SourceError,
)
from mirror.stopping import Stop
from mirror.transfer.events import Advanced, Restarted
from tests.open_world import FOLDER, XPAN, Stand, known_tokens, opened, weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mirror.drive.bring import Brought

pytestmark = pytest.mark.slow  # whole runs over sockets: a fifth of a second and more each

RANGE = 4 << 20
MODEL = f"{FOLDER}/share/pytorch_model.bin"
WANTED = {f"bert-tiny@baidu-pytorch/{name}" for name in ("config.json", "pytorch_model.bin", "vocab.txt")}
SIZE = len(weights()["pytorch_model.bin"])


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    """A disk with a share of BERT-Tiny saved on it, whose user is logged in."""
    with opened(tmp_path) as made:
        made.put(weights())
        made.login()
        yield made


def spans(ranges: list[str]) -> list[tuple[int, int]]:
    return [(int(a), int(b)) for a, b in (one.removeprefix("bytes=").split("-") for one in ranges)]


def of_model(stand: Stand) -> list[tuple[int, int]]:
    """Return the ranges of the weights that nodes were asked for, in order."""
    (held,) = (held for held in stand.platform._disk.values() if held.path == MODEL)
    return spans([one.range or "" for one in stand.asked("baidupcs") if f"-{held.fs_id}&" in one.query])


def problem(done: Brought) -> MirrorError:
    ((path, error),) = done.problems
    assert path == MODEL
    return error


# --- the way it should go ----------------------------------------------------------------


def test_a_folder_comes_home_and_is_known_by_its_content(stand: Stand) -> None:
    done = stand.mirror.baidu_pull()
    assert (done.problems, done.ended) == ([], None)
    assert stand.held() == dict.fromkeys(WANTED, "first-seen")
    assert done.wire_bytes == sum(map(len, weights().values()))
    data = weights()["pytorch_model.bin"]
    (state,) = (one for one in stand.mirror.files() if one.path == "pytorch_model.bin")
    assert state.sha256 == hashlib.sha256(data).hexdigest()
    (event,) = (one for one in stand.mirror.events(kind="stored") if one.subject.endswith("pytorch_model.bin"))
    origin = event.detail["origin"]
    assert (origin["source"], origin["path"], origin["name"]) == ("baidu-openapi", MODEL, f"baidu-openapi:{MODEL}")
    assert int(origin["fs_id"]) > 1 << 53
    agreeing = {one["digest"].partition(":")[0]: one for one in event.detail["agreeing"]}
    assert set(agreeing) == {"md5", "crc32"}
    assert agreeing["md5"]["digest"] == f"md5:{hashlib.md5(data).hexdigest()}"
    assert {one["authority"] for one in agreeing.values()} == {"carrier"}
    with stand.mirror.reader() as reader:
        assert reader is not None
        reader.verify()


def test_names_decide_nothing_and_archives_are_opened(stand: Stand, tmp_path: Path) -> None:
    import io
    import zipfile

    for held in list(stand.platform._disk):
        stand.platform.remove(held)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in weights().items():
            archive.writestr(f"新建文件夹/{name}", data)
    stand.put({"..evil\n.dat": stream.getvalue(), "song.mp3": b"ID3 and so on"}, "a/b")
    done = stand.mirror.baidu_pull()
    assert set(stand.held()) == WANTED
    assert [one.status for one in done.ingested.plan.left] == ["unknown"]
    assert not list(tmp_path.rglob("*evil*"))


def test_ranges_are_short_one_after_the_other_and_never_share_a_connection(stand: Stand) -> None:
    stand.platform.storage.strict_range = stand.platform.storage.one_shot = True
    before = stand.server.journal.connections
    stand.mirror.baidu_pull()
    asked = spans(stand.ranges())
    assert all(stop - start < RANGE for start, stop in asked)
    model = of_model(stand)
    assert model[0][0] == 0
    assert model[-1][1] == SIZE - 1
    assert all(second[0] == first[1] + 1 for first, second in itertools.pairwise(model))
    storage = [*stand.asked("pcs"), *stand.asked("baidupcs")]
    assert stand.server.journal.connections - before == len(storage) + 1  # the questions share one
    assert {one.headers["user-agent"] for one in storage} == {"pan.baidu.com"}
    assert len(stand.asked("pcs")) == 3, "a link is followed once for each file"


def test_two_calls_are_enough_and_a_second_pull_asks_nothing(stand: Stand) -> None:
    assert stand.mirror.baidu_pull().calls_left == 8
    asked = len(stand.server.requests())
    done = stand.mirror.baidu_pull()
    assert (done.wanted, done.known, done.calls_left) == ([], 3, 8)
    assert len(stand.server.requests()) == asked
    stand.clock.now += 3601
    assert stand.mirror.baidu_pull().calls_left == 9  # the listing is an hour old


def test_a_dry_run_asks_for_a_listing_and_fetches_nothing(stand: Stand) -> None:
    done = stand.mirror.baidu_pull("share/*.bin", dry_run=True)
    assert [entry.path for entry in done.wanted] == [MODEL]
    assert stand.asked("pcs") == []
    assert [one.path for one in stand.mirror.baidu_files().entries] == sorted(f"{FOLDER}/share/{n}" for n in weights())


def test_many_files_cost_one_call_for_a_hundred(stand: Stand) -> None:
    for held in list(stand.platform._disk):
        stand.platform.remove(held)
    stand.put({f"{number:03}.txt": b"%d" % number for number in range(150)})
    done = stand.mirror.baidu_pull()
    assert (done.problems, done.calls_left) == ([], 10 - 1 - 2)
    assert len(stand.asked("pcs")) == 150
    assert stand.mirror.baidu_pull().wanted == [], "what nobody knows is not fetched again"
    assert len(stand.mirror.baidu_pull(again=True, dry_run=True).wanted) == 150


def test_what_was_taken_in_and_is_gone_is_fetched_again(stand: Stand) -> None:
    stand.mirror.baidu_pull()
    (state,) = (one for one in stand.mirror.files() if one.path == "pytorch_model.bin")
    assert state.sha256 is not None
    stand.mirror.store.blob_path(state.sha256).unlink()
    list(stand.mirror.verify())
    assert [entry.path for entry in stand.mirror.baidu_pull().wanted] == [MODEL]


# --- logins ------------------------------------------------------------------------------


def test_a_login_asks_as_often_as_baidu_allows(tmp_path: Path) -> None:
    with opened(tmp_path) as stand:
        polls = itertools.count()
        codes: list[str] = []

        def sleep(seconds: float) -> None:
            stand.clock.sleep(seconds)
            if next(polls) == 3:
                stand.platform.grants.approve(codes[0])

        mirror = stand.mirror
        mirror.sleep = sleep
        mirror.baidu_login(lambda device: codes.append(device.user_code))
        assert stand.clock.slept == [5.0] * 4
        assert stand.tokens.stat().st_mode & 0o777 == 0o600
        assert stand.mirror.baidu_status().expires == stand.clock() + 2592000


def test_slow_down_doubles_the_pause_and_no_answer_ends_in_time(tmp_path: Path) -> None:
    with opened(tmp_path) as stand:
        stand.strike(
            "/oauth/2.0/token*", {"fault": "json_error", "code": "slow_down", "envelope": "error", "status": 400}
        )
        begun = stand.clock()
        with pytest.raises(LoginNeededError):
            stand.mirror.baidu_login(lambda device: None)
        assert stand.clock.slept[:3] == [5.0, 10.0, 10.0]
        assert stand.clock() - begun <= 300
        assert not stand.tokens.exists()


@pytest.mark.parametrize("verdict", ["no", "never"])
def test_a_user_who_says_no_ends_a_login(tmp_path: Path, verdict: str) -> None:
    with opened(tmp_path) as stand, pytest.raises(LoginNeededError) as caught:
        stand.mirror.baidu_login(lambda device: stand.platform.grants.approve(device.user_code, verdict=verdict))
    assert caught.value.exit_code == 8


def test_a_wrong_secret_is_named(tmp_path: Path) -> None:
    with opened(tmp_path) as stand:
        stand.more["MINIBERT_MIRROR_BAIDU_SECRET_KEY"] = "another"
        with pytest.raises(LoginNeededError) as caught:
            stand.login()
        assert "SECRET_KEY" in caught.value.hint


def test_a_token_about_to_end_is_renewed_and_kept_before_it_is_used(stand: Stand) -> None:
    old = known_tokens(stand)
    stand.clock.now += 2592000 - 60
    stand.mirror.baidu_files()
    new = known_tokens(stand)
    assert new["refresh"] != old["refresh"]
    used = [one.query for one in stand.asked("pan")]
    assert new["access"] in used[-1]
    assert stand.tokens.stat().st_mode & 0o777 == 0o600


def test_a_token_that_baidu_takes_back_is_renewed_once(stand: Stand) -> None:
    stand.platform.grants.revoke()
    assert len(stand.mirror.baidu_files().entries) == 3
    assert stand.platform.grants.refreshes == 1
    assert stand.mirror.baidu_status().calls_left == 8


def test_a_refresh_token_that_was_used_wants_a_new_login(stand: Stand) -> None:
    before = stand.tokens.read_bytes()
    stand.platform.grants.revoke()
    stand.mirror.baidu_files()
    stand.tokens.write_bytes(before)  # as if the new one had never been kept
    stand.platform.grants.revoke()
    with pytest.raises(LoginNeededError) as caught:
        stand.mirror.baidu_files(update=True)
    assert (caught.value.exit_code, "baidu login" in caught.value.hint) == (8, True)


def test_of_two_processes_that_renew_at_once_both_go_on(stand: Stand) -> None:
    slow = stand.mirror
    with slow._session() as (first, _):
        first.token()
        stand.platform.grants.revoke()
        stand.mirror.baidu_files(update=True)  # another process renews in between
        assert len(first.listing(update=True).entries) == 3
    assert stand.platform.grants.refreshes == 1


def test_who_is_not_logged_in_is_told_so_and_baidu_is_not_asked(tmp_path: Path) -> None:
    with opened(tmp_path) as stand:
        with pytest.raises(LoginNeededError):
            stand.mirror.baidu_pull()
        assert stand.server.requests() == []
        stand.login()
        assert stand.mirror.baidu_logout()
        assert not stand.mirror.baidu_logout()
        with pytest.raises(LoginNeededError):
            stand.mirror.baidu_files()


# --- the hour's calls --------------------------------------------------------------------


def test_the_eleventh_call_is_not_even_made(stand: Stand) -> None:
    for left in range(9, -1, -1):
        assert stand.mirror.baidu_files(update=True).calls_left == left
    asked = len(stand.asked("pan"))
    with pytest.raises(QuotaError) as caught:
        stand.mirror.baidu_files(update=True)
    assert caught.value.exit_code == 5
    assert 3500 < caught.value.retry_after <= 3600
    assert len(stand.asked("pan")) == asked
    stand.clock.now += 3600
    assert stand.mirror.baidu_files(update=True).calls_left == 9


@pytest.mark.parametrize("code", ["20012", "31034"])
def test_a_quota_that_is_smaller_than_we_count_is_believed(stand: Stand, code: str) -> None:
    stand.strike(f"{XPAN}*", {"fault": "json_error", "code": code, "envelope": "errno"})
    with pytest.raises(QuotaError):
        stand.mirror.baidu_files()
    assert stand.mirror.baidu_status().calls_left == 0
    asked = len(stand.asked("pan"))
    with pytest.raises(QuotaError):
        stand.mirror.baidu_files()
    assert len(stand.asked("pan")) == asked


def test_a_quota_that_ends_in_the_middle_keeps_what_is_here(stand: Stand) -> None:
    stand.platform.calls_an_hour = 2
    stand.strike(
        MODEL,
        {"fault": "sound", "host": "baidupcs"},
        {"fault": "json_error", "code": "31360", "status": 403, "host": "baidupcs"},
    )
    done = stand.mirror.baidu_pull()
    assert isinstance(done.ended, QuotaError)
    assert stand.held() == {}
    stand.clock.now += 3600
    stand.platform.calls_an_hour = 10
    done = stand.mirror.baidu_pull()
    assert (done.problems, set(stand.held())) == ([], WANTED)
    model = of_model(stand)
    assert [start for start, _ in model].count(0) == 1, "the first range was not fetched twice"


def test_trouble_of_baidu_s_own_is_waited_for(stand: Stand) -> None:
    stand.strike(f"{XPAN}*", {"fault": "json_error", "code": "31021", "envelope": "errno", "times": 2})
    assert len(stand.mirror.baidu_files().entries) == 3
    assert stand.clock.slept[-2:] == [2.0, 4.0]


@pytest.mark.parametrize(
    ("code", "remedy"), [("20020", "fix"), ("31023", "bug"), ("-9", "fix"), ("-99999", "stop"), ("424242", "stop")]
)
def test_what_baidu_refuses_is_said_with_its_code(stand: Stand, code: str, remedy: str) -> None:
    stand.strike(f"{XPAN}*", {"fault": "json_error", "code": code, "envelope": "errno"})
    with pytest.raises(BaiduError, match=code) as caught:
        stand.mirror.baidu_files()
    assert caught.value.remedy == remedy
    assert len(stand.asked("pan")) == 1


def test_an_app_of_another_name_is_refused(stand: Stand) -> None:
    stand.more["MINIBERT_MIRROR_BAIDU_APP_NAME"] = "another"
    stand.login()
    with pytest.raises(BaiduError, match="20020"):
        stand.mirror.baidu_files()


# --- cuts, ends of links, changed files --------------------------------------------------


def test_a_cut_in_the_middle_of_a_range_goes_on_at_that_byte(stand: Stand) -> None:
    stand.strike(
        MODEL, {"fault": "sound", "host": "baidupcs"}, {"fault": "cut_after", "bytes": 1_000_000, "host": "baidupcs"}
    )
    done = stand.mirror.baidu_pull()
    assert (done.problems, set(stand.held())) == ([], WANTED)
    assert of_model(stand)[2][0] == RANGE + 1_000_000
    assert done.wire_bytes == sum(map(len, weights().values()))


def test_a_node_that_always_cuts_is_given_up_and_a_later_process_goes_on(stand: Stand) -> None:
    stand.strike(
        MODEL,
        {"fault": "cut_after", "bytes": 700_000, "host": "baidupcs"},
        {"fault": "close_before_headers", "times": "always", "host": "baidupcs"},
    )
    done = stand.mirror.baidu_pull()
    assert isinstance(problem(done), SourceError)
    assert stand.clock.slept[-3:] == [2.0, 4.0, 8.0] or stand.clock.slept[-2:] == [4.0, 8.0]
    assert stand.held() == {}, "a folder waits for what may still come"
    stand.server.faults.clear()
    asked = len(of_model(stand))
    assert stand.mirror.baidu_pull().problems == []
    assert of_model(stand)[asked][0] == 700_000
    assert set(stand.held()) == WANTED


def test_a_stop_keeps_what_has_come(stand: Stand) -> None:
    stop, came = Stop(), 0

    def watch(event: object) -> None:
        nonlocal came
        came += event.bytes if isinstance(event, Advanced) else 0
        if came > 6_000_000:
            stop.set()

    stand.mirror.baidu_pull(watch=watch, stop=stop)
    assert stand.held() == {}
    done = stand.mirror.baidu_pull()
    assert set(stand.held()) == WANTED
    assert done.wire_bytes < SIZE - 5_000_000


def ending(stand: Stand, after: int) -> Callable[[object], None]:
    """Return a watch that lets every link end once so many bytes have come."""
    came = 0

    def watch(event: object) -> None:
        nonlocal came
        before, came = came, came + (event.bytes if isinstance(event, Advanced) else 0)
        if before < after <= came:
            stand.clock.now += 8 * 3600

    return watch


def test_a_link_that_ends_in_the_middle_is_asked_again_and_every_byte_stays(stand: Stand) -> None:
    done = stand.mirror.baidu_pull(watch=ending(stand, 5_000_000))
    assert (done.problems, set(stand.held())) == ([], WANTED)
    assert done.wire_bytes == sum(map(len, weights().values()))
    assert [one for one in stand.asked("baidupcs") if one.status == 403]
    assert len([one for one in stand.asked("pan") if "filemetas" in one.query]) == 2


@pytest.mark.parametrize("same_size", [True, False])
def test_a_file_that_changed_meanwhile_starts_over(stand: Stand, same_size: bool) -> None:
    stand.strike(MODEL, {"fault": "cut_after", "bytes": 900_000, "host": "baidupcs"})
    stand.strike(MODEL, {"fault": "close_before_headers", "times": "always", "host": "baidupcs"})
    stand.mirror.baidu_pull()
    stand.server.faults.clear()
    (held,) = (held for held in stand.platform._disk.values() if held.path == MODEL)
    data = weights()["pytorch_model.bin"]
    other = data[:-40] + bytes([data[-40] ^ 1]) + data[-39:] if same_size else data + b"\0"
    stand.platform.put(MODEL, other, fs_id=held.fs_id)
    said: list[str] = []
    stand.mirror.baidu_pull(watch=lambda event: said.append(event.why) if isinstance(event, Restarted) else None)
    assert said
    (event,) = (one for one in stand.mirror.events(kind="received") if one.detail["path"] == MODEL)
    assert event.detail["digests"]["sha256"] == hashlib.sha256(other).hexdigest()


def test_a_file_that_is_replaced_under_one_link_is_not_joined(stand: Stand) -> None:
    (held,) = (held for held in stand.platform._disk.values() if held.path == MODEL)
    came = 0

    def watch(event: object) -> None:
        nonlocal came
        before, came = came, came + (event.bytes if isinstance(event, Advanced) else 0)
        if before < 5_000_000 <= came:
            stand.platform.put(MODEL, bytes(SIZE), fs_id=held.fs_id)

    done = stand.mirror.baidu_pull(watch=watch)
    assert isinstance(problem(done), ChangedError)
    assert stand.held() == {}


def test_bytes_without_any_md5_are_not_joined_across_links(stand: Stand) -> None:
    stand.strike(MODEL, {"fault": "content_md5", "kind": "missing", "times": "always", "host": "baidupcs"})
    done = stand.mirror.baidu_pull(watch=ending(stand, 5_000_000))
    assert done.problems == []
    assert [start for start, _ in of_model(stand)].count(0) == 2
    assert set(stand.held()) == WANTED
    (event,) = (one for one in stand.mirror.events(kind="received") if one.detail["path"] == MODEL)
    assert event.detail["agreeing"] == []


@pytest.mark.parametrize("kind", ["missing", "base64"])
def test_an_md5_that_is_of_no_use_is_no_evidence(stand: Stand, kind: str) -> None:
    stand.strike(MODEL, {"fault": "content_md5", "kind": kind, "times": "always", "host": "baidupcs"})
    assert stand.mirror.baidu_pull().problems == []
    (event,) = (one for one in stand.mirror.events(kind="received") if one.detail["path"] == MODEL)
    assert not [one for one in event.detail["agreeing"] if one["digest"].startswith("md5:")]


def test_an_md5_that_changes_from_range_to_range_stops_the_file(stand: Stand) -> None:
    stand.strike(MODEL, {"fault": "content_md5", "kind": "changing", "times": "always", "host": "baidupcs"})
    assert isinstance(problem(stand.mirror.baidu_pull()), ChangedError)


def test_bytes_that_are_not_the_node_s_are_fetched_once_more_then_kept_as_evidence(stand: Stand) -> None:
    stand.strike(MODEL, {"fault": "flip_bit", "offset": 12345, "host": "baidupcs"})
    assert stand.mirror.baidu_pull().problems == []
    assert set(stand.held()) == WANTED


def test_bytes_that_are_never_the_node_s_are_a_dispute(stand: Stand) -> None:
    stand.strike(MODEL, {"fault": "flip_bit", "offset": 12345, "times": "always", "host": "baidupcs"})
    error = problem(stand.mirror.baidu_pull())
    assert (type(error), error.exit_code) == (DisputedError, 4)
    assert list((stand.root / "cache/quarantine").iterdir())
    assert stand.held() == {}


# --- answers that are not the range ------------------------------------------------------


def test_a_node_that_ignores_ranges_gives_the_whole_file_once(stand: Stand) -> None:
    stand.strike(
        MODEL, {"fault": "sound", "host": "baidupcs"}, {"fault": "ignore_range", "times": "always", "host": "baidupcs"}
    )
    done = stand.mirror.baidu_pull()
    assert (done.problems, set(stand.held())) == ([], WANTED)
    assert len(of_model(stand)) == 2


@pytest.mark.parametrize("kind", ["shifted", "size", "unit", "backwards", "garbage", "missing"])
def test_a_wrong_content_range_is_asked_again_and_never_written(stand: Stand, kind: str) -> None:
    stand.strike(
        MODEL,
        {"fault": "sound", "host": "baidupcs"},
        {"fault": "wrong_content_range", "kind": kind, "host": "baidupcs"},
    )
    done = stand.mirror.baidu_pull()
    assert (done.problems, set(stand.held())) == ([], WANTED)


def test_a_content_range_that_is_always_wrong_is_an_error(stand: Stand) -> None:
    stand.strike(MODEL, {"fault": "wrong_content_range", "kind": "shifted", "times": "always", "host": "baidupcs"})
    assert isinstance(problem(stand.mirror.baidu_pull()), (RangeError, ChangedError))


@pytest.mark.parametrize("status", [200, 403])
@pytest.mark.parametrize(
    ("code", "envelope", "remedy"),
    [("31064", "error_code", "stop"), ("31390", "error_code", "removed"), ("-99999", "errno", "stop")],
)
def test_an_error_in_the_place_of_a_file_is_not_swallowed(
    stand: Stand, code: str, envelope: str, remedy: str, status: int
) -> None:
    fault = {"fault": "json_error", "code": code, "envelope": envelope, "status": status}
    stand.strike(MODEL, {**fault, "times": "always", "host": "baidupcs"})
    error = problem(stand.mirror.baidu_pull())
    assert isinstance(error, BaiduError)
    assert (error.remedy, code in str(error)) == (remedy, True)


def test_an_anti_leech_answer_ends_the_run_at_once(stand: Stand) -> None:
    refusal = {"fault": "json_error", "code": "31326", "envelope": "error_code", "status": 403}
    stand.strike("*/config.json", {**refusal, "times": "always", "host": "baidupcs"})
    done = stand.mirror.baidu_pull()
    assert isinstance(done.ended, BaiduError)
    assert done.ended.code == 31326
    assert len(stand.asked("baidupcs")) == 1
    assert "do not repeat" in done.ended.hint


def test_a_range_that_is_too_large_is_halved_once(stand: Stand) -> None:
    stand.platform.storage.strict_range = True
    stand.more["MINIBERT_MIRROR_BAIDU_RANGE_SIZE"] = str(8 << 20)
    assert stand.mirror.baidu_pull().problems == []
    assert [one for one in stand.asked("baidupcs") if one.status == 403] == [
        one for one in stand.asked("baidupcs") if one.range == f"bytes=0-{(8 << 20) - 1}"
    ]
    stand.put({"b.bin": bytes(40 << 20)}, "more")
    stand.more["MINIBERT_MIRROR_BAIDU_RANGE_SIZE"] = str(32 << 20)
    done = stand.mirror.baidu_pull(update=True)
    assert isinstance(done.ended, BaiduError)


def test_a_node_that_says_nothing_gets_a_fresh_link_once(stand: Stand) -> None:
    stand.strike(MODEL, {"fault": "empty_refusal", "host": "baidupcs"})
    assert stand.mirror.baidu_pull().problems == []
    stand.strike("*/again.bin", {"fault": "empty_refusal", "times": "always", "host": "baidupcs"})
    stand.put({"again.bin": b"x" * 100}, "again")
    done = stand.mirror.baidu_pull(update=True)
    assert len(done.problems) == 1
    assert len([one for one in stand.asked("baidupcs") if one.status == 403]) == 3


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "placeholder", "host": "baidupcs"},
        {"fault": "redirect_to", "url": "http://issuecdn.baidupcs.com/x", "host": "pcs"},
    ],
)
def test_a_notice_of_removal_is_not_taken_for_the_file_and_the_others_come(stand: Stand, fault: dict[str, Any]) -> None:
    stand.strike(MODEL, {**fault, "times": "always"})
    done = stand.mirror.baidu_pull()
    assert isinstance(problem(done), RemovedError)
    (missed,) = stand.mirror.events(kind="missed")
    assert (missed.detail["path"], missed.detail["error"]) == (MODEL, "RemovedError")
    assert {one.detail["path"] for one in stand.mirror.events(kind="received")} == {
        f"{FOLDER}/share/config.json",
        f"{FOLDER}/share/vocab.txt",
    }


def test_a_redirect_that_loops_or_leads_away_is_not_followed(stand: Stand) -> None:
    stand.strike(MODEL, {"fault": "redirect_loop", "growing": True, "times": "always", "host": "pcs"})
    assert isinstance(problem(stand.mirror.baidu_pull()), RedirectError)
    stand.server.faults.clear()
    stand.strike(MODEL, {"fault": "redirect_to", "url": "http://elsewhere.example/x", "times": "always", "host": "pcs"})
    assert isinstance(problem(stand.mirror.baidu_pull()), RedirectError)


def test_a_slow_node_is_waited_for(stand: Stand) -> None:
    stand.strike("*/config.json", {"fault": "slow_drip", "rate": 4000.0, "host": "baidupcs"})
    assert stand.mirror.baidu_pull().problems == []
    assert set(stand.held()) == WANTED


def test_a_file_that_is_gone_by_now_is_named_and_the_others_come(stand: Stand) -> None:
    stand.mirror.baidu_files()
    stand.platform.remove(f"{FOLDER}/share/vocab.txt")
    done = stand.mirror.baidu_pull()
    ((path, error),) = done.problems
    assert (path, "gone" in str(error)) == (f"{FOLDER}/share/vocab.txt", True)
    assert set(stand.held()) == WANTED - {"bert-tiny@baidu-pytorch/vocab.txt"}
