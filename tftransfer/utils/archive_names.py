"""Names of the members of archives, whose encoding most archives do not state."""

from __future__ import annotations

import re
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

_UTF8_FLAG = 0x800
_UNICODE_PATH_FIELD = 0x7075
# The more specific encoding is first: it is taken if another gives an equally likely text.
_ENCODINGS = ("euc_kr", "gbk", "cp932", "big5", "cp850", "cp437", "cp1252", "cp866", "cp1251")
_MIN_LIKELIHOOD = 0.6
_MAX_SHOWN = 5
# Scores of a character, from -1 for one that no name holds to 1 for one that names are made of.
_USUAL = 1.0
_LESS_USUAL = 0.4
_RARE = -0.5
_IMPOSSIBLE = -1.0
_MIXED_WORD = -1.5
_JAPANESE = {"HIRAGANA", "KATAKANA", "CJK"}
_MIN_KOREAN_BYTES = 8


@dataclass(frozen=True, kw_only=True)
class DecodedNames:
    """Names of members.

    Attributes:
      names: Name of each member, in composed Unicode form.
      remarks: How they were read, in words, if the archive does not state it.
    """

    names: list[str]
    remarks: tuple[str, ...] = ()


def zip_names(infos: Sequence[zipfile.ZipInfo]) -> DecodedNames:
    """Returns the names of the members of a zip file.

    Without the flag for UTF-8 the standard demands cp437, but programs of macOS write UTF-8 and
    those of Windows the encoding of its language.
    """
    stated = {k: info.filename for k, info in enumerate(infos) if info.flag_bits & _UTF8_FLAG}
    raw = [info.orig_filename.encode("cp437", "replace") for info in infos]
    for k, info in enumerate(infos):
        if k not in stated and (name := _unicode_path(info, raw[k])):
            stated[k] = name
    return _decoded([stated.get(k) or each for k, each in enumerate(raw)])


def tar_names(names: Sequence[str]) -> DecodedNames:
    """Returns the names of the members of a tar file, which `tarfile` reads as UTF-8."""
    raw: list[str | bytes] = []
    for name in names:
        is_utf8 = name.isascii() or name.encode(errors="replace").decode() == name
        raw.append(name if is_utf8 else name.encode("utf-8", "surrogateescape"))
    return _decoded(raw)


def _decoded(names: Sequence[str | bytes]) -> DecodedNames:
    parts = {part for each in names if isinstance(each, bytes) for part in each.split(b"/")}
    others = sorted(part for part in parts if not part.isascii() and not _utf8(part))
    encoding, likely = _likely_encoding(others) if others else ("utf-8", True)
    decoded, recovered, guessed = [], 0, list[str]()
    for each in names:
        text = each if isinstance(each, str) else _utf8(each)
        recovered += isinstance(each, bytes) and not each.isascii() and bool(text)
        if text is None and isinstance(each, bytes):
            text = each.decode(encoding, "replace")
            guessed.append(text)
        decoded.append(unicodedata.normalize("NFC", text or "").replace("\\", "/"))
    return DecodedNames(names=decoded, remarks=_remarks(guessed, encoding, likely, recovered))


def _remarks(
    guessed: Sequence[str], encoding: str, likely: bool, recovered: int
) -> tuple[str, ...]:
    remarks = []
    if recovered:
        remarks.append(f"{recovered:,} names in the archive are read as UTF-8, as they are valid")
    if guessed:
        parts = dict.fromkeys(p for name in guessed for p in name.split("/") if not p.isascii())
        doubt = "" if likely else ", which is in doubt"
        remarks.append(
            f"{len(guessed):,} names in the archive are not UTF-8 and read as {encoding}{doubt}: "
            f"{', '.join([*parts][:_MAX_SHOWN])}; if they are wrong, unpack it yourself and give "
            "the folder"
        )
    return tuple(remarks)


def _utf8(name: bytes) -> str | None:
    try:
        return name.decode()
    except UnicodeDecodeError:
        return None


def _unicode_path(info: zipfile.ZipInfo, raw: bytes) -> str:
    """Returns the UTF-8 name that some programs add; "" if there is none for this name."""
    extra = info.extra
    while len(extra) >= 4:
        field, size = struct.unpack("<HH", extra[:4])
        content, extra = extra[4 : 4 + size], extra[4 + size :]
        is_name = field == _UNICODE_PATH_FIELD and len(content) > 5
        if is_name and struct.unpack("<I", content[1:5])[0] == zlib.crc32(raw):
            return content[5:].decode("utf-8", "replace")
    return ""


def _likely_encoding(parts: Sequence[bytes]) -> tuple[str, bool]:
    """Returns the encoding in which the parts of names are the most likely text.

    Returns:
      The encoding; and whether the text is a likely one at all.
    """
    scores = {encoding: _likelihood(parts, encoding) for encoding in _ENCODINGS}
    best = max(_ENCODINGS, key=scores.__getitem__)
    return (best, True) if scores[best] >= _MIN_LIKELIHOOD else ("cp437", False)


def _likelihood(parts: Sequence[bytes], encoding: str) -> float:
    """Returns the mean score of the bytes that are not ASCII; -inf if they cannot be decoded."""
    total, count = -_doubt(parts, encoding), 0
    for part in parts:
        try:
            text = part.decode(encoding)
        except UnicodeDecodeError:
            return float("-inf")
        before = ""
        for character in text:
            if not character.isascii():
                size = len(character.encode(encoding))
                total += size * _score(character, before, encoding)
                count += size
            before = character
        total += _mixture(text)
    return total / max(count, 1)


def _doubt(parts: Sequence[bytes], encoding: str) -> float:
    """Returns a small penalty of Korean for few bytes, which are as likely Chinese."""
    return 0.1 if encoding == "euc_kr" and sum(map(len, parts)) < _MIN_KOREAN_BYTES else 0.0


def _score(character: str, before: str, encoding: str) -> float:
    if not character.isalpha():
        return _USUAL if unicodedata.category(character)[0] == "M" else _IMPOSSIBLE
    code = character.encode(encoding)
    if len(code) == 2:
        return _score_of_pair(code, encoding)
    name = unicodedata.name(character, "")
    after_lower = character.isupper() and before.islower()
    accents = name.startswith("LATIN") and before.isalpha() and not before.isascii()
    return _RARE if after_lower or accents or name.startswith("HALFWIDTH") else _USUAL


def _score_of_pair(code: bytes, encoding: str) -> float:
    """Returns the score of two bytes: usual characters are in certain parts of the codes."""
    lead, trail = code
    if encoding == "gbk":
        return _USUAL if 0xB0 <= lead <= 0xF7 and trail >= 0xA1 else _RARE
    if encoding == "euc_kr":
        return _USUAL if 0xB0 <= lead <= 0xC8 else _RARE
    if encoding == "cp932":
        return _USUAL if 0x81 <= lead <= 0x83 or 0x88 <= lead <= 0x98 else _LESS_USUAL
    return _USUAL if 0xA4 <= lead <= 0xC6 else _LESS_USUAL


def _mixture(text: str) -> float:
    """Returns a penalty for words of several scripts, which a wrong encoding makes."""
    penalty = 0.0
    for word in text.split():
        scripts = {re.split(r"[ -]", unicodedata.name(c, "?"))[0] for c in word if c.isalpha()}
        if len(scripts) > 1 and not scripts <= _JAPANESE:
            penalty += _MIXED_WORD
    return penalty
