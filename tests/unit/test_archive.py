from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import random
import stat
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.errors import ArchiveError, IntegrityError
from mirror.formats.archive import Limits, Member, is_packed_file, list_members

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

VOCAB = b"[PAD]\n[UNK]\n" * 500
WEIGHTS = random.Random(1).randbytes(20_000)
FILES = {"uncased_L-2/vocab.txt": VOCAB, "uncased_L-2/bert_model.ckpt": WEIGHTS, "uncased_L-2/empty": b""}


def zipped(files: dict[str, bytes], change: Callable[[zipfile.ZipInfo], None] | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            if change is not None:
                change(info)
            archive.writestr(info, data)
    return buffer.getvalue()


def tarred(files: dict[str, bytes], *infos: tarfile.TarInfo, form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=form) as archive:
        for info in infos:
            archive.addfile(info)
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def plain(files: dict[str, bytes]) -> bytes:
    return gzip.decompress(tarred(files))


def tar_bz2(files: dict[str, bytes]) -> bytes:
    return bz2.compress(plain(files))


def tar_xz(files: dict[str, bytes]) -> bytes:
    return lzma.compress(plain(files), preset=0)  # a dictionary of 256 KiB, not 8 MiB


TARS = [tarred, plain, tar_bz2, tar_xz]


def entry(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def expected(files: dict[str, bytes], *, crc: bool) -> tuple[Member, ...]:
    return tuple(
        Member(name, len(data), f"{zlib.crc32(data):08x}" if crc else None, hashlib.sha256(data).hexdigest())
        for name, data in files.items()
    )


def test_a_zips_members_are_listed_in_its_order() -> None:
    assert list_members(zipped({"uncased_L-2/": b"", **FILES})) == expected(FILES, crc=True)


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_a_tarballs_members_are_listed_in_its_order(form: int) -> None:
    packed = tarred(FILES, entry("uncased_L-2", tarfile.DIRTYPE), form=form)
    assert list_members(packed) == expected(FILES, crc=False)


@pytest.mark.parametrize("pack", TARS)
def test_a_tar_is_listed_however_it_is_packed(pack: Callable[[dict[str, bytes]], bytes]) -> None:
    assert list_members(pack(FILES)) == expected(FILES, crc=False)
    assert not is_packed_file(pack(FILES))


def test_packed_streams_one_behind_the_other_are_one() -> None:
    whole = plain(FILES)
    for pack in (bz2.compress, lzma.compress, gzip.compress):
        assert list_members(pack(whole[:700]) + pack(whole[700:])) == expected(FILES, crc=False)
    padded = lzma.compress(whole[:700]) + bytes(8) + lzma.compress(whole[700:]) + bytes(4)
    assert list_members(padded) == expected(FILES, crc=False)


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress, gzip.compress])
def test_one_packed_file_is_no_archive(pack: Callable[[bytes], bytes]) -> None:
    assert is_packed_file(pack(WEIGHTS))
    assert is_packed_file(pack(b"short"))
    assert not is_packed_file(pack(bytes(10240)))  # a tar of nothing


def test_a_dictionary_beyond_the_limit_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 64 << 20}]
    packed = lzma.compress(plain(FILES), filters=filters)
    assert list_members(packed) == expected(FILES, crc=False)
    with pytest.raises(ArchiveError, match="memory"):
        list_members(packed, Limits(memory=32 << 20))


@pytest.mark.parametrize("pack", [tar_bz2, tar_xz])
def test_a_packed_tar_that_is_cut_short_or_has_more_behind_is_refused(pack: Callable[..., bytes]) -> None:
    packed = pack(FILES)
    for wrong in (packed[:-20], packed + b"more", packed + pack({"a": b"b"})):
        with pytest.raises(ArchiveError):
            list_members(wrong)


def test_a_leading_dot_of_tar_names_is_no_part_of_the_path() -> None:
    packed = tarred({f"./{name}": data for name, data in FILES.items()}, entry("./", tarfile.DIRTYPE))
    assert list_members(packed) == expected(FILES, crc=False)


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_in_tars_are_read(form: int) -> None:
    files = {"long/" * 40 + "name": b"x"}
    assert list_members(tarred(files, form=form)) == expected(files, crc=False)


def test_an_open_file_serves_as_well_as_bytes() -> None:
    file = io.BytesIO(zipped(FILES))
    file.seek(17)
    assert list_members(file) == expected(FILES, crc=True)
    assert list_members(zipped({})) == ()


@pytest.mark.parametrize("data", [b"", b"PK", b"\x1f\x8b", b"hello, world", b"\x80\x02}q\x00."])
def test_what_is_no_archive_is_none(data: bytes) -> None:
    assert list_members(data) is None


