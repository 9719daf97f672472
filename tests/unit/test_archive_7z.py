"""7z archives: what 7-Zip writes is read, and whatever a directory may say is refused or harmless."""

from __future__ import annotations

import hashlib
import os
import random
import resource
import shutil
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror.errors import ArchiveError, ArchiveMethodError
from mirror.formats.archive import Limits, Member, list_members
from tests.seven_zip import COPY, METHODS, Writer, number, sealed, seven_zipped

VOCAB = b"[PAD]\n[UNK]\n" * 500
WEIGHTS = random.Random(1).randbytes(20_000)
FILES = {"uncased_L-2/vocab.txt": VOCAB, "uncased_L-2/bert_model.ckpt": WEIGHTS, "uncased_L-2/empty": b""}


def expected(files: dict[str, bytes]) -> tuple[Member, ...]:
    return tuple(
        Member(name, len(data), f"{zlib.crc32(data):08x}", hashlib.sha256(data).hexdigest())
        for name, data in files.items()
        if not name.endswith("/")
    )


@pytest.mark.parametrize("solid", [True, False])
@pytest.mark.parametrize("pack_directory", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_members_are_listed_in_the_archives_order(method: str, solid: bool, pack_directory: bool) -> None:
    files = {"uncased_L-2/": b"", **FILES}
    packed = Writer(files, METHODS[method], solid=solid, pack_directory=pack_directory).data()
    assert list_members(packed) == expected(files)


@pytest.mark.slow
@pytest.mark.parametrize("words", ["-mx=9", "-m0=lzma", "-m0=bzip2", "-m0=copy", "-ms=off", "-mhc=off"])
def test_what_7_zip_itself_writes_is_read(tmp_path: Path, words: str) -> None:
    program = shutil.which("7zz") or shutil.which("7z")
    if program is None:
        pytest.skip("no 7-Zip")
    for name, data in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    done = [program, "a", "-bd", "-y", words, "a.7z", "uncased_L-2"]
    subprocess.run(done, cwd=tmp_path, check=True, capture_output=True)
    with (tmp_path / "a.7z").open("rb") as file:
        members = list_members(file)
    assert members is not None
    assert set(members) == set(expected(FILES))


def test_an_archive_of_nothing_has_no_members() -> None:
    assert list_members(sealed(b"", b"")) == ()
    assert list_members(Writer({}).data()) == ()


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../up", "a/../../up", "a\\b", "C:evil", "a//b", "new\nline", "\ud800"]
)
def test_paths_that_lead_elsewhere_are_refused(path: str) -> None:
    with pytest.raises(ArchiveError, match=r"stay where it is put|no text"):
        list_members(seven_zipped({path: b"x"}))


@pytest.mark.parametrize("attributes", [0x8000 | 0o120777 << 16, 0x8000 | 0o010644 << 16, 0x400])
def test_links_and_devices_are_refused(attributes: int) -> None:
    with pytest.raises(ArchiveError, match="link"):
        list_members(Writer({"a": b"/etc/passwd"}, attributes={"a": attributes}).data())


def test_a_name_that_stands_for_two_things_is_refused() -> None:
    double = Writer({"aa": b"1", "bb": b"2"}, change=lambda data: data.replace(b"b\0b\0", b"a\0a\0"))
    with pytest.raises(ArchiveError, match="twice"):
        list_members(double.data())
    with pytest.raises(ArchiveError, match="a file and a directory"):
        list_members(seven_zipped({"a": b"1", "a/b": b"2"}))
    with pytest.raises(ArchiveError, match="a directory that has bytes"):
        list_members(Writer({"a": b"1"}, attributes={"a": 0x10}).data())


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ((bytes.fromhex("06f10701"), b"\x13"), "encrypted"),
        ((bytes.fromhex("030401"), b""), "PPMd"),
        ((bytes.fromhex("04f71101"), b""), "Zstandard"),
        ((b"\x77\x77", b""), "method 7777"),
    ],
)
def test_what_is_encrypted_or_packed_otherwise_is_said_not_to_be_read_here(
    method: tuple[bytes, bytes], said: str
) -> None:
    with pytest.raises(ArchiveMethodError, match=said):
        list_members(Writer(FILES, COPY, named=method).data())


def test_bombs_are_refused_before_a_byte_is_unpacked() -> None:
    packed = seven_zipped({"zeros": bytes(8 << 20)})
    with pytest.raises(ArchiveError, match="unpacks from"):
        list_members(packed)
    members = list_members(packed, Limits(ratio=100_000))
    assert members is not None
    assert members[0].size == 8 << 20


def test_limits_on_members_bytes_names_and_memory_hold() -> None:
    with pytest.raises(ArchiveError, match="more than 2 members"):
        list_members(seven_zipped(FILES), Limits(members=2))
    with pytest.raises(ArchiveError, match="more than 20000"):
        list_members(seven_zipped(FILES), Limits(total=20_000))
    many = {f"{number:0200d}": b"" for number in range(200)}
    for pack_directory in (True, False):
        with pytest.raises(ArchiveError, match="a header of"):
            list_members(Writer(many, pack_directory=pack_directory).data(), Limits(names=10_000))
    # A dictionary as large as it may be, for as many bytes: only the archive itself says that it needs so much.
    greedy = Writer({"a": b"x" * 1000}, change=lambda data: data.replace(b"\x21\x21\x01\x10", b"\x21\x21\x01\x28"))
    assert list_members(greedy.data()) == expected({"a": b"x" * 1000})
    with pytest.raises(ArchiveError, match="bytes of memory"):
        list_members(seven_zipped({"a": bytes(WEIGHTS)}), Limits(memory=10_000))


