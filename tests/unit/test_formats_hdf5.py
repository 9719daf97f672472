"""HDF5: real bytes of its library, what Keras does not write, and damage of every kind.

The reader wants no library. ``h5py`` writes the files that must be refused, and says what
the others hold; without it those tests are skipped.
"""

from __future__ import annotations

import base64
import io
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.errors import FormatError
from mirror.formats import hdf5, hdf5_groups

if TYPE_CHECKING:
    from collections.abc import Callable

#: What h5py 3.16.0 with HDF5 2.0.0 wrote in the default layout, groups and attributes as Keras 2 has them.
REAL = zlib.decompress(
    base64.b85decode(
        "c-rk+O>ERg6dvy;V77rQYSi%8#@dzuRfsm5O-LdL8<m8pLM193B80j)iIc42wbAYpeyXYnAryM3svfGUhpMWoD(V4oM6@C~AcT7A5ph6"
        "0_0$6=gt!FT^WMf|*7hb1?wXxX8a>U-^Vs|R-n=)T_vYxak*%>^F=9d#Ndt)!J5~ULN7z2jp93j?TmZQk!ST)3+zuFz!}?N`)j$2|@UW"
        "@9;sD-fwiU1Es7H(r4~>~}9Qu7AA4XWc38hdnrGCDY%jd2rh3rKoH#1u*!hBxMXS3N!wdn9$$>qN2uZwT97c`Ms=r)lS!@E`avT-j>&M"
        "S1~odWgMc=-~M>I<}okBzdyyhn6(Y>TaLUUB@RlP3gQ0N`_Pars^Lb?tV6B}oiqNzsaWVOrHMvicaWpC=|&xmdJ*Sz<s+oRISqQ*z>qM"
        "wk~traDud>4T+dwA*+y_gM}O4h{|u4h{|u4h{~EwPHIQ{GI$-6UhJ{Ad(iNO~{jTiZ<oWKiJOy$S*{#bw*)+tF=yEpHkH9q^?cpW<2=}"
        "8()CyH8AUKv(}qa3UV<!uM~<oU8`a}(Y9WrH7+nbBHH7x7TSOM4wZg9;`!ZFavrfh;p7p^ymTw8r+}OTiGG<`=Y3Coa`Kp9L>lsCi!JQ"
        "BPCwoc<0Boc-me2xJ~+(!@sk6r-lh+!Z0~rp-k;k(@CXK;@2YMec=#@{?K&Lwz7I&aAM9rJ=+}dRB=%?Id|o!X7-xO!+6N+Kzq`GIja#"
        "Q5V|<^LSiS4e|0PkM?@utQ0>New0d`CwB9v<otZgdwqs9(mYHpX>U``^fB5D1SV9g;~^N|Q$P=p;PD#Y8UM$+*_m;P6KpkLv>m}&FYNB"
        "_IChwlX}t}YRB&S)8<Nk$_^TfS$E8;#rpr9q=_wB^B9{gA!^{LUBMFuxm<u;OR2P_y=P%hk@k%P&`Vd{8;!IO;Q3W6r(r$bGZ2I&Eg^D"
        "gDBPs;uU0Ro7<Bo~CQoC<xzg|Lc$KX88UdC$UBnYxa%p(q5?AYdW@Rj%h5{Bv<xUmt*$4@2!XS|DoMm56?t*_j&8#i~n<fjXLxn<act{"
        "&%2!e5LxxEqhQ$#NxwzXD^Wl1`l`J$=dn<Org^$V<-bd7w@=(sjf<pgA8)(-wy&~XzNty4ab`uo3Ya+TLtOo7t(A!LNou14e$^f<qqzR"
        "x`}hERhCqB@^OdYy1?FUjXayE=t-x*_WOwQjNWo*gIH{`&>^AhV68r9uH!J64EB|{;vpGN@WP@V-S!d-Kuf+<ip<G%0=)>+}W_!`;t%v"
        "VzTe7-JEz$KRGDxq>w_?dK_?D3`js|Cw_qxJi6OsweCaF|7Y?2AkCL`S;iJbs#awZ)PoBR}@O|+hH*kn0Cn_TM+hfV$t&?aB^ha~S<n9"
        "n9HrgA>p1u_M)8)O<}56E7Shd}m$>}MFy@z+w9ZYnc$y{YOLx{tfP^^ocPEbWt#Ko)v@&M_cw^m^;zx%S)sz+d@LaIx_7KsaI{K1BHm;"
        ">u5OaDKwRui^RlpTo{G-^TJ*F99P-ZWj"
    )
)

