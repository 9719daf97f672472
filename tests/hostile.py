"""Hostile files: parts to build them of, and a process of its own to read them in.

The process has little memory and little time, and a canary: every event that the interpreter
audits while a reader is at work (an import, a call of ``exec``, a file that is opened, a
process, a socket) is recorded, and there should be none.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import pickletools
import resource
import signal
import struct
import subprocess
import sys
import time
import warnings
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mirror.errors import FormatError
from mirror.formats.snappy import decompress
from mirror.formats.sniff import HEAD, TAIL, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MEMORY = 1 << 30  # bytes of address space, those of Python and numpy included
SECONDS = 2  # of the processor, that a case may take; where it takes longer, it hangs
#: What payloads would do: make this file, where the process runs.
CANARY = "canary"
COMMAND = f"echo > {CANARY}"


# Parts of pickles.


def text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    if 0 <= value < 256:
        return b"K%c" % value
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a%c" % len(data) + data


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def group(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def numbers(values: Iterable[int]) -> bytes:
    return group(*map(number, values))


def call(function: bytes, *args: bytes) -> bytes:
    return function + group(*args) + b"R"


def table(items: Mapping[str, bytes]) -> bytes:
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def pickle(value: bytes) -> bytes:
    return b"\x80\x02" + value + b"."


# PyTorch.


def storage(key: str = "0", count: int = 6, kind: str = "FloatStorage", *more: bytes) -> bytes:
    fields = text("storage"), name("torch", kind), text(key), text("cpu"), number(count)
    return group(*fields, *more) + b"Q"


def tensor(
    held: bytes = storage(), shape: Iterable[int] = (2, 3), strides: Iterable[int] = (3, 1), offset: int = 0
) -> bytes:
    hooks = call(name("collections", "OrderedDict"))
    arguments = held, number(offset), numbers(shape), numbers(strides), b"\x89", hooks
    return call(name("torch._utils", "_rebuild_tensor_v2"), *arguments)


NUMBERS = struct.pack("<6f", *range(6))
STORAGES: Mapping[str, bytes] = {"0": NUMBERS}


def zipped(entries: Iterable[tuple[str, bytes]], *, packed: bool = False) -> bytes:
    stream = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(stream, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name that is there twice
        for path, data in entries:
            archive.writestr(zipfile.ZipInfo(path), data, method)
    return stream.getvalue()


def torch_entries(state: bytes, storages: Mapping[str, bytes] = STORAGES) -> list[tuple[str, bytes]]:
    held = [(f"m/data/{key}", data) for key, data in storages.items()]
    return [("m/data.pkl", state), ("m/byteorder", b"little"), *held, ("m/version", b"3\n")]


def torch_zip(state: bytes, storages: Mapping[str, bytes] = STORAGES) -> bytes:
    return zipped(torch_entries(state, storages))


MAGIC = pickle(number(0x1950A86A20F9469CFC6C))
PROTOCOL = pickle(number(1001))
SYSTEM = pickle(table({"protocol_version": number(1001), "little_endian": b"\x88", "type_sizes": table({})}))


def torch_legacy(state: bytes, storages: Mapping[str, bytes] = STORAGES, *, itemsize: int = 4) -> bytes:
    keys = pickle(b"](" + b"".join(map(text, storages)) + b"e")
    held = (struct.pack("<q", len(data) // itemsize) + data for data in storages.values())
    return b"".join([MAGIC, PROTOCOL, SYSTEM, state, keys, *held])


# Paddle.


def latin1(data: bytes) -> bytes:
    return call(name("_codecs", "encode"), text(data.decode("latin-1")), text("latin1"))


def dtype(code: str = "f4", order: str = "<", *more: bytes) -> bytes:
    state = group(number(3), text(order), *(more or (b"N",) * 3), number(-1), number(-1), number(0))
    return call(name("numpy", "dtype"), text(code), b"\x89", b"\x88") + state + b"b"


def array(data: bytes = latin1(NUMBERS), shape: Iterable[int] = (2, 3), kind: bytes = dtype()) -> bytes:
    empty = group(name("numpy", "ndarray"), numbers((0,)), latin1(b"b"))
    made = name("numpy.core.multiarray", "_reconstruct") + empty + b"R"
    return made + group(number(1), numbers(shape), kind, b"\x89", data) + b"b"


# Any value in the place of any other.

BOMB = b")" + b"q\x00h\x00\x86" * 60  # a tuple of 2^60 parts, all of them the same one
FILLINGS = {
    "a bomb": BOMB,
    "a tuple around it": BOMB + b"\x85",
    "a list": b"]",
    "a tuple of a list": b"]\x85",
    "a dict": b"}",
    "nothing": b"N",
    "True": b"\x88",
    "0": number(0),
    "-1": number(-1),
    "2^63": number(1 << 63),
    "2^2000": number(1 << 2000),
    "infinity": b"G\x7f\xf0\x00\x00\x00\x00\x00\x00",
    "no text": text(""),
    "text": text("storage"),
    "long text": text("x" * 5000),
    "bytes": b"C\x01b",
    "a function": name("collections", "OrderedDict"),
    "a call": call(name("collections", "OrderedDict")),
}


def replaced(pickled: bytes, more: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the pickle with each of its values, tuples included, replaced by each of the fillings."""
    spans: list[tuple[int, int]] = []
    marks: list[int] = []
    for (opcode, _, at), (_, _, stop) in pairwise(pickletools.genops(pickled)):
        assert at is not None
        assert stop is not None
        if opcode.name == "MARK":
            marks.append(at)
        elif opcode.name == "TUPLE":
            spans.append((marks.pop(), stop))
        elif opcode.name == "SETITEMS":
            marks.pop()
        elif opcode.name not in {"PROTO", "EMPTY_DICT", "REDUCE", "BUILD", "BINPERSID"}:
            spans.append((at, stop))
    return {
        f"value {place}: {what}": pickled[:at] + filling + pickled[stop:]
        for place, (at, stop) in enumerate(spans)
        for what, filling in (FILLINGS | dict(more)).items()
    }