EVIL_PATHS = ["/etc/passwd", "../up", "a/../../up", "a\\b", "C:evil", "a//b", "./a", "nul\0", "new\nline", "x" * 300]


@pytest.mark.parametrize("path", EVIL_PATHS)
def test_paths_that_lead_elsewhere_are_refused_in_zips(path: str) -> None:
    packed = zipped({"A" * len(path.encode()): b"x"}).replace(b"A" * len(path.encode()), path.encode())
    with pytest.raises(ArchiveError):
        list_members(packed)


@pytest.mark.parametrize("path", ["/etc/passwd", "../up", "a/../../up", "a\\b", "C:evil", "a//b", "new\nline"])
def test_paths_that_lead_elsewhere_are_refused_in_tars(path: str) -> None:
    with pytest.raises(ArchiveError, match="stay where it is put"):
        list_members(tarred({path: b"x"}))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_devices_are_refused_in_zips(kind: int) -> None:
    def change(info: zipfile.ZipInfo) -> None:
        info.create_system, info.external_attr = 3, (kind | 0o777) << 16

    with pytest.raises(ArchiveError, match="link"):
        list_members(zipped({"a": b"/etc/passwd"}, change))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_links_and_devices_are_refused_in_tars(kind: bytes) -> None:
    with pytest.raises(ArchiveError, match="link"):
        list_members(tarred({"b": b"x"}, entry("a", kind, "b")))


def test_two_members_of_one_name_are_refused() -> None:
    with pytest.raises(ArchiveError, match="twice"):
        list_members(zipped({"aa": b"1", "bb": b"2"}).replace(b"bb", b"aa"))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("aa"))
        archive.addfile(tarfile.TarInfo("./aa"))
    with pytest.raises(ArchiveError, match="twice"):
        list_members(buffer.getvalue())


@pytest.mark.parametrize("files", [{"a": b"1", "a/b": b"2"}, {"a/b/": b"", "a/b": b"2"}])
def test_a_file_that_is_a_directory_too_is_refused(files: dict[str, bytes]) -> None:
    with pytest.raises(ArchiveError, match="a file and a directory"):
        list_members(zipped(files))


def test_encrypted_members_are_refused() -> None:
    packed = bytearray(zipped(FILES))
    at = packed.rindex(b"PK\x01\x02")
    packed[at + 8] |= 1  # bit 0 of the general purpose flag, in the central directory
    with pytest.raises(ArchiveError, match="encrypted"):
        list_members(bytes(packed))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packing_methods_without_a_bound_on_memory_are_refused(method: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("a", VOCAB)
    with pytest.raises(ArchiveError, match="method"):
        list_members(buffer.getvalue())


@pytest.mark.parametrize(
    "packed",
    [
        zipped({"zeros": bytes(8 << 20)}),
        tarred({"zeros": bytes(8 << 20)}),
        tar_bz2({"zeros": bytes(8 << 20)}),
        tar_xz({"zeros": bytes(8 << 20)}),
    ],
)
def test_bombs_are_refused_by_their_ratio(packed: bytes) -> None:
    with pytest.raises(ArchiveError, match="unpacks"):
        list_members(packed)
    members = list_members(packed, Limits(ratio=1_000_000))
    assert members is not None
    assert members[0].size == 8 << 20


@pytest.mark.parametrize("pack", [zipped, *TARS])
def test_limits_on_members_and_bytes_hold(pack: Callable[[dict[str, bytes]], bytes]) -> None:
    with pytest.raises(ArchiveError, match="more than 2 members"):
        list_members(pack(FILES), Limits(members=2))
    with pytest.raises(ArchiveError, match="more than 20000"):
        list_members(pack(FILES), Limits(total=20_000))


def test_members_that_share_their_bytes_are_refused() -> None:
    packed = bytearray(zipped({"aa": WEIGHTS, "bb": WEIGHTS}))
    directory = packed.index(b"PK\x01\x02")
    second = packed.index(b"PK\x01\x02", directory + 4)
    packed[second + 42 : second + 46] = packed[directory + 42 : directory + 46]  # offset of the local header
    with pytest.raises(ArchiveError, match="overlap"):
        list_members(bytes(packed))


class Unseekable(io.RawIOBase):
    """A pipe: who writes a zip into it has to put lengths behind what they are of."""

    def __init__(self) -> None:
        super().__init__()
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, piece: Buffer, /) -> int:
        self.data += piece
        return len(memoryview(piece))


def test_lengths_behind_the_members_64_bit_fields_and_a_comment_are_read() -> None:
    pipe = Unseekable()
    with zipfile.ZipFile(pipe, "w") as archive:
        for name, data in FILES.items():
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(data)
        archive.comment = b"from a pipe"
    members = list_members(bytes(pipe.data))
    assert members is not None
    assert [one.path for one in members] == list(FILES)


