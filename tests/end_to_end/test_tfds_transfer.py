"""CIFAR-10 as the source of CIFAR-100, by weights and features, with the shipped configs."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tftransfer.cli import main
from tftransfer.workdir.run_folder import open_run_folder

CONFIGS = Path(__file__).parents[2] / "configs"
SMALL = ("--xla=off", "--batch_size=32", "--epochs=2", "--noexport")


class MadeUpCifar10(tfds.core.GeneratorBasedBuilder):
    """Noise with the size, splits and classes of the real dataset."""

    VERSION = tfds.core.Version("1.0.0")
    CLASSES = 10

    def _info(self):
        features = tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(32, 32, 3)),
                "label": tfds.features.ClassLabel(num_classes=self.CLASSES),
            }
        )
        keys = ("image", "label")
        return tfds.core.DatasetInfo(builder=self, features=features, supervised_keys=keys)

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(0), "test": self._generate_examples(1)}

    def _generate_examples(self, seed):
        images = np.random.default_rng(seed).integers(0, 256, (300, 32, 32, 3), np.uint8)
        for number, image in enumerate(images):
            yield number, {"image": image, "label": number % self.CLASSES}


class MadeUpCifar100(MadeUpCifar10):
    """The same with a hundred classes."""

    CLASSES = 100


def prepared(builder_class, folder):
    builder = builder_class(data_dir=folder)
    alone = tfds.download.DownloadConfig(try_download_gcs=False)
    builder.download_and_prepare(download_config=alone)
    return f"--data=tfds:{builder.data_dir}"


@pytest.mark.slow
def test_distillation_config_transfers_from_cifar10_to_cifar100(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def train(config, name, *flags):
        config = f"--config={CONFIGS / config}"
        assert main.main(["train", config, f"--workdir=runs/{name}", *SMALL, *flags]) == 0
        return open_run_folder(f"runs/{name}")

    source = train(
        "cifar10.py",
        "cifar10",
        prepared(MadeUpCifar10, tmp_path / "tfds"),
        "--recipe=scratch",
        "--backbone=small_cnn",
        "--weights=none",
        "--image_size=32",
    )
    run = train("distillation.py", "cifar100", prepared(MadeUpCifar100, tmp_path / "tfds"))
    assert (len(source.result["classes"]), len(run.result["classes"])) == (10, 100)
    assert run.experiment.backbone == run.experiment.recipe.teachers[0] == "runs/cifar10"
    tune = run.experiment.recipe.phases[-1]
    assert {type(loss).__name__ for loss in tune.losses} == {"CrossEntropy", "L2SP", "Hint"}
    rows = [row for row in run.metrics() if row["phase"] == tune.name]
    assert rows and all(0 < row["Hint_loss"] < 2 for row in rows)