EXPECTED = {
    "bert/e/gamma:0": ("F32", (3,)),
    "bert/e/weight:0": ("F32", (4, 3)),
    "bert/k/double:0": ("F64", (2,)),
    "bert/k/half:0": ("F16", (3,)),
    "bert/k/long:0": ("I64", (2,)),
    "bert/k/none:0": ("F32", (0, 2)),
    "bert/k/one:0": ("F32", ()),
}


def test_what_the_library_wrote_is_read() -> None:
    found = hdf5.read(REAL)
    assert found.format == "hdf5"
    assert {one.name: (one.dtype, one.shape) for one in found.tensors} == EXPECTED
    for one in found.tensors:
        expected = (np.arange(one.array.size) / 8 - 1).reshape(one.shape).astype(one.array.dtype)
        assert one.array.tobytes() == expected.tobytes()
    assert found.skipped == tuple(f"optimizer_weights/v_{at}:0" for at in range(10))
    assert found.metadata == {}  # "model_config" may hold code


def test_every_tensor_is_a_view_into_the_bytes() -> None:
    whole = np.frombuffer(REAL, "u1")
    for one in hdf5.read(REAL).tensors:
        assert np.shares_memory(one.array, whole) == (one.array.size > 0)
        assert not one.array.size or not one.array.flags.writeable


# What the library itself can be made to write.


def written(write: Callable[[Any, Any], object], **options: Any) -> bytes:
    h5py = pytest.importorskip("h5py")
    target = io.BytesIO()
    with h5py.File(target, "w", **options) as file:
        write(h5py, file)
    return target.getvalue()


def many(h5py: Any, file: Any) -> None:
    del h5py
    for group in range(3):
        for at in range(700):  # a tree of three levels
            file.create_dataset(f"{group}/kernel_{at}:0", data=np.full((at % 3, 2), at, "<f4"))


def numbers(h5py: Any, file: Any) -> None:
    for kind in ("<f8", "<f4", "<f2", "<i8", "<i4", "<i2", "i1", "<u8", "<u4", "<u2", "u1"):
        file.create_dataset(f"a/{kind[-2:]}", data=np.arange(6).reshape(1, 2, 3).astype(kind))
    file["a"].attrs["long"] = "x" * 60_000
    for at in range(40):  # the header goes on elsewhere
        file["a/f4"].attrs[f"note {at}"] = at
    file.create_dataset("层/核:0", data=np.array([1.5], "<f4"))
    most = h5py.h5s.create_simple((2,), (2,))
    h5py.h5d.create(file.id, b"most", h5py.h5t.IEEE_F32LE, most).write(most, most, np.ones(2, "<f4"))


@pytest.mark.parametrize("write", [many, numbers])
def test_everything_is_read_as_the_library_reads_it(write: Callable[[Any, Any], object]) -> None:
    h5py = pytest.importorskip("h5py")
    data = written(write)
    expected: dict[str, Any] = {}

    def note(name: str, one: Any) -> None:
        if isinstance(one, h5py.Dataset):
            expected[name] = one[()]

    with h5py.File(io.BytesIO(data)) as file:
        file.visititems(note)
    found = {one.name: one.array for one in hdf5.read(data).tensors}
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()


def test_bfloat16_keeps_its_bits() -> None:
    def write(h5py: Any, file: Any) -> None:
        kind = h5py.h5t.IEEE_F32LE.copy()
        kind.set_fields(15, 7, 8, 0, 7)
        kind.set_size(2)
        kind.set_ebias(127)
        one = h5py.h5d.create(file.id, b"a", kind, h5py.h5s.create_simple((2,)))
        one.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array([0x3F80, 0xC000], "<u2"), mtype=kind)

    (tensor,) = hdf5.read(written(write)).tensors
    assert (tensor.dtype, tensor.array.tolist()) == ("BF16", [0x3F80, 0xC000])


