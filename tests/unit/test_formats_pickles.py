"""Pickles are decoded, never run: what they would do, in every container, and what they would cost."""

from __future__ import annotations

import pickle
import pickletools
import re
import struct
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import pytest

from mirror.errors import FormatError
from mirror.formats import pickles
from mirror.formats.inert import Call, Global, LongText, Persistent, Rules
from tests import hostile
from tests.hostile import Case, call, group, name, number, table, text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DICT, OTHER = Global("collections", "OrderedDict"), Global("some", "function")
RULES = Rules(frozenset({DICT, OTHER}), frozenset({DICT}), frozenset({DICT}), persistent=True)


def decode(data: bytes, rules: Rules = RULES) -> Any:
    value, end = pickles.decode(memoryview(data), rules)
    assert end == len(data)
    return value


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_plain_values_come_out_as_pickle_reads_them(protocol: int) -> None:
    value: dict[str | int, Any] = {
        "numbers": [0, 255, 256, 65536, -1, 2**31, -(2**40), 2**100, 0.5, -0.0],
        "others": (None, True, False, (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], {}),
        "text": ["", "name", "ÿ", "模型", "x" * 300],
        7: {"deep": {"er": [[[]]]}},
    }
    assert decode(pickle.dumps(value, protocol)) == value


def test_bytes_are_views_into_the_file() -> None:
    data = pickle.dumps([b"", b"short", b"long" * 100], 4)
    found = decode(data)
    assert [type(each) for each in found] == [memoryview] * 3
    assert found == [b"", b"short", b"long" * 100]
    assert found[1].obj is data


def test_long_text_stays_as_it_is_in_the_file() -> None:
    assert decode(pickle.dumps("ÿ" * 3000, 2)) == LongText(memoryview("ÿ".encode() * 3000))


def test_the_strings_of_python_2_are_text() -> None:
    assert decode(b"\x80\x02U\x01aT\x01\x00\x00\x00b\x86.") == ("a", "b")


def test_what_was_remembered_comes_back_as_itself() -> None:
    one: list[Any] = []
    found = decode(pickle.dumps([one, one, (one,)], 4))
    assert found[0] is found[1] is found[2][0]


def test_a_list_that_holds_itself_is_decoded() -> None:
    one: list[Any] = []
    one.append(one)
    found = decode(pickle.dumps(one, 4))
    assert found[0] is found


def test_a_call_is_written_down_and_not_made() -> None:
    state = OrderedDict(a=1)
    state._metadata = {"": 1}  # type: ignore[attr-defined]
    found = decode(pickle.dumps(state, 2))
    assert isinstance(found, Call)
    assert (found.function, found.args, found.items, found.state) == (DICT, (), {"a": 1}, {"_metadata": {"": 1}})


def test_a_persistent_id_is_kept() -> None:
    assert decode(b"\x80\x02" + group(text("storage"), number(1)) + b"Q.") == Persistent(("storage", 1))


def test_the_offset_after_the_pickle_is_returned() -> None:
    data = b"....\x80\x02K\x07.more"
    assert pickles.decode(memoryview(data), RULES, 4) == (7, 9)


ALLOWED = re.findall(
    r"\w+",
    """
    PROTO FRAME MARK STOP EMPTY_TUPLE TUPLE1 TUPLE2 TUPLE3 TUPLE EMPTY_LIST APPEND APPENDS EMPTY_DICT SETITEM SETITEMS
    NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT SHORT_BINUNICODE BINUNICODE BINUNICODE8
    SHORT_BINSTRING BINSTRING SHORT_BINBYTES BINBYTES BINBYTES8 BINPUT LONG_BINPUT MEMOIZE BINGET LONG_BINGET
    GLOBAL STACK_GLOBAL REDUCE BUILD BINPERSID
    """,
)
REFUSED = {one.name: one.code.encode("latin-1") for one in pickletools.opcodes if one.name not in ALLOWED}


@pytest.mark.parametrize("opcode", REFUSED)
def test_any_other_opcode_is_refused_by_its_name(opcode: str) -> None:
    with pytest.raises(FormatError, match=f"byte 3: the pickle opcode {opcode}, which no weights need"):
        decode(b"\x80\x02N" + REFUSED[opcode] + b"0\n0\n.")


