"""Archives: hostile ones are refused and leave no file, others are unpacked once."""

import io
import os
import stat
import struct
import tarfile
import zipfile
import zlib

import pytest

from tftransfer.data import archives
from tftransfer.readers.sources import read_source
from tftransfer.utils.errors import UserError


def files_in(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.stat().st_size)


def zipped(path, *members, **changes):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = changes.get("mode", 0) << 16
            file.writestr(info, content)
    return path


def tarred(path, *members, mode="w"):
    with tarfile.open(path, mode) as file:
        for info, content in members:
            info = tarfile.TarInfo(info) if isinstance(info, str) else info
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


def entry(name, kind, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def zip_of_wrong_size(path):
    """A zip file whose directory states a smaller size than that of its member."""
    zipped(path, ("a.txt", b"\0" * (5 << 20)))
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 10)
    path.write_bytes(data)
    return path


def encrypted(path):
    zipped(path, ("a.txt", b"secret"))
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    return path


HOSTILE = {
    "zip, up": lambda p: zipped(p, ("../a.txt", b"x")),
    "zip, up inside": lambda p: zipped(p, ("a/../../b.txt", b"x")),
    "zip, absolute": lambda p: zipped(p, ("/etc/a.txt", b"x")),
    "zip, backslash": lambda p: zipped(p, ("..\\a.txt", b"x")),
    "zip, link": lambda p: zipped(p, ("a", b"/etc/passwd"), mode=stat.S_IFLNK | 0o777),
    "zip, device": lambda p: zipped(p, ("a", b""), mode=stat.S_IFCHR | 0o666),
    "zip, bomb": lambda p: zipped(p, ("a.txt", b"\0" * (200 << 20))),
    "zip, many bombs": lambda p: zipped(p, *((f"{k}", b"\0" * (2 << 20)) for k in range(100))),
    "zip, twice": lambda p: zipped(p, ("a.txt", b"x"), ("a.txt", b"y")),
    "zip, wrong size": zip_of_wrong_size,
    "zip, encrypted": encrypted,
    "zip, truncated": lambda p: (
        p.write_bytes(zipped(p, ("a", b"x" * 999)).read_bytes()[:-30]) and p
    ),
    "tar, up": lambda p: tarred(p, ("../a.txt", b"x")),
    "tar, absolute": lambda p: tarred(p, ("/a.txt", b"x")),
    "tar, link out": lambda p: tarred(p, (entry("a", tarfile.SYMTYPE, "/etc/passwd"), b"")),
    "tar, link in": lambda p: tarred(p, (entry("a", tarfile.SYMTYPE, "b"), b"")),
    "tar, hard link": lambda p: tarred(p, (entry("a", tarfile.LNKTYPE, "/etc/passwd"), b"")),
    "tar, device": lambda p: tarred(p, (entry("a", tarfile.CHRTYPE), b"")),
    "tar, pipe": lambda p: tarred(p, (entry("a", tarfile.FIFOTYPE), b"")),
    "tar.gz, bomb": lambda p: tarred(p, ("a.txt", b"\0" * (200 << 20)), mode="w:gz"),
    "no archive": lambda p: p.write_bytes(b"<html>") and p,
}


@pytest.mark.parametrize("case", HOSTILE)
def test_unpack_cached_refuses_a_hostile_archive_and_leaves_no_file(tmp_path, case):
    archive = HOSTILE[case](tmp_path / "x.zip")
    with pytest.raises(UserError, match=r"x\.zip") as error:
        archives.unpack_cached(archive, tmp_path / "cache")
    assert "\n" in str(error.value)
    assert files_in(tmp_path) == ["x.zip"]


@pytest.mark.parametrize("make", [zipped, tarred])
def test_unpack_cached_unpacks_an_archive_once(tmp_path, make):
    archive = make(tmp_path / "x.zip", ("data/a/1.txt", b"one"), ("data/b/2.txt", b"two"))
    folder = archives.unpack_cached(archive, tmp_path / "cache")
    assert (folder / "data" / "a" / "1.txt").read_bytes() == b"one"
    (folder / "data" / "a" / "1.txt").write_bytes(b"mine")
    assert archives.unpack_cached(archive, tmp_path / "cache") == folder
    assert (folder / "data" / "a" / "1.txt").read_bytes() == b"mine"


def test_unpack_refuses_too_many_members(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 3)
    for make in (zipped, tarred):
        archive = make(tmp_path / "x.zip", *((f"{k}.txt", b"x") for k in range(4)))
        with pytest.raises(UserError, match="member"):
            archives.unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_unpack_cached_repeats_a_killed_unpacking(tmp_path):
    archive = zipped(tmp_path / "x.zip", ("a.txt", b"whole"))
    folder = archives.unpack_cached(archive, tmp_path / "cache")
    os.rename(folder, folder.with_name(f".{folder.name}.part"))
    (folder.with_name(f".{folder.name}.part") / "a.txt").write_bytes(b"wh")
    assert (archives.unpack_cached(archive, tmp_path / "cache") / "a.txt").read_bytes() == b"whole"


