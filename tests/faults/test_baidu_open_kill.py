"""The official way to Baidu, killed, starved and listened to: nothing half-visible, nothing lost, no secret told."""

from __future__ import annotations

import re
import signal
import sqlite3
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.faults.processes import Running, run
from tests.faults.test_ingest_kill import DYING, LIMITED, assert_nothing_is_half_visible
from tests.open_world import FOLDER, XPAN, Stand, known_tokens, opened, weights

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow  # whole commands, one after the other: seconds each

MODEL = f"{FOLDER}/share/pytorch_model.bin"
WANTED = {f"bert-tiny@baidu-pytorch/{name}" for name in weights()}
SIZE = sum(map(len, weights().values()))


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    """A disk with a share on it, at the time of the processes that fetch from it."""
    with opened(tmp_path) as made:
        made.clock.now = time.time()
        made.put(weights())
        made.login()
        yield made


def partial(stand: Stand) -> int:
    """Return how many bytes of the weights are noted."""
    return max((state.held for state in stand.mirror.store.iter_partials()), default=0)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_pull_that_is_ended_goes_on_where_it_was(stand: Stand, number: signal.Signals) -> None:
    stand.strike(
        MODEL, {"fault": "sound", "host": "baidupcs"}, {"fault": "stall_after", "bytes": 2_000_000, "host": "baidupcs"}
    )
    with Running(stand.root, "baidu", "pull", "--quiet", environ=stand.environ) as process:
        process.until(lambda: partial(stand) > (5 << 20))
        process.send(number)
        assert process.end() == (130 if number is signal.SIGINT else -signal.SIGKILL)
    assert_nothing_is_half_visible(stand.root)
    assert stand.held() == {}
    sent = sum(one.sent for one in stand.asked("baidupcs"))
    code, out, err = run(stand.root, "baidu", "pull", environ=stand.environ)
    assert code == 0, (out, err)
    assert set(stand.held()) == WANTED
    again = sum(one.sent for one in stand.asked("baidupcs")) - sent
    assert again < SIZE - (5 << 20)
    assert list((stand.root / "cache/partial").glob("*")) == []


def changes(stand: Stand) -> int:
    with Running(stand.root, "baidu", "pull", program=DYING, environ=stand.environ) as process:
        assert process.end() == 0, process.err
    return int(re.findall(r"\d+", process.err)[-1])


def fresh(tmp_path: Path, name: str) -> Path:
    (tmp_path / name).mkdir()
    return tmp_path / name


