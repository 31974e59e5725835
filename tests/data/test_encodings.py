"""Tables and text files in the encodings of many countries."""

import numpy as np
import pytest

import tftransfer
from tftransfer.data.encodings import find_encoding, recoded
from tftransfer.data.examples import read_item
from tftransfer.data.tables import read_table
from tftransfer.readers.load import read_examples
from tftransfer.utils.errors import UserError

WORDS = {
    "cp1251": "хорошо отлично прекрасно люблю радость плохо ужасно скучно грустно злой",
    "koi8_r": "хорошо отлично прекрасно люблю радость плохо ужасно скучно грустно злой",
    "cp866": "хорошо отлично прекрасно люблю радость плохо ужасно скучно грустно злой",
    "gbk": "好 很好 喜欢 漂亮 开心 坏 很差 讨厌 难看 伤心",
    "big5": "好 很好 喜歡 漂亮 開心 壞 很差 討厭 難看 傷心",
    "shift_jis": "良い 素晴らしい 好き きれい 嬉しい 悪い ひどい 嫌い 汚い 悲しい",
    "euc_jp": "良い 素晴らしい 好き きれい 嬉しい 悪い ひどい 嫌い 汚い 悲しい",
    "euc_kr": "좋아요 훌륭해요 사랑 기쁨 나빠요 끔찍해요 지루해요 슬퍼요",
    "cp1250": "dobrze świetnie wspaniale kocham radość źle okropnie smutno żal łatwo",
    "cp1252": "gut großartig schön über Käse fröhlich traurig müde böse naïve café",
    "cp1253": "καλό υπέροχο αγάπη χαρά κακό απαίσιο βαρετό λυπηρό",
    "cp1254": "iyi harika güzel sevgi neşe kötü berbat sıkıcı üzgün şey ağaç",
    "cp1255": "טוב נהדר אהבה שמחה רע נורא משעמם עצוב",
    "cp1256": "جيد رائع حب فرح سيء فظيع ممل حزين",
    "utf-16-le": "good great love sweet happy bad awful hate ugly sad",
}


def _texts(encoding, count=24):
    rng = np.random.default_rng(0)
    words = WORDS[encoding].split()
    return [f"{' '.join(rng.choice(words, 6))} {number}" for number in range(count)]


def _table(folder, encoding, texts):
    rows = [f"{text},{'ab'[number % 2]}" for number, text in enumerate(texts)]
    path = folder / f"{encoding}.csv"
    path.write_bytes("\r\n".join(["text,label", *rows]).encode(encoding))
    return path


@pytest.mark.parametrize("encoding", WORDS)
def test_tables_in_every_encoding_are_read_as_they_were_written(tmp_path, encoding):
    texts = _texts(encoding)
    found = read_table(_table(tmp_path, encoding, texts))
    assert [row["text"] for row in found.rows.values()] == texts
    (warning,) = found.warnings
    assert " is read as " in warning
    if encoding != "utf-16-le":
        assert texts[0][:20] in warning and "--encoding=" in warning


@pytest.mark.parametrize("encoding", WORDS)
def test_folders_of_text_files_in_every_encoding_are_read(tmp_path, encoding):
    texts = _texts(encoding)
    for number, text in enumerate(texts):
        path = tmp_path / "ab"[number % 2] / f"{number:02}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode(encoding))
    found = read_examples(tftransfer.Experiment(data=str(tmp_path), test_fraction=0))
    read = {
        item.decode() if isinstance(item, bytes) else read_item(item).decode("cp1252")
        for item in found.items
    }
    assert found.modality == "text" and read == set(texts)


def test_class_names_of_a_table_are_read_in_its_encoding(tmp_path):
    path = tmp_path / "t.csv"
    rows = [f"текст {n},{('хорошо', 'плохо')[n % 2]}" for n in range(8)]
    path.write_bytes("\n".join(["text,label", *rows]).encode("cp1251"))
    assert read_examples(tftransfer.Experiment(data=str(path))).classes == ("плохо", "хорошо")


def test_encoding_in_doubt_stops_and_the_remedy_works(tmp_path):
    rng = np.random.default_rng(1)
    junk = [bytes(rng.integers(128, 256, 30, np.uint8)) for _ in range(20)]
    path = tmp_path / "t.csv"
    path.write_bytes(b"text,label\n" + b"".join(line.replace(b",", b"") + b",a\n" for line in junk))
    with pytest.raises(UserError, match="its encoding is unclear") as caught:
        read_table(path)
    name = caught.value.remedy.partition("--encoding=")[2].partition(",")[0]
    assert len(read_table(path, name).rows) == 20


def test_encoding_that_is_given_is_used_and_checked(tmp_path):
    texts = _texts("cp1251")
    path = _table(tmp_path, "cp1251", texts)
    found = read_examples(tftransfer.Experiment(data=str(path), encoding="koi8-r"))
    assert found.items[0].decode() == texts[0].encode("cp1251").decode("koi8-r")
    with pytest.raises(UserError, match="no encoding named 'cp1521'") as caught:
        read_table(path, "cp1521")
    assert "cp1251" in caught.value.remedy


def test_a_table_in_utf8_is_read_so_whatever_was_given_for_others(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("text,label\nгрусть,a\nрадость,b\n", encoding="utf-8")
    found = read_table(path, "cp1251")
    assert [row["text"] for row in found.rows.values()] == ["грусть", "радость"]
    assert found.warnings == ("t.csv is UTF-8 and not read as cp1251",)


def test_few_bytes_and_single_odd_files_are_windows_1252():
    assert find_encoding(["grün".encode("cp1252")], "t.csv").name == "windows-1252"
    items = [b"plain text"] * 9 + [bytes(range(128, 255)) * 2]
    assert recoded(items) == (items, ())


WESTERN = {
    "french": "le garçon préféré déjà né été là-bas où êtes-vous",
    "german": "schöne grüne Bäume über große Straßen müde Füße",
    "spanish": "el niño comió mañana el corazón qué día",
    "swedish": "jag är på väg till Malmö två små flickor",
    "danish": "rødgrød med fløde på en ø gået",
    "italian": "perché così la città più bella è già là",
}


@pytest.mark.parametrize("lines", [1, 3, 40])
@pytest.mark.parametrize("encoding", ["cp1252", "mac_roman", "cp850"])
@pytest.mark.parametrize("language", WESTERN)
def test_western_tables_of_excel_for_windows_mac_and_dos_are_read(
    tmp_path, language, encoding, lines
):
    """Excel saves CSV, CSV (Macintosh) with carriage returns, and CSV (MS-DOS)."""
    texts = [f"{WESTERN[language]} {number}" for number in range(lines)]
    path = tmp_path / "t.csv"
    ending = "\r" if encoding == "mac_roman" else "\r\n"
    path.write_bytes(ending.join(["text,label", *(f"{text},a" for text in texts)]).encode(encoding))
    assert [row["text"] for row in read_table(path).rows.values()] == texts


def test_utf8_with_an_odd_line_and_carriage_returns_is_read(tmp_path):
    path = tmp_path / "t.csv"
    rows = [f"für {n},schön".encode() for n in range(8)] + ["müde,schön".encode("cp1252")]
    path.write_bytes(b"\r".join([b"text,label", *rows]))
    found = read_table(path)
    assert found.rows[10] == {"text": "müde", "label": "schön"} and len(found.rows) == 9
    assert {row["label"] for row in found.rows.values()} == {"schön"}
