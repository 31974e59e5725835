import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tftransfer.data.scan import scan
from tftransfer.preprocessing.audio.wav import wav_header, wav_samples
from tftransfer.preprocessing.image.checks import image_format
from tftransfer.preprocessing.image.decode import decode
from tftransfer.readers import tfds as module
from tftransfer.readers.sources import read_source
from tftransfer.readers.tfds import from_tfds
from tftransfer.utils.errors import UserError

SPLITS = {"train": 6, "validation": 2, "test": 3}


def _image(number):
    return np.full((4, 5, 3), 10 * number, np.uint8)


class TinyTransferPhotos(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")
    SPLITS = SPLITS
    SUPERVISED = ("image", "label")

    def _features(self):
        label = tfds.features.ClassLabel(names=["cat", "dog"])
        return {"image": tfds.features.Image(shape=(None, None, 3)), "label": label}

    def _info(self):
        features = tfds.features.FeaturesDict(self._features())
        keys = self.SUPERVISED
        return tfds.core.DatasetInfo(builder=self, features=features, supervised_keys=keys)

    def _split_generators(self, dl_manager):
        return {name: self._generate_examples(name) for name in self.SPLITS}

    def _example(self, number):
        return {"image": _image(number), "label": number % 2}

    def _generate_examples(self, split):
        for number in range(self.SPLITS[split]):
            yield number, self._example(number)


class TinyTransferTrainOnly(TinyTransferPhotos):
    SPLITS = {"train": 4}  # noqa: RUF012
    SUPERVISED = None


class TinyTransferJpegs(TinyTransferPhotos):
    SPLITS = {"train": 3}  # noqa: RUF012

    def _features(self):
        image = tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg")
        return {**super()._features(), "image": image}


class TinyTransferOddSplits(TinyTransferPhotos):
    SPLITS = {"gallery": 2}  # noqa: RUF012


class TinyTransferTwoPictures(TinyTransferPhotos):
    SPLITS = {"train": 2}  # noqa: RUF012
    SUPERVISED = None

    def _features(self):
        return {**super()._features(), "mask": tfds.features.Image(shape=(None, None, 1))}

    def _example(self, number):
        return {**super()._example(number), "mask": np.zeros((2, 2, 1), np.uint8)}


class TinyTransferAges(TinyTransferPhotos):
    SPLITS = {"train": 3}  # noqa: RUF012
    SUPERVISED = ("image", "age")

    def _features(self):
        return {"image": tfds.features.Image(shape=(None, None, 3)), "age": np.float32}

    def _example(self, number):
        return {"image": _image(number), "age": number + 0.5}


class TinyTransferWords(TinyTransferPhotos):
    SPLITS = {"train": 3}  # noqa: RUF012
    SUPERVISED = ("image", "word")

    def _features(self):
        return {"image": tfds.features.Image(shape=(None, None, 3)), "word": tfds.features.Text()}

    def _example(self, number):
        return {"image": _image(number), "word": ["b", "a", "b"][number]}


class TinyTransferSounds(TinyTransferPhotos):
    SPLITS = {"train": 4}  # noqa: RUF012
    SUPERVISED = None
    RATE: int | None = 8_000
    FULL = 2**15

    def _features(self):
        audio = tfds.features.Audio(file_format="wav", sample_rate=self.RATE)
        label = tfds.features.ClassLabel(names=["high", "low"])
        return {"audio": audio, "label": label, "file": tfds.features.Text()}

    def _example(self, number):
        samples = np.full(800, self.FULL // 2, np.int64) // (100 if number == 3 else 1)
        return {"audio": samples, "label": number % 2, "file": f"{number}.wav"}


class TinyTransferDeepSounds(TinyTransferSounds):
    FULL = 2**31


class TinyTransferTimeless(TinyTransferSounds):
    RATE = None


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    def refused(*args, **kwargs):
        raise ConnectionError("this test wanted the network")

    monkeypatch.setattr("socket.socket.connect", refused)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def _prepared(builder_class, tmp_path):
    builder = builder_class(data_dir=tmp_path / "tfds")
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(try_download_gcs=False)
    )
    return str(builder.data_dir)


def test_from_tfds_reads_a_prepared_folder(tmp_path):
    folder = _prepared(TinyTransferPhotos, tmp_path)
    found = read_source(f"tfds:{folder}")
    assert (found.problem_type, found.classes) == ("single_label", ("cat", "dog"))
    assert [len(found.where(name)) for name in ("train", "val", "test")] == [6, 2, 3]
    shades = [int(decode(tf.constant(data)).numpy()[0, 0, 0]) // 10 for data in found.items]
    assert [shade % 2 for shade in shades] == found.labels.tolist()
    assert sorted(shades) == sorted([*range(6), *range(2), *range(3)])
    assert {"train#0", "train#5", "validation#1", "test#2"} <= set(found.names)
    assert decode(tf.constant(found.items[0])).shape == (4, 5, 3)


def test_from_tfds_has_a_fixed_order_and_passes_the_scan(tmp_path):
    folder = _prepared(TinyTransferPhotos, tmp_path)
    first, second = from_tfds(folder), from_tfds(folder)
    assert first.items == second.items and first.labels.tolist() == second.labels.tolist()
    assert len(scan(first, max_quarantine=0.0)) == 11


def test_from_tfds_keeps_encoded_bytes(tmp_path):
    found = from_tfds(_prepared(TinyTransferJpegs, tmp_path))
    assert [image_format(data) for data in found.items] == ["JPEG"] * 3


def test_from_tfds_of_a_single_split_is_unsplit_and_finds_keys_by_type(tmp_path):
    found = from_tfds(_prepared(TinyTransferTrainOnly, tmp_path))
    assert found.splits.tolist() == [""] * 4 and found.classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("builder", "problem_type", "expected_type", "classes", "labels"),
    [
        (TinyTransferAges, "auto", "regression", ("y0",), [[0.5], [1.5], [2.5]]),
        (TinyTransferWords, "auto", "single_label", ("a", "b"), [0, 1, 1]),
        (TinyTransferTrainOnly, "regression", "regression", None, [[0.0], [0.0], [1.0], [1.0]]),
    ],
)
def test_from_tfds_reads_other_labels(
    tmp_path, builder, problem_type, expected_type, classes, labels
):
    found = from_tfds(_prepared(builder, tmp_path), problem_type=problem_type)
    assert found.problem_type == expected_type and classes in (None, found.classes)
    assert sorted(found.labels.tolist()) == labels


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        (TinyTransferOddSplits, "has the splits gallery, none named train or test"),
        (
            TinyTransferTwoPictures,
            "no pair of an image, clip or text and a label; its features: ",
        ),
    ],
)
def test_from_tfds_refuses_other_datasets(tmp_path, builder, message):
    with pytest.raises(UserError, match=message):
        from_tfds(_prepared(builder, tmp_path))