@pytest.mark.parametrize("settings", [b"\xe1", b"\xd8", b"\x0c"])  # none; 8 bits of context; 3 and 1 of position
def test_settings_that_lzma_does_not_have_are_refused(settings: bytes) -> None:
    def change(directory: bytes) -> bytes:
        return directory.replace(b"\x05\x5d", b"\x05" + settings)

    with pytest.raises(ArchiveError, match=r"not read here|LZMA|damaged|CRC"):
        list_members(Writer(FILES, METHODS["lzma"], pack_directory=False, change=change).data())


def test_counts_beyond_all_bounds_are_refused_at_once() -> None:
    for kind in (b"\x05", b"\x04\x06\x00", b"\x04\x07\x0b"):
        with pytest.raises(ArchiveError, match="more than"):
            list_members(sealed(b"", b"\x01" + kind + number(1 << 60) + b"\0" * 20))


def test_a_directory_that_is_packed_for_ever_is_refused() -> None:
    inner = Writer({"a": b"1"}).data()
    directory = inner[32 + struct.unpack("<Q", inner[12:20])[0] :]
    body = inner[32 : len(inner) - len(directory)]
    # It says that what it unpacks to is where it is itself: copied, it is found again and again.
    loop = b"\x17\x06\x00\x01\x09" + number(30) + b"\0\x07\x0b\x01\0\x01" + b"\x01\0" + b"\x0c" + number(30) + b"\0\0"
    loop = loop.ljust(30, b"\0")
    with pytest.raises(ArchiveError, match=r"packed more than 4 times|damaged"):
        list_members(sealed(loop, loop))
    assert list_members(sealed(body, directory)) == expected({"a": b"1"})


@pytest.mark.parametrize("kept", [10, 32, 100, -1])
def test_an_archive_that_is_cut_short_is_refused(kept: int) -> None:
    with pytest.raises(ArchiveError):
        list_members(seven_zipped(FILES)[:kept])


def test_a_flipped_bit_is_a_bad_crc() -> None:
    packed = bytearray(Writer(FILES, COPY).data())
    packed[packed.index(WEIGHTS[100:120])] ^= 1
    with pytest.raises(ArchiveError, match="CRC-32"):
        list_members(bytes(packed))


@settings(deadline=None)  # a busy machine is no finding
@given(data=st.data())
def test_any_directory_is_refused_or_harmless(data: st.DataObject) -> None:
    """The CRC of a changed directory is right: whoever builds an archive to harm will see to that."""

    def change(directory: bytes) -> bytes:
        changed = bytearray(directory)
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(changed) - 1))
            match data.draw(st.sampled_from(["flip", "cut", "insert", "set"])):
                case "flip":
                    changed[at] ^= data.draw(st.integers(1, 255))
                case "set":
                    changed[at] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xC0, 0xFE, 0xFF]))
                case "cut":
                    del changed[max(at, 1) :]
                case _:
                    changed[at:at] = data.draw(st.binary(min_size=1, max_size=20))
        return bytes(changed)

    method = METHODS[data.draw(st.sampled_from(sorted(METHODS)))]
    files = {"a/": b"", "a/vocab.txt": VOCAB[:400], "a/w": WEIGHTS[:300], "a/e": b""}
    packed = Writer(files, method, solid=data.draw(st.booleans()), pack_directory=False, change=change).data()
    try:
        members = list_members(packed)
    except ArchiveError:
        return
    for member in members or ():
        assert not member.path.startswith("/")
        assert ".." not in member.path.split("/")


@pytest.mark.slow
def test_memory_does_not_grow_with_the_size_of_members() -> None:
    packed = seven_zipped({f"weights-{number}": random.Random(number).randbytes(8 << 20) for number in range(2)})
    tracemalloc.start()
    assert list_members(packed) is not None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20


def test_the_largest_dictionary_fits_where_the_hostile_files_are_read(tmp_path: Path) -> None:
    # 3 GiB of zeros, said to need a dictionary of 4 GiB, within 1 GiB of address space.
    (tmp_path / "a.7z").write_bytes(
        Writer(
            {"a": bytes(1 << 20)},
            change=lambda data: data.replace(b"\x21\x21\x01\x10", b"\x21\x21\x01\x28")
            .replace(b"\x0c" + number(1 << 20), b"\x0c" + number(3 << 30))
        ).data()
    )  # fmt: skip
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "from mirror.errors import ArchiveError\n"
        "from mirror.formats.archive import Limits, list_members\n"
        "try:\n    list_members(open('a.7z', 'rb'), Limits(ratio=10**9))\n"
        "except ArchiveError as error:\n    print(error)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "bytes of memory" in done.stdout
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 1 << 20
