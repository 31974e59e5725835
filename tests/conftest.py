"""Fixtures that several folders of tests share."""

import contextlib
import logging
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

COLORS = {"blue": (20, 40, 200), "green": (30, 180, 40), "red": (210, 30, 30)}
PER_CLASS = 12


def pytest_configure(config):
    """Uses one thread per process in parallel runs, where more threads slow each other down."""
    if hasattr(config, "workerinput") and config.option.markexpr != "slow":
        for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
            os.environ.setdefault(name, "1")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """A cache of the tests, separate from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFTRANSFER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def own_registrations(monkeypatch):
    """What a test registers is registered in that test only."""
    from tftransfer import api  # noqa: F401, it imports all that registers something
    from tftransfer.backbones.registry import BACKBONES
    from tftransfer.core.serialization import _TYPES
    from tftransfer.losses.registry import _LOSSES
    from tftransfer.recipes.registry import METHODS, RECIPES

    for registry in (BACKBONES, RECIPES, METHODS, _LOSSES, _TYPES):
        monkeypatch.setattr(registry, "_entries", dict(registry))


@pytest.fixture(scope="session")
def shared_data():
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the shared data set folder is absent")
    return folder


@pytest.fixture
def image_folder(tmp_path):
    root = tmp_path / "images"
    for name, color in COLORS.items():
        (root / name).mkdir(parents=True)
        for number in range(PER_CLASS):
            image = Image.new("RGB", (16, 16), tuple(value + number for value in color))
            image.save(root / name / f"{name}{number:02}.png")
    return root


class _Listener(logging.Handler):
    """Hands the message of each record to a function, whose exceptions reach the caller."""

    def __init__(self, function):
        super().__init__()
        self.emit = lambda record: function(record.getMessage())


@pytest.fixture
def on_log():
    """`on_log(function)` calls the function with each message of tftransfer.

    It does so until the test ends, or, as a context manager, until the block ends.
    """
    logger, stack = logging.getLogger("tftransfer"), contextlib.ExitStack()

    def listen(function):
        handler = _Listener(function)
        logger.addHandler(handler)
        stack.callback(logger.removeHandler, handler)
        return contextlib.closing(SimpleNamespace(close=lambda: logger.removeHandler(handler)))

    with stack:
        yield listen


@pytest.fixture
def log_lines(on_log):
    """The messages that tftransfer logs during the test, in order."""
    lines = []
    on_log(lines.append)
    return lines


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """scikit-learn's digits as folders of images: source/0 to source/4, target/5 to target/9."""
    from tftransfer.cli.demo import write_digits

    folder = tmp_path_factory.mktemp("digits")
    write_digits(folder)
    return folder


@pytest.fixture(scope="session")
def source_run(digits, tmp_path_factory):
    """A small network trained on the digits 0 to 4."""
    import tftransfer

    experiment = tftransfer.Experiment(
        data=str(digits / "source"),
        backbone="small_cnn",
        weights="none",
        recipe="scratch:augment=shift",
        epochs=20,
    )
    folder = tmp_path_factory.mktemp("source")
    return tftransfer.train(experiment, folder, export=False)


@pytest.fixture(scope="session")
def tuned_run(source_run, digits, tmp_path_factory):
    """A run that transfers that network to the digits 5 to 9 in two phases, exported."""
    import tftransfer

    experiment = tftransfer.Experiment(
        data=str(digits / "target"),
        backbone=str(source_run.workdir),
        batch_size=16,
        recipe="fine_tune:unfreeze=2,head_epochs=3,epochs=3,augment=shift",
        labels_per_class=12,
        test_fraction=0.5,
        validation_fraction=0.25,
    )
    return tftransfer.train(experiment, tmp_path_factory.mktemp("tuned"))


_MARKS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_WORDS = ["a", "good", "bad", "film", "is", "it", "not", "very", "cafe", "fun", "dull", "##ny"]
VOCABULARY = [*_MARKS, *_WORDS, ".", "!", "the"]


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory):
    """A random BERT of two blocks as Hugging Face stores it: folder, and its tensors by name."""
    pytest.importorskip("keras_hub")
    pytest.importorskip("tensorflow_text")
    import json

    import numpy as np
    from safetensors.numpy import save_file

    folder, rng, width, inner = (
        tmp_path_factory.mktemp("tiny_bert"),
        np.random.default_rng(0),
        8,
        16,
    )
    shapes = {
        "embeddings.word_embeddings": (len(VOCABULARY), width),
        "embeddings.position_embeddings": (16, width),
        "embeddings.token_type_embeddings": (2, width),
        "pooler.dense": (width, width),
    }
    norms = ["embeddings.LayerNorm"]
    for block in ("encoder.layer.0", "encoder.layer.1"):
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            shapes[f"{block}.attention.{part}"] = (width, width)
        shapes[f"{block}.intermediate.dense"] = (inner, width)
        shapes[f"{block}.output.dense"] = (width, inner)
        norms += [f"{block}.attention.output.LayerNorm", f"{block}.output.LayerNorm"]
    tensors = {f"{name}.weight": rng.normal(size=shape) for name, shape in shapes.items()}
    tensors |= {
        f"{name}.bias": rng.normal(size=shape[0])
        for name, shape in shapes.items()
        if "embeddings" not in name
    }
    for name in norms:
        tensors |= {
            f"{name}.weight": rng.normal(1, 0.1, width),
            f"{name}.bias": rng.normal(size=width),
        }
    tensors = {name: value.astype(np.float32) for name, value in tensors.items()}
    save_file(tensors, folder / "model.safetensors")
    config = {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "vocab_size": len(VOCABULARY),
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "hidden_size": width,
        "intermediate_size": inner,
        "max_position_embeddings": 16,
        "hidden_act": "gelu",
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    return folder, tensors


@pytest.fixture(scope="session")
def tiny_albert(tmp_path_factory):
    """A random ALBERT of two blocks as a preset of KerasHub; its tokenizer is SentencePiece's."""
    hub = pytest.importorskip("keras_hub")
    pytest.importorskip("tensorflow_text")
    pieces = pytest.importorskip("sentencepiece")
    import io

    folder, model = tmp_path_factory.mktemp("tiny_albert"), io.BytesIO()
    names = {"pad": "<pad>", "unk": "<unk>", "bos": "[CLS]", "eos": "[SEP]"}
    pieces.SentencePieceTrainer.train(
        sentence_iterator=iter(["a good film it is not very fun", "a dull film a boring mess"] * 9),
        model_writer=model,
        vocab_size=26,
        minloglevel=2,
        user_defined_symbols="[MASK]",
        **{f"{name}_id": number for number, name in enumerate(names)},
        **{f"{name}_piece": piece for name, piece in names.items()},
    )
    hub.models.AlbertTokenizer(proto=model.getvalue()).save_to_preset(folder)
    hub.models.AlbertBackbone(
        vocabulary_size=26,
        num_layers=2,
        num_heads=2,
        embedding_dim=8,
        hidden_dim=16,
        intermediate_dim=32,
        max_sequence_length=32,
    ).save_to_preset(folder)
    return folder
