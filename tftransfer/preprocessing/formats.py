"""Formats that are recognized by their first bytes but not read, with how to convert them."""

from __future__ import annotations

from dataclasses import dataclass

# As many first bytes as recognize every format.
HEAD_BYTES = 264
_TO_PNG = "convert it to PNG or JPEG, as by `magick IN OUT.png`"
_TO_WAV = "convert it to WAV, as by `ffmpeg -i IN OUT.wav`"


@dataclass(frozen=True)
class UnreadFormat:
    """A format that is not read.

    Attributes:
      name: Its name, with an article.
      modality: `image`, `audio`, or "" for neither.
      remedy: What to do.
    """

    name: str
    modality: str
    remedy: str


def _image(name: str, remedy: str = _TO_PNG) -> UnreadFormat:
    return UnreadFormat(name, "image", remedy)


def _audio(name: str) -> UnreadFormat:
    return UnreadFormat(name, "audio", _TO_WAV)


def _other(name: str, remedy: str) -> UnreadFormat:
    return UnreadFormat(name, "", remedy)


_PHOTO = _image("a raw photo", "convert it to JPEG, as by `magick IN OUT.jpg`")
_DICOM = _image("a DICOM file", "convert it to PNG, as by `dcm2img` of dcmtk")
_VIDEO = _other("a video", "extract images, as by `ffmpeg -i IN -r 1 OUT%04d.png`")
_UNPACK = "unpack it"
# First bytes, their offset, the format. The first match counts.
_SIGNATURES: tuple[tuple[bytes, int, UnreadFormat], ...] = (
    (b"CR", 8, _PHOTO),  # only after the signature of TIFF; see `unread_format`
    (b"II*\0", 0, _image("a TIFF file")),
    (b"MM\0*", 0, _image("a TIFF file")),
    (b"II+\0", 0, _image("a BigTIFF file")),
    (b"MM\0+", 0, _image("a BigTIFF file")),
    (b"IIRO", 0, _PHOTO),
    (b"IIU\0", 0, _PHOTO),
    (b"FUJIFILM", 0, _PHOTO),
    (b"8BPS", 0, _image("a Photoshop (PSD) file")),
    (b"\xff\x0a", 0, _image("JPEG XL", "convert it to PNG, as by `djxl IN OUT.png`")),
    (b"\0\0\0\x0cJXL ", 0, _image("JPEG XL", "convert it to PNG, as by `djxl IN OUT.png`")),
    (b"\0\0\0\x0cjP  ", 0, _image("JPEG 2000")),
    (b"\xff\x4f\xff\x51", 0, _image("JPEG 2000")),
    (b"DICM", 128, _DICOM),
    (b"\0\0\1\0", 0, _image("an ICO file")),
    (b"P1", 0, _image("a PBM, PGM or PPM file")),
    (b"P2", 0, _image("a PBM, PGM or PPM file")),
    (b"P3", 0, _image("a PBM, PGM or PPM file")),
    (b"P4", 0, _image("a PBM, PGM or PPM file")),
    (b"P5", 0, _image("a PBM, PGM or PPM file")),
    (b"P6", 0, _image("a PBM, PGM or PPM file")),
    (b"v/1\x01", 0, _image("an OpenEXR file")),
    (b"#?RADIANCE", 0, _image("a Radiance HDR file")),
    (b"qoif", 0, _image("a QOI file")),
    (b"DDS ", 0, _image("a DDS file")),
    (b"SIMPLE  =", 0, _image("a FITS file")),
    (b"gimp xcf", 0, _image("a GIMP (XCF) file")),
    (b"AT&TFORM", 0, _image("a DjVu file")),
    (b"ID3", 0, _audio("MP3")),
    (b"AIFF", 8, _audio("AIFF")),
    (b"AIFC", 8, _audio("AIFF-C")),
    (b"RIFX", 0, _audio("a big-endian WAV file")),
    (b"caff", 0, _audio("a CAF file")),
    (b"#!AMR", 0, _audio("AMR")),
    (b".snd", 0, _audio("an AU file")),
    (b"NIST_1A", 0, _audio("a SPHERE file")),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", 0, _audio("Windows Media (WMA or WMV)")),
    (b"MAC ", 0, _audio("Monkey's Audio (APE)")),
    (b"wvpk", 0, _audio("WavPack")),
    (b"TTA1", 0, _audio("True Audio (TTA)")),
    (b"DSD ", 0, _audio("DSF")),
    (b"riff\x2e\x91\xcf\x11", 0, _audio("Wave64")),
    (b"MThd", 0, _other("MIDI, notes without sound", "render it to WAV, as by fluidsynth")),
    (b"AVI ", 8, _VIDEO),
    (b"\0\0\1\xba", 0, _VIDEO),
    (b"\0\0\1\xb3", 0, _VIDEO),
    (b"FLV\x01", 0, _VIDEO),
    (b"%PDF", 0, _other("a PDF file", "extract its pages, as by `pdftoppm -png IN OUT`")),
    (b"%!PS", 0, _other("a PostScript file", _TO_PNG)),
    (b"PK\x03\x04", 0, _other("a zip archive", _UNPACK)),
    (b"\x1f\x8b", 0, _other("gzip data", _UNPACK)),
    (b"7z\xbc\xaf\x27\x1c", 0, _other("a 7z archive", _UNPACK)),
    (b"Rar!\x1a\x07", 0, _other("a RAR archive", _UNPACK)),
    (b"\x93NUMPY", 0, _other("a NumPy array", "load it in Python, and give the array")),
    (b"\x89HDF", 0, _other("an HDF5 file", "load it in Python, and give the arrays")),
    (b"SQLite format 3", 0, _other("an SQLite database", "remove it")),
    (
        b"version https://git-lfs",
        0,
        _other("a Git LFS pointer, not the file itself", "run `git lfs pull`"),
    ),
)
_HEIF_BRANDS = {
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"heim": "HEIC",
    b"heis": "HEIC",
    b"hevc": "HEIC",
    b"mif1": "HEIC",
    b"msf1": "HEIC",
    b"avif": "AVIF",
    b"avis": "AVIF",
}
_AUDIO_BRANDS = (b"M4A ", b"M4B ", b"M4P ", b"F4A ")


