"""The fault script: what it accepts, whom a step strikes, and how often."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mirror.upstream.faults import Script
from mirror.upstream.http import Answer, Request
from mirror.upstream.mischief import FAULTS
from mirror.upstream.server import load_script

PAGE = Path(__file__).parents[2] / "docs" / "upstream.md"
PATH = "/owner/name/resolve/main/model.safetensors"


def request(method: str = "GET", *, ranged: bool = False) -> Request:
    return Request(method, PATH, "", "h", (("range", "bytes=0-"),) if ranged else ())


def struck(script: Script, times: int = 1, *, host: str = "hub", status: int = 200, **how: Any) -> list[str]:
    names = []
    for _ in range(times):
        names += [one.name for one in script.take([PATH], request(**how), host, Answer(status)) or []]
    return names


def script(*steps: dict[str, Any], pattern: str = "*/model.safetensors") -> Script:
    return Script.parse({pattern: list(steps)})


def test_steps_are_used_up_one_request_each_and_then_all_is_sound() -> None:
    assert struck(script({"fault": "gzip"}, {"fault": "zeros", "times": 2}), 5) == ["gzip", "zeros", "zeros"]


def test_a_step_can_strike_for_ever() -> None:
    assert struck(script({"fault": "zeros", "times": "always"}), 9) == ["zeros"] * 9


def test_a_step_is_for_get_unless_it_names_a_method() -> None:
    assert struck(script({"fault": "zeros"}), method="HEAD") == []
    assert struck(script({"fault": "zeros", "method": "HEAD"}), method="HEAD") == ["zeros"]
    assert struck(script({"fault": "zeros", "method": "*"}), method="HEAD") == ["zeros"]


@pytest.mark.parametrize("ranged", [True, False])
def test_a_step_can_wait_for_a_request_with_or_without_range(ranged: bool) -> None:
    wanted = script({"fault": "zeros", "range": True}, {"fault": "gzip", "range": False})
    assert struck(wanted, ranged=ranged) == (["zeros"] if ranged else ["gzip"])


def test_a_redirect_is_struck_only_by_name_of_its_host() -> None:
    assert struck(script({"fault": "zeros"}), status=302) == []
    assert struck(script({"fault": "zeros", "host": "hub"}), status=302) == ["zeros"]
    assert struck(script({"fault": "zeros", "host": "cdn"})) == []


def test_every_pattern_that_matches_gives_one_step() -> None:
    both = Script.parse({"*": [{"fault": "no_etag", "times": "always"}], "*.safetensors": [{"fault": "cut_after"}]})
    assert struck(both, 2) == ["no_etag", "cut_after", "no_etag"]


def test_a_script_is_a_list_of_rules_as_well() -> None:
    assert struck(Script.parse([{"path": "*", "steps": [{"fault": "sound"}]}])) == ["sound"]


def test_a_script_can_be_extended_and_cleared_while_it_runs() -> None:
    changing = Script()
    changing.add("*", [{"fault": "zeros", "times": "always"}])
    assert struck(changing) == ["zeros"]
    changing.clear()
    assert struck(changing) == []


@pytest.mark.parametrize(
    ("step", "named"),
    [
        ({"fault": "meteor"}, "meteor"),
        ({}, "None"),
        ({"fault": "cut_after", "bites": 1}, "bites"),
        ({"fault": "cut_after", "bytes": "1"}, "bytes"),
        ({"fault": "cut_after", "bytes": -1}, "bytes"),
        ({"fault": "cut_after", "bytes": True}, "bytes"),
        ({"fault": "long_body", "declared": 1}, "declared"),
        ({"fault": "wrong_content_range", "kind": "odd"}, "odd"),
        ({"fault": "lying_content_length", "kind": "odd"}, "odd"),
        ({"fault": "duplicate_headers", "header": "date"}, "date"),
        ({"fault": "redirect_to", "to": "mars"}, "mars"),
        ({"fault": "zeros", "times": 0}, "times"),
        ({"fault": "zeros", "times": "often"}, "often"),
        ({"fault": "zeros", "host": "mars"}, "mars"),
        ({"fault": "zeros", "range": "yes"}, "range"),
    ],
)
def test_a_mistake_in_a_step_is_named(step: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        script(step)


@pytest.mark.parametrize("text", ["", "[1]", '[{"path": "*"}]', '{"*": [{"fault": "nope"}]}'])
def test_a_script_file_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        load_script(text)


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_every_fault_and_its_parameters_are_documented(name: str) -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith(f"| `{name}` |")]
    assert len(rows) == 1
    assert all(f"`{parameter}`" in rows[0] for parameter in FAULTS[name].parameters)
