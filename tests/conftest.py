"""Fixtures that several folders of tests share."""

from pathlib import Path

import pytest
from PIL import Image

COLOURS = {"blue": (20, 40, 200), "green": (30, 180, 40), "red": (210, 30, 30)}
PER_CLASS = 12


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """The tests' features are kept apart from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFTRANSFER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared_data():
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the shared data set folder is absent")
    return folder


@pytest.fixture
def picture_folder(tmp_path):
    root = tmp_path / "pictures"
    for name, colour in COLOURS.items():
        (root / name).mkdir(parents=True)
        for number in range(PER_CLASS):
            picture = Image.new("RGB", (16, 16), tuple(part + number for part in colour))
            picture.save(root / name / f"{name}{number:02}.png")
    return root


@pytest.fixture(scope="session")
def quiet():
    """A `say` that says nothing."""
    return lambda *words: None


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """scikit-learn's digits as folders of pictures: source/0 to source/4, target/5 to target/9."""
    from tftransfer.top.demo import write_digits

    folder = tmp_path_factory.mktemp("digits")
    write_digits(folder)
    return folder


@pytest.fixture(scope="session")
def source_run(digits, tmp_path_factory, quiet):
    """A small network that has learnt the digits 0 to 4."""
    import tftransfer

    experiment = tftransfer.Experiment(
        data=str(digits / "source"), backbone="small_cnn", weights="none",
        recipe="scratch:augment=shift", epochs=20,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("source")
    return tftransfer.train(experiment, folder, export=False, say=quiet)


@pytest.fixture(scope="session")
def tuned_run(source_run, digits, tmp_path_factory, quiet):
    """The digits 5 to 9 from that network, in two phases, exported."""
    import tftransfer

    experiment = tftransfer.Experiment(
        data=str(digits / "target"), backbone=str(source_run.workdir), batch_size=16,
        recipe="fine_tune:unfreeze=2,head_epochs=3,epochs=3,augment=shift",
        labels_per_class=12, test_fraction=0.5, validation_fraction=0.25,
    )  # fmt: skip
    return tftransfer.train(experiment, tmp_path_factory.mktemp("tuned"), say=quiet)