def unread_format(data: bytes) -> UnreadFormat | None:
    """Returns the format of bytes that are recognized but not read, or None.

    Args:
      data: Encoded bytes, of which the first 264 suffice.
    """
    if data[4:8] == b"ftyp":
        return _of_mp4(data)
    if data[:4] == b"\x1aE\xdf\xa3":  # Matroska: also WebM, with or without video
        return UnreadFormat("WebM or Matroska", "audio", _TO_WAV)
    for signature, offset, found in _SIGNATURES:
        is_tiff = data[:4] in (b"II*\0", b"MM\0*")
        if data[offset : offset + len(signature)] != signature:
            continue
        if signature == b"CR" and not is_tiff:
            continue
        if signature[:1] == b"P" and len(signature) == 2 and not data[2:3].isspace():
            continue
        return found
    return _of_frames(data) or _of_markup(data)


def _of_mp4(data: bytes) -> UnreadFormat:
    brand = data[8:12]
    if brand in _HEIF_BRANDS:
        return _image(_HEIF_BRANDS[brand])
    if brand == b"crx ":
        return _PHOTO
    if brand in _AUDIO_BRANDS:
        return _audio("M4A")
    return _audio("MP4, a video or a sound")


def _of_frames(data: bytes) -> UnreadFormat | None:
    """Returns MP3 or AAC by the header of a frame: 11 set bits, version, layer, rates."""
    if len(data) < 3 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return None
    version, layer = data[1] >> 3 & 3, data[1] >> 1 & 3
    if layer == 0 and data[1] & 0xF6 == 0xF0:
        return _audio("AAC")
    # Layer 1 is not in use, and 0xFFFE is the byte order mark of UTF-16.
    if layer in (1, 2) and version != 1 and data[2] >> 4 != 15 and data[2] >> 2 & 3 != 3:
        return _audio("MP3")
    return None


def _of_markup(data: bytes) -> UnreadFormat | None:
    start = data.removeprefix(b"\xef\xbb\xbf").lstrip()[:HEAD_BYTES].lower()
    if not start.startswith(b"<"):
        return None
    if b"<svg" in start:
        return _image("SVG, a drawing", _TO_PNG)
    return _other("HTML, XML or SVG text", "download the file itself")