def dataset(**options: Any) -> Callable[[Any, Any], object]:
    options = {"data": np.ones((4, 4), "<f4")} | options
    return lambda h5py, file: file.create_dataset("a/b", **options)


def low_level(layout: str, *, space: str = "SIMPLE") -> Callable[[Any, Any], object]:
    def write(h5py: Any, file: Any) -> None:
        how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        how.set_layout(getattr(h5py.h5d, layout))
        where = h5py.h5s.create_simple((2,)) if space == "SIMPLE" else h5py.h5s.create(h5py.h5s.NULL)
        h5py.h5d.create(file.id, b"a", h5py.h5t.IEEE_F32LE, where, how)

    return write


def linked(kind: str, *args: str) -> Callable[[Any, Any], object]:
    def write(h5py: Any, file: Any) -> None:
        file["b"] = np.ones(2, "<f4")
        file["a"] = getattr(h5py, kind)(*args)

    return write


def other_name(h5py: Any, file: Any) -> None:
    del h5py
    file["a"] = np.ones(2, "<f4")
    file["b"] = file["a"]


def circle(h5py: Any, file: Any) -> None:
    del h5py
    file["a/b"] = np.ones(2, "<f4")
    file["a/c"] = file["a"]


def virtual(h5py: Any, file: Any) -> None:
    layout = h5py.VirtualLayout((2,), "<f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "a", (2,))
    file.create_virtual_dataset("a", layout)


WRITTEN: dict[str, tuple[Callable[[Any, Any], object], dict[str, Any], str]] = {
    "the newer layout": (dataset(), {"libver": "latest"}, "byte 8: superblock version 3: the newer layout"),
    "groups of the newer layout": (
        dataset(),
        {"track_order": True},
        "no object header in the layout that Keras writes",
    ),
    "bytes before the file": (dataset(), {"userblock_size": 512}, "byte 0: no HDF5 signature"),
    "chunks": (dataset(chunks=(2, 2)), {}, "tensor a/b"),
    "packed": (dataset(compression="gzip"), {}, "packed elements, which Keras does not write"),
    "a bomb": (dataset(data=np.zeros((1 << 20,), "<f4"), compression="gzip"), {}, "packed elements"),
    "checksums": (dataset(fletcher32=True), {}, "packed elements, which Keras does not write"),
    "a shape that grows": (dataset(maxshape=(None, 4)), {}, "elements in chunks, where Keras has them in one piece"),
    "other files": (dataset(external=[("/etc/passwd", 0, 64)]), {}, "elements that lie in other files"),
    "a virtual dataset": (virtual, {}, "tensor a"),
    "a soft link": (linked("SoftLink", "/b"), {}, "tensor a: a link that is not hard"),
    "a link to another file": (linked("ExternalLink", "/etc/passwd", "/b"), {}, "links in the newer layout"),
    "two names": (other_name, {}, "tensor b, byte 800: has another name as well"),
    "a circle": (circle, {}, "has another name as well"),
    "inside the header": (low_level("COMPACT"), {}, "elements inside the header, where Keras has"),
    "never written": (low_level("CONTIGUOUS"), {}, "tensor a: bytes 18446744073709551615 to"),
    "no shape": (low_level("CONTIGUOUS", space="NULL"), {}, "no shape in the layout that Keras writes"),
    "big-endian": (dataset(dtype=">f4"), {}, "a type that no weights have (float)"),
    "text": (dataset(data=np.bytes_(b"abc")), {}, "a type that no weights have (string)"),
    "texts of any length": (dataset(data=["abc"]), {}, "a type that no weights have (list)"),
    "truth values": (dataset(data=np.ones(2, "?")), {}, "a type that no weights have (enumeration)"),
    "records": (dataset(data=np.zeros(2, "i4,f4")), {}, "a type that no weights have (record)"),
    "complex numbers": (dataset(data=np.ones(2, "<c8")), {}, "a type that no weights have"),
    "opaque bytes": (dataset(data=np.zeros(2, "V4")), {}, "a type that no weights have (opaque)"),
    "nine axes": (dataset(data=np.zeros((1,) * 9, "<f4")), {}, "9 axes"),
    "a named type": (lambda h5py, file: file.__setitem__("a", np.dtype("<f4")), {}, "neither a group nor a dataset"),
    "a control character": (lambda h5py, file: file.__setitem__("a\n", np.ones(2)), {}, "a name that no tensor has"),
    "a long name": (lambda h5py, file: file.__setitem__("n" * 401, np.ones(2)), {}, "a name that does not end"),
    "25 levels": (lambda h5py, file: file.__setitem__("a/" * 25 + "b", np.ones(2)), {}, "more than 24 levels"),
    "nothing": (lambda h5py, file: None, {}, "no tensors"),
    "an optimizer alone": (
        lambda h5py, file: file.__setitem__("optimizer_weights/a", np.ones(2)),
        {},
        "no tensors",
    ),
}


def refused() -> dict[str, tuple[bytes, str]]:
    """Return what the library writes and Keras does not, as files."""
    return {case: (written(write, **options), said) for case, (write, options, said) in WRITTEN.items()}


# Damage, in the bytes of the library: where things stand is found by their signatures.


def changed(at: int, new: bytes) -> bytes:
    return REAL[:at] + new + REAL[at + len(new) :]


def number(value: int, size: int = 8) -> bytes:
    return value.to_bytes(size, "little")


ROOT = int.from_bytes(REAL[64:72], "little")
TREE, NODE, HEAP = REAL.index(b"TREE"), REAL.index(b"SNOD"), REAL.index(b"HEAP")
FIRST, SECOND = NODE + 8, NODE + 48
HEADER = int.from_bytes(REAL[FIRST + 8 : FIRST + 16], "little")
FLOAT = REAL.index(bytes.fromhex("11201f00 04000000"))
DAMAGED: dict[str, tuple[bytes, str]] = {
    "nothing at all": (b"", "bytes 0 to 96 of 0"),
    "a signature alone": (REAL[:8], "bytes 0 to 96 of 8"),
    "another signature": (changed(3, b"f"), "byte 0: no HDF5 signature"),
    "truncated": (REAL[:-1], "byte 40: the file says that it ends at byte 15678, and has 15677"),
    "trailing bytes": (REAL + b"\0", "byte 40: the file says that it ends at byte 15678, and has 15679"),
    "short offsets": (changed(13, b"\4"), "byte 13: a superblock that is not Keras's"),
    "a base address": (changed(24, b"\1"), "byte 13: a superblock that is not Keras's"),
    "a file in parts": (changed(48, number(96)), "byte 13: a superblock that is not Keras's"),
    "a root past the end": (changed(64, number(1 << 63)), "bytes 9223372036854775808 to 92233720368547"),
    "a cached address that lies": (changed(80, number(8)), f"byte {ROOT}: a group that its name has elsewhere"),
    "a soft link at the root": (changed(72, b"\2"), "a link that is not hard"),
    "a header of another kind": (changed(ROOT, b"\2"), f"byte {ROOT}: no object header in the layout"),
    "a header past the end": (changed(ROOT + 8, number(1 << 31, 4)), "bytes 112 to 2147483760 of 15678"),
    "too few messages": (changed(ROOT + 2, number(1, 2)), f"byte {ROOT}: a header of 1 messages has "),
    "too many messages": (changed(ROOT + 2, number(99, 2)), f"byte {ROOT}: a header of 99 messages has "),
    "a message past the end": (changed(ROOT + 18, b"\xff\xff"), "byte 112: a message that is cut off"),
    "an unknown message": (changed(ROOT + 16, b"\x17"), "byte 112: a message of type 23, which Keras does not write"),
    "a shared message": (changed(ROOT + 20, b"\2"), "byte 112: a shared message, which Keras does not write"),
    "a node that is its own child": (changed(TREE + 5, b"\1\1\0"), "no node of a group's tree, or not of its level"),
    "a node of a chunk": (changed(TREE + 4, b"\1"), f"byte {TREE}: no node of a group's tree"),
    "a node of level 255": (changed(TREE + 5, b"\xff"), f"byte {TREE}: no node of a group's tree"),
    "65535 children": (changed(TREE + 6, b"\xff\xff"), "bytes 160 to 1048728 of 15678"),
    "65535 names": (changed(NODE + 6, b"\xff\xff"), f"bytes {NODE + 8} to {NODE + 8 + 65535 * 40} of 15678"),
    "names of another kind": (changed(NODE, b"X"), f"byte {NODE}: no node of a group's names"),
    "another heap": (changed(HEAP, b"X"), f"byte {HEAP}: no heap of names"),
    "a heap past the end": (changed(HEAP + 24, number(1 << 62)), "bytes 4611686018427387904 to"),
    "a name outside the heap": (changed(FIRST, number(1 << 63)), "a name that does not end"),
    "a name twice": (changed(SECOND, REAL[FIRST : FIRST + 8]), "the name 'bert': out of order, or no name"),
    "no name": (changed(FIRST, number(0)), "the name '': out of order, or no name"),
    "a slashed name": (REAL.replace(b"bert\0", b"be/t\0", 1), "the name 'be/t': out of order, or no name"),
    "a name that is a place": (REAL.replace(b"bert\0", b".\0rt\0", 1), "the name '.': out of order, or no name"),
    "no UTF-8": (REAL.replace(b"bert\0", b"\xffert\0", 1), "a name that is no UTF-8"),
    "one object, two names": (changed(SECOND + 8, number(HEADER)), "has another name as well"),
    "the root below itself": (changed(SECOND + 8, number(ROOT)), "byte 96: has another name as well"),
    "an unknown type": (changed(FLOAT, b"\x1f"), "elements of a type that no weights have (unknown)"),
    "another exponent": (changed(FLOAT + 13, b"\5"), "elements of a type that no weights have (float)"),
}


def layout_of(data: bytes, name: str) -> int:
    """Return where a tensor's address stands: the only place that holds it, before its length."""
    (one,) = (each for each in hdf5.read(data).tensors if each.name == name)
    start = one.array.__array_interface__["data"][0] - np.frombuffer(data, "u1").__array_interface__["data"][0]
    return data.index(number(start) + number(one.array.nbytes))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (lambda at: int.from_bytes(REAL[at : at + 8], "little") + 4, "overlaps "),
        (lambda at: 0, "overlaps bert/e/weight:0"),
        (lambda at: len(REAL) - 47, "tensor bert/e/weight:0: bytes 15631 to 15679 of 15678"),
        (lambda at: (1 << 64) - 48, "tensor bert/e/weight:0: bytes 18446744073709551568 to"),
    ],
)
def test_elements_lie_in_the_file_and_are_nothing_else(address: Callable[[int], int], said: str) -> None:
    at = layout_of(REAL, "bert/e/weight:0")
    with pytest.raises(FormatError) as caught:
        hdf5.read(changed(at, number(address(at))))
    assert said in str(caught.value)


def test_a_length_that_does_not_fit_the_shape_is_refused() -> None:
    at = layout_of(REAL, "bert/e/weight:0")
    with pytest.raises(FormatError, match=r"44 bytes for shape \[4, 3\] of F32"):
        hdf5.read(changed(at + 8, number(44)))


def test_the_steps_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5_groups, "_MAX_STEPS", 100)
    with pytest.raises(FormatError, match="more structure than weights need"):
        hdf5.read(REAL)


@given(st.binary(max_size=200))
def test_any_bytes_behind_a_signature_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        hdf5.read(REAL[:8] + data)


STRUCTURE = [at for at, byte in enumerate(REAL) if byte]


@given(st.lists(st.tuples(st.sampled_from(STRUCTURE), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4))
def test_a_changed_file_is_read_or_refused(changes: list[tuple[int, bytes]]) -> None:
    data = bytearray(REAL)
    for at, new in changes:
        data[at : at + len(new)] = new
    try:
        found = hdf5.read(bytes(data))
    except FormatError:
        return
    assert sum(one.array.nbytes for one in found.tensors) < len(data)