def test_what_is_no_opcode_at_all_is_refused_by_its_byte() -> None:
    with pytest.raises(FormatError, match="the pickle opcode 0xff"):
        decode(b"\x80\x02\xff.")


NEST = b"\x80\x02" + name("some", "function") + b"q\x00"
DAMAGED = {
    "nothing": (b"", "ends before its STOP"),
    "no STOP": (b"\x80\x02N", "byte 3: the pickle ends before its STOP"),
    "an empty stack": (b"\x80\x02.", "STOP with 0 values"),
    "two values": (b"\x80\x02NN.", "STOP with 2 values"),
    "an open mark": (b"\x80\x02(N.", "STOP with 1 values"),
    "a tuple of nothing": (b"\x80\x02\x85.", "takes more from its stack"),
    "no mark": (b"\x80\x02Nt.", "takes more from its stack"),
    "nothing to remember": (b"\x80\x02q\x00.", "takes more from its stack"),
    "a mark is no value": (b"\x80\x02N(q\x00t.", "takes more from its stack"),
    "nothing to add to": (b"\x80\x02Na.", "takes more from its stack"),
    "never remembered": (b"\x80\x02h\x05.", "memo 5 was never set"),
    "protocol 1": (b"\x80\x01N.", "pickle protocol 1"),
    "protocol 6": (b"\x80\x06N.", "pickle protocol 6"),
    "a frame that is too long": (
        b"\x80\x04\x95" + struct.pack("<Q", 3) + b"N.",
        "a frame of 3 bytes, where 2 are left",
    ),
    "a number that is cut off": (b"\x80\x02J\x00\x00", "4 bytes are said to follow, 2 do"),
    "a count that is cut off": (b"\x80\x02K", "1 bytes are said to follow, 0 do"),
    "text that is cut off": (b"\x80\x02X\x04\x00\x00\x00abc", "4 bytes are said to follow, 3 do"),
    "text that is no UTF-8": (b"\x80\x02X\x01\x00\x00\x00\xff.", "text that is no UTF-8"),
    "half a surrogate": (b"\x80\x02X\x03\x00\x00\x00\xed\xa0\x80.", "text that is no UTF-8"),
    "a string of -1 bytes": (b"\x80\x02T\xff\xff\xff\xff.", "a string of -1 bytes"),
    "a long string": (b"\x80\x02T\x00\x10\x00\x00" + bytes(4096) + b".", "a string of 4096 bytes"),
    "items of no dict": (b"\x80\x02NNNs.", "items for what is no dict"),
    "items of another call": (NEST + b")RNNs.", "items for what is no dict"),
    "a key without a value": (b"\x80\x02}(Nu.", "a key without a value"),
    "a key that is there twice": (b"\x80\x02}(K\x01NK\x01Nu.", "1 is there twice"),
    "a key that is None": (b"\x80\x02}NNs.", "neither text nor a small whole number"),
    "a key that is True": (b"\x80\x02}\x88Ns.", "neither text nor a small whole number"),
    "a key that is bytes": (b"\x80\x04}C\x01aNs.", "neither text nor a small whole number"),
    "a key of 2^31": (b"\x80\x02}" + number(1 << 31) + b"Ns.", "neither text nor a small whole number"),
    "a key of long text": (b"\x80\x02}" + text("k" * 4096) + b"Ns.", "neither text nor a small whole number"),
    "APPEND to a tuple": (b"\x80\x02)Na.", "APPEND to what is no list"),
    "APPENDS to a dict": (b"\x80\x02}(Ne.", "APPENDS to what is no list"),
    "a call of text": (b"\x80\x02" + text("f") + b")R.", "a call of what is no function"),
    "a call with a list": (NEST + b"]R.", "a call of what is no function"),
    "a state of text": (b"\x80\x02" + text("f") + b"}b.", "a state for what has none"),
    "a state of another call": (NEST + b")R}b.", "a state for what has none"),
    "a state of a function": (NEST + b"}b.", "a state for what has none"),
    "a second state": (b"\x80\x02ccollections\nOrderedDict\n)R}b}b.", "a state for what has none"),
    "a global that is not listed": (b"\x80\x02csome\nother\n.", "would run 'some.other'"),
    "a global of three parts": (b"\x80\x02csome.\nfunction\n.", "would run 'some..function'"),
    "a global that is cut off": (b"\x80\x02csome\nfunction", "a name that does not end within 13 bytes"),
    "a global that is no UTF-8": (b"\x80\x02c\xff\nfunction\n.", "would run '\\ufffd.function'"),
    "a global of numbers": (b"\x80\x04K\x01K\x01\x93.", "a global whose name is no text"),
    "a stacked global": (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "would run 'os.system'"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damage_is_told_with_its_place(case: str) -> None:
    data, said = DAMAGED[case]
    with pytest.raises(FormatError) as caught:
        decode(data)
    assert said in str(caught.value)
    assert caught.value.at is not None


def test_a_persistent_id_is_refused_where_no_file_has_one() -> None:
    with pytest.raises(FormatError, match="a persistent id"):
        decode(b"\x80\x02NQ.", RULES._replace(persistent=False))


# What a pickle would do, and what it would cost, in each of the three containers.

SYSTEM = name("posix", "system")
ORDERED = name("collections", "OrderedDict")
ARGUMENT = text(hostile.COMMAND)
MERSENNE = (1 << 61) - 1  # the modulus of Python's hash of whole numbers


def whole(opcodes: bytes) -> bytes:
    return b"\x80\x04" + opcodes + b"."


def doubled(times: int) -> bytes:
    """Return a tuple of 2^times parts, all of them the same one."""
    return b")" + b"".join(b"q\x00h\x00\x86" for _ in range(times))


CODE = {
    "posix.system": (whole(call(SYSTEM, ARGUMENT)), "would run 'posix.system'"),
    "os.system": (whole(call(name("os", "system"), ARGUMENT)), "would run 'os.system'"),
    "builtins.eval": (whole(call(name("builtins", "eval"), text("1"))), "would run 'builtins.eval'"),
    "builtins.exec as Python 2 calls it": (whole(call(name("__builtin__", "exec"), text("1"))), "'__builtin__.exec'"),
    "STACK_GLOBAL of memos": (
        whole(text("posix") + b"\x94" + text("system") + b"\x94h\x00h\x01\x93"),
        "'posix.system'",
    ),
    "INST": (whole(b"(" + ARGUMENT + b"iposix\nsystem\n"), "opcode INST"),
    "OBJ": (whole(b"(" + ORDERED + ARGUMENT + b"o"), "opcode OBJ"),
    "NEWOBJ": (whole(ORDERED + b")\x81"), "opcode NEWOBJ"),
    "NEWOBJ_EX": (whole(ORDERED + b")}\x92"), "opcode NEWOBJ_EX"),
    "EXT1": (whole(b"\x82\x01"), "opcode EXT1"),
    "BUILD on a global": (whole(ORDERED + b"}b"), "a state for what has none"),
    "a dotted name": (whole(name("torch", "_utils.os.system")), "would run 'torch._utils.os.system'"),
    "a dotted name on the stack": (
        whole(text("torch._utils") + text("os.system") + b"\x93"),
        "'torch._utils.os.system'",
    ),
    "protocol 0": (pickle.dumps(["a"], 0), "opcode LIST"),
    "protocol 0 and a payload": (b"cposix\nsystem\n(S'" + hostile.COMMAND.encode() + b"'\ntR.", "'posix.system'"),
    "a payload, then garbage": (b"\x80\x02" + call(SYSTEM, ARGUMENT) + b"\xff\xfe garbage", "'posix.system'"),
    "garbage, no STOP": (b"\x80\x04}\xff\xfe", "the pickle opcode 0xff"),
    "a payload after STOP": (whole(b"}") + whole(call(SYSTEM, ARGUMENT)), ""),
    "a whole model": (whole(name("torch.nn.modules.linear", "Linear") + b")\x81"), "'torch.nn.modules.linear.Linear'"),
    "a model of a script": (whole(name("__main__", "Model") + b")\x81"), "would run '__main__.Model'"),
    "_rebuild_qtensor": (whole(call(name("torch._utils", "_rebuild_qtensor"))), "'torch._utils._rebuild_qtensor'"),
    "numpy.load": (whole(call(name("numpy", "load"), text("x.npy"))), "would run 'numpy.load'"),
    "a dict with attributes": (whole(call(ORDERED) + table({"__class__": b"N"}) + b"b"), ""),
    "a dict with more than metadata": (whole(call(ORDERED) + table({"_metadata": b"}", "x": b"N"}) + b"b"), ""),
    "a dict made of something": (whole(call(ORDERED, b"]")), ""),
    "a persistent id of source": (
        whole(group(text("module"), ORDERED, text("model.py"), text("import os")) + b"Q"),
        "",
    ),
}
COST = {
    "memo 2^32 - 1": (whole(b"Nr\xff\xff\xff\xff"), ""),
    "memo 2^32 - 1, never set": (whole(b"j\xff\xff\xff\xff"), "memo 4294967295 was never set"),
    "BINUNICODE8 of 2^63": (
        whole(b"\x8d" + struct.pack("<Q", 1 << 63)),
        "9223372036854775808 bytes are said to follow",
    ),
    "BINBYTES8 of 2^40": (whole(b"\x8e" + struct.pack("<Q", 1 << 40)), "1099511627776 bytes are said to follow"),
    "LONG4": (whole(b"\x8b\xff\xff\xff\x7f"), "opcode LONG4"),
    "BYTEARRAY8": (whole(b"\x96" + struct.pack("<Q", 1 << 40)), "opcode BYTEARRAY8"),
    "a frame of 2^63": (whole(b"\x95" + struct.pack("<Q", 1 << 63)), "a frame of 9223372036854775808 bytes"),
    "300,000 marks": (whole(b"(" * 300_000), "STOP with 0 values"),
    "100,000 nested tuples": (whole(b")" + b"\x85" * 100_000), ""),
    "100,000 nested lists": (whole(b"]" * 100_000 + b"a" * 99_999), ""),
    "100,000 nested calls": (whole(ORDERED + b"q\x00" + b"h\x00" * 99_999 + b")" + b"R\x85" * 99_999 + b"R"), ""),
    "100,000 nested states": (whole(ORDERED + b"q\x00)R" + b"h\x00)R" * 99_999 + b"b" * 99_999), ""),
    "a tuple of 2^60 parts": (whole(doubled(60)), ""),
    "the same as a dict's key": (whole(b"}" + doubled(60) + b"Ns"), "neither text nor a small whole number"),
    "the same as a value": (whole(table({"a": doubled(60)})), ""),
    "the same as arguments": (whole(ORDERED + doubled(60) + b"R"), ""),
    "3,000,000 opcodes": (whole(b"N" * 3_000_000), "more than 700000 opcodes"),
    "700,000 globals": (whole(ORDERED * 700_000), "more than 700000 opcodes"),
    "keys of one hash": (
        whole(b"}(" + b"".join(number(at * MERSENNE + 5) + b"N" for at in range(1, 50_000)) + b"u"),
        "neither text nor a small whole number",
    ),
    "text that grows fourfold": (whole(text("\U0001f600" + "a" * 4000) * 8_400), "more than 33554432 bytes of text"),
    "an unterminated GLOBAL": (whole(b"c" + b"a" * 100_000), "a name that does not end within 512 bytes"),
    "a GLOBAL of half a megabyte": (whole(name("a" * 300_000, "b" * 200_000)), "a name that does not end within 512"),
}
CONTAINERS: dict[str, Callable[[bytes], bytes]] = {
    "torch_zip": hostile.torch_zip,
    "torch_legacy": hostile.torch_legacy,
    "paddle": bytes,
}
#: Of these one container is enough: all have the same decoder.
HEAVY = {"700,000 globals", "text that grows fourfold", "keys of one hash", "3,000,000 opcodes", "300,000 marks"}
HEAVY |= {f"100,000 nested {what}" for what in ("tuples", "lists", "calls", "states")}
EVIL = {
    f"{case}, {container}": (Case(f"mirror.formats.{container}:read", wrap(data)), said)
    for container, wrap in CONTAINERS.items()
    for case, (data, said) in (CODE | COST).items()
    if case not in HEAVY or container == "paddle"
}


def test_the_canary_sees_what_a_real_unpickler_does(tmp_path: Path) -> None:
    found = hostile.read_all({"evil": Case("pickle:loads", CODE["posix.system"][0])}, tmp_path)["evil"]
    assert (tmp_path / hostile.CANARY).exists()
    assert any(event.startswith("pickle.find_class") for event in found.events)
    assert any(event.startswith("os.system") for event in found.events)