# Readers that want to be told more than the bytes.


def known(data: bytes) -> object:
    return kind_of(data[:HEAD], data[-TAIL:], len(data))


def unpacked(data: bytes) -> object:
    return decompress(data, most=1 << 16)


# The process.


class Case(NamedTuple):
    """A file and who reads it: ``module:function``."""

    reader: str
    data: bytes


class Outcome(NamedTuple):
    """What came of a case.

    Attributes:
        error: The class of what was raised; empty when it was read.
        said: The text of what was raised.
        seconds: How long it took.
        events: What the interpreter audited in the meantime.
    """

    error: str
    said: str
    seconds: float
    events: list[str]


def read_all(cases: Mapping[str, Case], folder: Path) -> dict[str, Outcome]:
    """Read every case in one other process, and return what came of each."""
    for at, case in enumerate(cases.values()):
        (folder / str(at)).write_bytes(case.data)
    readers = [case.reader for case in cases.values()]
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", "from tests.hostile import child; child()", json.dumps(readers)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(root), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = [Outcome(*json.loads(line)) for line in done.stdout.splitlines()]
    named = dict(zip(cases, found, strict=False))
    if done.returncode:
        stopped = list(cases)[len(found)] if len(found) < len(cases) else "the end"
        raise AssertionError(f"{stopped}: the process ended with {done.returncode}: {done.stderr[-2000:]}")
    slowest = sorted(named, key=lambda one: named[one].seconds, reverse=True)[:3]
    print("slowest:", ", ".join(f"{one} {named[one].seconds:.2f} s" for one in slowest))
    return named


def child() -> None:
    """Read the files 0, 1, … of this folder with the readers that are named, and print what came of each."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    functions = []
    for reader in json.loads(sys.argv[1]):
        module, _, function = reader.partition(":")
        functions.append(getattr(importlib.import_module(module), function))
    events: list[str] | None = None

    def record(event: str, args: tuple[object, ...]) -> None:
        if events is not None and event != "builtins.id":
            events.append(f"{event} {args!r:.100}")

    sys.addaudithook(record)
    for at, function in enumerate(functions):
        data = Path(str(at)).read_bytes()
        signal.setitimer(signal.ITIMER_PROF, SECONDS)  # its signal ends the process, wherever that is
        begun, error, said = time.perf_counter(), "", ""
        events = []
        try:
            for one in getattr(function(data), "tensors", ()):
                one.array.tobytes()
        except FormatError as caught:
            error, said = "FormatError", str(caught)
        except Exception as caught:  # noqa: BLE001 -- the parent says that there was one
            error, said = type(caught).__name__, str(caught)
        recorded, events = events, None
        seconds = time.perf_counter() - begun
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps([error, said, seconds, recorded]), flush=True)