def test_unpack_does_not_read_a_name_of_millions_of_letters(tmp_path):
    info = tarfile.TarInfo("a" * (30 << 20))
    archive = tarred(tmp_path / "x.zip", (info, b"x"), mode="w:gz")
    assert archive.stat().st_size < 1 << 20
    with pytest.raises(UserError, match=r"x\.zip cannot be unpacked"):
        archives.unpack(archive, tmp_path / "out")


class RawInfo(zipfile.ZipInfo):
    """A member whose name is written as bytes, without the flag for UTF-8."""

    raw = b""

    def _encodeFilenameFlags(self):
        return self.raw, self.flag_bits & ~0x800


def zip_of_raw_names(path, names):
    with zipfile.ZipFile(path, "w") as file:
        for number, raw in enumerate(names):
            info = RawInfo(str(number))
            info.raw = raw
            file.writestr(info, raw)
    return path


def tar_of_raw_names(path, names):
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as file:
        for raw in names:
            info = tarfile.TarInfo(raw.decode("latin-1"))
            info.size = len(raw)
            file.addfile(info, io.BytesIO(raw))
    return path


NAMES = {
    "cp850": ["rosé", "château", "Ávila"],
    "cp1252": ["rosé", "Müller", "pinot"],
    "gbk": ["玫瑰", "郁金香", "雏菊"],
    "big5": ["蘋果", "香蕉", "柳丁"],
    "cp932": ["バラ", "チューリップ", "表"],
    "euc_kr": ["고양이", "강아지", "튀립"],
    "cp866": ["роза", "тюльпан", "луг"],
    "cp1251": ["кошка", "собака", "луг"],
}


@pytest.mark.parametrize("make", [zip_of_raw_names, tar_of_raw_names])
@pytest.mark.parametrize("encoding", NAMES)
def test_names_in_the_encoding_of_a_country_are_recognized_and_reported(tmp_path, make, encoding):
    names = NAMES[encoding]
    raw = [f"{name}/{k}.txt".encode(encoding) for name in names for k in range(2)]
    archive = make(tmp_path / "x.zip", raw)
    found = read_source(str(archive), cache=tmp_path / "cache")
    assert set(found.classes) == set(names)
    assert f"are not UTF-8 and read as {encoding}: " in found.warnings[0]
    assert names[0] in found.warnings[0]
    again = read_source(str(archive), cache=tmp_path / "cache")  # from the unpacked folder
    assert again.warnings == found.warnings


def test_names_of_a_mac_are_utf8_in_composed_form(tmp_path):
    raw = [f"{name}/1.txt".encode() for name in ("rosé", "grün")]
    archive = zip_of_raw_names(tmp_path / "x.zip", raw)
    found = read_source(str(archive), cache=tmp_path / "cache")
    assert found.classes == ("grün", "rosé")
    assert found.warnings == ("2 names in the archive are read as UTF-8, as they are valid",)


def test_the_name_in_the_extra_field_counts(tmp_path):
    raw = b"?/1.txt"
    name = "rosé/1.txt".encode()
    field = struct.pack("<BI", 1, zlib.crc32(raw)) + name
    info = RawInfo("x")
    info.raw, info.extra = raw, struct.pack("<HH", 0x7075, len(field)) + field
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr(info, b"text")
    archives.unpack(tmp_path / "x.zip", tmp_path / "out")
    assert (tmp_path / "out" / "rosé" / "1.txt").is_file()


def test_backslashes_in_names_are_folders(tmp_path):
    archive = zipped(tmp_path / "x.zip", ("photos\\a\\1.txt", b"1"), ("photos\\b\\2.txt", b"2"))
    found = read_source(str(archive), cache=tmp_path / "cache")
    assert found.classes == ("a", "b") and found.warnings == ()


def test_a_colon_in_a_name_is_no_drive(tmp_path):
    archives.unpack(zipped(tmp_path / "x.zip", ("at 12:30.txt", b"1")), tmp_path / "out")
    assert files_in(tmp_path / "out") == ["at 12:30.txt"]
    with pytest.raises(UserError, match="leads out of the archive"):
        archives.unpack(zipped(tmp_path / "y.zip", ("C:\\a.txt", b"1")), tmp_path / "out")


def test_errors_name_the_archive_and_their_remedies_work(tmp_path):
    cache, archive = tmp_path / "cache", tmp_path / "x.zip"
    names = [f"{year}/{name}/{k}.txt" for year in (2023, 2024) for name in "ab" for k in range(2)]
    zipped(archive, *((name, name.encode()) for name in names))
    with pytest.raises(UserError, match="has the folders 2023, 2024") as error:
        read_source(str(archive), cache=cache)
    assert str(cache) not in str(error.value)
    assert f"--data={archive}/2023;" in error.value.remedy
    assert len(read_source(f"{archive}/2023", cache=cache)) == 4
    assert read_source(str(archive), cache=cache, columns="label=folder2").classes == ("a", "b")


def test_a_name_that_is_too_long_for_the_disk_is_an_error_with_the_archive(tmp_path):
    archive = zipped(tmp_path / "x.zip", ("a" * 300, b"x"))
    with pytest.raises(UserError, match="File name too long") as error:
        archives.unpack_cached(archive, tmp_path / "cache")
    assert "Shorten the names" in error.value.remedy and "cache" not in str(error.value)
