from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mirror.store.owner import Owner, is_alive


def test_this_process_lives() -> None:
    me = Owner.me()
    assert me.gone() is False
    assert is_alive(me.pid, me.started) is True


def test_every_claim_has_a_name_of_its_own() -> None:
    assert Owner.me().nonce != Owner.me().nonce


def test_a_reused_process_id_is_another_process() -> None:
    assert Owner.me()._replace(started="1").gone() is True


def test_a_process_that_ended_is_gone_even_before_its_parent_looked() -> None:
    code = "from mirror.store.owner import Owner; print(Owner.me().to_json().decode(), flush=True); input()"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ
    ) as process:
        assert process.stdout is not None
        owner = Owner.from_json(process.stdout.readline())
        assert owner is not None
        assert owner.gone() is False
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
        assert owner.gone() is True
    assert owner.gone() is True


def test_what_another_boot_started_is_gone_where_hosts_can_be_told_apart() -> None:
    before = Owner.me()._replace(boot="another")
    assert before.gone() is (True if before.machine else None)


@pytest.mark.parametrize("field", ["host", "machine", "space"])
def test_another_host_or_container_cannot_be_judged(field: str) -> None:
    values = {"host": "elsewhere", "machine": "0" * 16, "space": "pid:[1]"}
    assert Owner.from_json(Owner.me()._replace(**{field: values[field]}).to_json()).gone() is None  # type: ignore[union-attr,arg-type]  # it parses; one name each


def test_a_released_claim_is_nobodys() -> None:
    assert Owner.me()._replace(host="elsewhere", released=True).gone() is True


@pytest.mark.parametrize(("field", "value", "doubt"), [
    ("pid", 1, ""), ("host", "elsewhere", "host"), ("machine", "0" * 16, "host"), ("boot", "another", "reboot"),
    ("doubt", "reboot", "reboot"), ("doubt", "host", "host"),
])  # fmt: skip
def test_doubt_is_inherited_with_the_bytes(field: str, value: object, doubt: str) -> None:
    previous = Owner.me()._replace(**{field: value})  # type: ignore[arg-type]  # one name each
    assert Owner.me().inheriting(previous).doubt == doubt


def test_bytes_of_an_unknown_owner_are_in_doubt() -> None:
    assert Owner.me().inheriting(None).doubt == "host"


@pytest.mark.parametrize("text", [
    None, b"", b"{}", b"[]", b"nonsense", b"\xff", b'{"pid": 1}', b"[" * 100_000,
    Owner.me().to_json().replace(b'"pid": ', b'"pid": -'), Owner.me().to_json().replace(b'"pid": ', b'"pid": 0.'),
])  # fmt: skip
def test_a_damaged_owner_names_nobody(text: bytes | None) -> None:
    assert Owner.from_json(text) is None


def test_an_owner_survives_its_json() -> None:
    me = Owner.me()
    assert Owner.from_json(me.to_json()) == me
    assert str(me.pid) in str(me)