def test_a_pull_killed_at_some_moments_is_ended_by_the_next(tmp_path: Path) -> None:
    with opened(fresh(tmp_path, "whole")) as stand:
        stand.clock.now = time.time()
        stand.put(weights())
        stand.login()
        total = changes(stand)
    assert total > 50
    for last in range(total // 6, total, total // 3):
        with opened(fresh(tmp_path, str(last))) as stand:
            stand.clock.now = time.time()
            stand.put(weights())
            stand.login()
            environ = {**stand.environ, "DIE_AT": str(last)}
            with Running(stand.root, "baidu", "pull", "--quiet", program=DYING, environ=environ) as process:
                assert process.end() == -signal.SIGKILL, (last, total)
            assert_nothing_is_half_visible(stand.root)
            code, out, err = run(stand.root, "baidu", "pull", environ=stand.environ)
            assert code == 0, (last, out, err)
            assert set(stand.held()) == WANTED, last
            run(stand.root, "gc", "--yes", "--partials", "0", environ=stand.environ)
            assert list((stand.root / "cache/partial").glob("*")) == []


#: Dies just before the file with the fresh tokens gets its name.
BEFORE_RENAME = """
import os, signal, sys
def hook(event, args):
    if event == "os.rename" and str(args[1]).endswith("tokens.json"):
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
from mirror.cli import main
main()
"""


def test_a_crash_between_write_and_rename_of_the_tokens_wants_no_new_login(stand: Stand) -> None:
    old = known_tokens(stand)
    stand.platform.grants.revoke()
    program = (sys.executable, "-c", BEFORE_RENAME)
    with Running(stand.root, "baidu", "ls", program=program, environ=stand.environ) as process:
        assert process.end() == -signal.SIGKILL
    assert known_tokens(stand) == old
    used = {part for one in stand.asked("pan") for part in one.query.split("&") if part.startswith("access_token=")}
    assert used == {f"access_token={old['access']}"}, "the fresh token was not used before it was kept"
    code, out, err = run(stand.root, "baidu", "ls", environ=stand.environ)
    assert code == 0, (out, err)
    assert known_tokens(stand)["refresh"] != old["refresh"]
    assert stand.platform.grants.refreshes == 1
    assert stand.tokens.stat().st_mode & 0o777 == 0o600


def test_a_refresh_whose_answer_is_lost_wants_a_new_login_and_says_so(stand: Stand) -> None:
    stand.platform.grants.revoke()
    stand.strike("/oauth/2.0/token*", {"fault": "cut_after", "bytes": 10})
    assert run(stand.root, "baidu", "ls", environ=stand.environ)[0] == 5
    code, _, err = run(stand.root, "baidu", "ls", environ=stand.environ)
    assert code == 8
    assert "minibert-mirror baidu login" in err
    stand.login()
    assert run(stand.root, "baidu", "ls", environ=stand.environ)[0] == 0


def test_a_full_disk_is_an_error_and_nothing_is_lost(stand: Stand) -> None:
    program = (sys.executable, "-c", LIMITED)
    with Running(stand.root, "baidu", "pull", program=program, environ=stand.environ) as process:
        assert process.end() == 6, (process.out, process.err)
    assert "hint" in process.err
    assert_nothing_is_half_visible(stand.root)
    held = partial(stand)
    assert held == 4 << 20
    code, _, err = run(stand.root, "baidu", "pull", environ=stand.environ)
    assert code == 0, err
    assert set(stand.held()) == WANTED


def test_no_secret_is_said_or_written_anywhere_but_in_the_file_for_it(stand: Stand) -> None:
    """Everything that may go wrong goes wrong, as loudly as it can; then all that was said and written is searched."""
    said = []

    def do(*words: str, expected: int) -> None:
        code, out, err = run(stand.root, *words, environ=stand.environ)
        assert code == expected, (words, out, err)
        said.extend([out, err])

    do("baidu", "status", "--json", expected=0)
    do("baidu", "ls", "--json", expected=0)
    stand.strike(MODEL, {"fault": "redirect_loop", "host": "pcs", "times": "always"})
    do("baidu", "pull", expected=5)
    stand.server.faults.clear()
    stand.strike("*/vocab.txt", {"fault": "json_error", "code": "31064", "status": 403, "host": "baidupcs"})
    stand.strike(MODEL, {"fault": "flip_bit", "times": "always", "host": "baidupcs"})
    do("baidu", "pull", "--json", expected=4)
    stand.server.faults.clear()
    stand.strike(MODEL, {"fault": "json_error", "code": "31326", "status": 403, "host": "baidupcs"})
    do("baidu", "pull", expected=5)
    stand.strike(f"{XPAN}*", {"fault": "html_login"}, {"fault": "json_error", "code": "20012", "envelope": "errno"})
    stand.platform.grants.revoke()
    do("baidu", "pull", "--update", expected=5)
    do("baidu", "ls", "--update", expected=5)
    stand.server.faults.clear()
    (stand.tokens.parent / "state.json").unlink()
    do("baidu", "pull", expected=0)
    do("ledger", "log", "--json", expected=0)
    do("why", "pytorch_model.bin", expected=0)
    stand.tokens.chmod(0o644)
    do("baidu", "status", expected=2)
    secrets = stand.secrets()
    assert len(secrets) > 9, "tokens, links and the app's secret"
    kept = b"".join(
        path.read_bytes()
        for folder in (stand.root, stand.home)
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("tokens.json")
    )
    with sqlite3.connect(stand.root / "cache/ledger.db") as ledger:
        rows = "\n".join(ledger.iterdump())
    ledger.close()
    for secret in [*secrets, "access_token", "sign=", "xcode="]:
        assert secret not in "".join(said) + rows, secret
        assert secret.encode() not in kept, secret


def test_a_secret_is_sent_to_nobody_but_baidu(stand: Stand, tmp_path: Path) -> None:
    with opened(fresh(tmp_path, "other")) as other:
        away = other.server.url("plain", "/x").replace("127.0.0.1", "localhost")
        stand.strike(MODEL, {"fault": "redirect_to", "url": away, "host": "pcs", "times": "always"})
        stand.strike(f"{XPAN}*method=listall", {"fault": "redirect_to", "url": away})
        for _ in range(2):
            assert run(stand.root, "baidu", "pull", environ=stand.environ)[0] == 5
        assert other.server.requests() == []


def test_a_run_without_any_of_it_asks_baidu_nothing(stand: Stand) -> None:
    before = len(stand.server.requests())
    run(stand.root, "handoff")
    run(stand.root, "pull", "bert-tiny@baidu-pytorch", environ=stand.environ)
    run(stand.root, "status")
    assert len(stand.server.requests()) == before
    assert run(stand.root, "baidu", "pull")[0] == 2
    assert len(stand.server.requests()) == before