SLACK: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "before the first": (lambda zip_: b"PK\x03\x04hidden" + zip_, "10 bytes before it belong to no member"),
    "after the last record": (lambda zip_: zip_ + b"x", "around its last record"),
    "before the directory": (
        lambda zip_: _shifted(zip_, zip_.index(b"PK\x01\x02"), bytes(600)),
        "600 bytes before it belong to no member",
    ),
}


def _shifted(zip_: bytes, at: int, hidden: bytes) -> bytes:
    """Put bytes before the directory, and its new place into the last record."""
    whole = bytearray(zip_[:at] + hidden + zip_[at:])
    whole[-6:-2] = (at + len(hidden)).to_bytes(4, "little")
    return bytes(whole)


@pytest.mark.parametrize("where", SLACK)
def test_bytes_that_belong_to_no_member_are_refused(where: str) -> None:
    change, said = SLACK[where]
    packed = change(zipped(FILES))
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:  # as others see it
        assert archive.testzip() is None
    with pytest.raises(ArchiveError, match=said):
        list_members(packed)


@pytest.mark.parametrize("lost", [1, 30, 200, 20_000])
def test_a_zip_that_was_cut_off_says_where(lost: int) -> None:
    packed = zipped({"model/weights.bin": random.Random(1).randbytes(30_000)})[:-lost]
    with pytest.raises(ArchiveError, match=f"cut off at byte {len(packed)}, in") as caught:
        list_members(packed)
    assert "'model/weights.bin'" in str(caught.value)
    assert (", which goes on to byte 30" in str(caught.value)) is (lost >= 200)


def test_a_directory_of_names_beyond_measure_is_not_read() -> None:
    packed = zipped({f"{number:0200d}": b"" for number in range(200)})
    with pytest.raises(ArchiveError, match="header of"):
        list_members(packed, Limits(names=10_000))


def test_a_tar_header_beyond_measure_is_not_read() -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 1 << 40
    packed = gzip.compress(header.tobuf(tarfile.USTAR_FORMAT if header.size < 8**11 else tarfile.GNU_FORMAT))
    with pytest.raises(ArchiveError, match="header of"):
        list_members(packed)


def test_a_flipped_bit_is_a_bad_crc() -> None:
    packed = bytearray(zipped(FILES))
    packed[packed.index(WEIGHTS[100:120]) if WEIGHTS[100:120] in packed else 1000] ^= 1
    with pytest.raises(ArchiveError):
        list_members(bytes(packed))
    packed = bytearray(tarred(FILES))
    packed[len(packed) // 2] ^= 1
    with pytest.raises(ArchiveError):
        list_members(bytes(packed))


def test_a_member_that_is_longer_or_shorter_than_declared_is_refused() -> None:
    for wrong in (len(VOCAB) - 1, len(VOCAB) + 1):
        packed = zipped({"a": VOCAB}).replace(struct.pack("<L", len(VOCAB)), struct.pack("<L", wrong))
        with pytest.raises(ArchiveError):
            list_members(packed)


def test_a_damaged_header_in_the_middle_of_a_tar_is_not_taken_for_its_end() -> None:
    plain = bytearray(gzip.decompress(tarred(FILES, form=tarfile.USTAR_FORMAT)))
    plain[plain.index(b"uncased_L-2/bert")] ^= 1  # the header's checksum is wrong now
    with pytest.raises(ArchiveError, match="damaged header"):
        list_members(gzip.compress(bytes(plain)))


@pytest.mark.parametrize("pack", [zipped, *TARS])
@given(data=st.data())
def test_any_damage_is_refused_or_harmless(pack: Callable[[dict[str, bytes]], bytes], data: st.DataObject) -> None:
    packed = bytearray(pack(FILES))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(packed) - 1))
        match data.draw(st.sampled_from(["flip", "cut", "insert"])):
            case "flip":
                packed[at] ^= data.draw(st.integers(1, 255))
            case "cut":
                del packed[max(at, 8) :]
            case _:
                packed[at:at] = data.draw(st.binary(min_size=1, max_size=40))
    try:
        members = list_members(bytes(packed))
    except IntegrityError:
        return
    for member in members or ():
        assert not member.path.startswith("/")
        assert ".." not in member.path.split("/")


@pytest.mark.slow
def test_memory_does_not_grow_with_the_size_of_members() -> None:
    files = {f"weights-{number}": random.Random(number).randbytes(8 << 20) for number in range(2)}
    for packed in (zipped(files), *(pack(files) for pack in TARS)):
        tracemalloc.start()
        assert list_members(packed) is not None
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 4 << 20