@pytest.mark.parametrize("builder", [TinyTransferSounds, TinyTransferDeepSounds])
def test_from_tfds_reads_clips_of_16_and_32_bits_with_their_rate(tmp_path, builder):
    found = from_tfds(_prepared(builder, tmp_path))
    assert (found.modality, found.classes) == ("audio", ("high", "low"))
    assert {(wav_header(data).rate, wav_header(data).frames) for data in found.items} == {
        (8_000, 800)
    }
    levels = sorted(float(wav_samples(data).mean()) for data in found.items)
    np.testing.assert_allclose(levels, [0.005, 0.5, 0.5, 0.5], atol=1e-4)


def test_from_tfds_refuses_clips_without_a_sample_rate(tmp_path):
    with pytest.raises(UserError, match="has no sample rate"):
        from_tfds(_prepared(TinyTransferTimeless, tmp_path))


@pytest.mark.parametrize("content", [None, "{", "{}"])
def test_from_tfds_refuses_other_folders(tmp_path, content):
    if content is not None:
        (tmp_path / "dataset_info.json").write_text(content)
    with pytest.raises(UserError, match="is not a prepared dataset") as caught:
        from_tfds(str(tmp_path))
    assert "dataset_info.json" in caught.value.remedy


def test_from_tfds_reads_a_dataset_by_name(tmp_path):
    _prepared(TinyTransferPhotos, tmp_path)
    with tfds.testing.mock_data(num_examples=5, data_dir=str(tmp_path / "tfds")):
        found = read_source("tfds:tiny_transfer_photos")
    assert [len(found.where(name)) for name in ("train", "val", "test")] == [5, 5, 5]
    assert found.classes == ("cat", "dog") and set(found.labels) <= {0, 1}
    assert len(scan(found, max_quarantine=0.0)) == 15


def test_from_tfds_prepares_an_unprepared_dataset(tmp_path, monkeypatch):
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path / "home" / "tfds"))
    found = from_tfds("tiny_transfer_photos")
    assert len(found) == 11
    assert (tmp_path / "home" / "tfds" / "tiny_transfer_photos" / "1.0.0").is_dir()


def test_from_tfds_reports_why_preparation_fails(tmp_path, monkeypatch):
    def fails(self, **kwargs):
        raise ConnectionError("no route\n to host")

    monkeypatch.setattr(TinyTransferPhotos, "download_and_prepare", fails)
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path / "home" / "tfds"))
    with pytest.raises(UserError) as caught:
        from_tfds("tiny_transfer_photos")
    what = "The TFDS dataset tiny_transfer_photos could not be prepared: no route to host"
    assert caught.value.what == what
    assert module._DATA_DIR in caught.value.remedy


@pytest.mark.parametrize(
    ("name", "message", "remedy"),
    [
        ("tf_flower", "no TFDS dataset named 'tf_flower'", "tf_flowers"),
        ("tiny_transfer_photo", "no TFDS dataset named", "tiny_transfer_photos"),
        ("ciffar10/plain", "no TFDS dataset named 'ciffar10/plain'", "cifar10"),
        ("not a name", "TFDS name 'not a name' cannot be used", "NAME/CONFIG"),
        ("cifar10/nonsense", "TFDS name 'cifar10/nonsense' cannot be used", "NAME/CONFIG"),
        ("cifar10:99.0.0", "TFDS name 'cifar10:99.0.0' cannot be used", "NAME:VERSION"),
    ],
)
def test_from_tfds_suggests_names(name, message, remedy):
    with pytest.raises(UserError, match=message) as caught:
        from_tfds(name)
    assert remedy in caught.value.remedy
    assert len(str(caught.value).splitlines()) == 2
