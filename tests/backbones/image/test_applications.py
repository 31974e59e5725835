"""Every Keras application: built, cut into stages, and composed again."""

import keras
import numpy as np
import pytest

from tftransfer.backbones.image.applications import (
    application_names,
    build_application,
    default_image_size,
    snake_case,
)
from tftransfer.backbones.stages import cut_into_stages

SIZE = 96
FAST = {"densenet121", "efficientnet_b0", "mobilenet_v2", "resnet50", "vgg16"}


def applications():
    return [
        name if name in FAST else pytest.param(name, marks=pytest.mark.slow)
        for name in sorted(application_names())
    ]


def random_images(size, count=2):
    images = np.random.default_rng(0).uniform(0, 255, (count, size, size, 3))
    return images.astype(np.float32)


@pytest.fixture(autouse=True)
def clear_session():
    yield
    keras.backend.clear_session()


@pytest.mark.parametrize("name", applications())
def test_stages_partition_the_model_and_compose_exactly(name):
    model = build_application(application_names()[name], SIZE, None)
    stages = cut_into_stages(model)

    assert len(stages) >= 3
    assert [stage.name for stage in stages] == [f"stage{k + 1}" for k in range(len(stages))]
    assert [stage.stride for stage in stages] == sorted(stage.stride for stage in stages)
    owned = [layer.name for stage in stages for layer in stage.layers if layer.weights]
    assert sorted(owned) == sorted(layer.name for layer in model.layers if layer.weights)
    crossing = {len(stage.outputs) for stage in stages[:-1]}
    assert crossing <= ({1, 2} if name.startswith("nasnet") else {1})
    assert stages[-1].outputs[0] is model.outputs[0]

    images = random_images(SIZE)
    whole = np.asarray(model([images], training=False))
    assert np.isfinite(whole).all()
    assert not np.array_equal(whole[0], whole[1])
    for stage in stages[:-1]:
        first = keras.Model(model.inputs, list(stage.outputs))
        second = keras.Model(list(stage.outputs), model.outputs[0])
        composed = second(first([images], training=False), training=False)
        assert np.abs(np.asarray(composed) - whole).max() == 0.0, stage.name


def test_application_names_are_all_forty():
    assert set(application_names()) >= FAST
    assert len(application_names()) >= 40


@pytest.mark.parametrize(
    "camel, snake",
    [
        ("MobileNet", "mobilenet"),
        ("MobileNetV2", "mobilenet_v2"),
        ("MobileNetV3Small", "mobilenet_v3_small"),
        ("MobileNetV3Large", "mobilenet_v3_large"),
        ("EfficientNetB0", "efficientnet_b0"),
        ("EfficientNetB7", "efficientnet_b7"),
        ("EfficientNetV2B0", "efficientnet_v2_b0"),
        ("EfficientNetV2S", "efficientnet_v2_s"),
        ("EfficientNetV2L", "efficientnet_v2_l"),
        ("ResNet50", "resnet50"),
        ("ResNet152V2", "resnet152_v2"),
        ("DenseNet121", "densenet121"),
        ("VGG16", "vgg16"),
        ("Xception", "xception"),
        ("InceptionV3", "inception_v3"),
        ("InceptionResNetV2", "inception_resnet_v2"),
        ("NASNetMobile", "nasnet_mobile"),
        ("NASNetLarge", "nasnet_large"),
        ("ConvNeXtTiny", "convnext_tiny"),
        ("ConvNeXtSmall", "convnext_small"),
        ("ConvNeXtXLarge", "convnext_xlarge"),
    ],
)
def test_snake_case_gives_the_names(camel, snake):
    assert snake_case(camel) == snake
    assert application_names()[snake] is getattr(keras.applications, camel)


@pytest.mark.parametrize(
    "name, size",
    [
        ("mobilenet_v2", 224),
        ("vgg16", 224),
        ("resnet50", 224),
        ("convnext_tiny", 224),
        ("inception_v3", 299),
        ("xception", 299),
        ("nasnet_mobile", 224),
        ("nasnet_large", 331),
        ("efficientnet_b0", 224),
        ("efficientnet_b1", 240),
        ("efficientnet_b7", 600),
        ("efficientnet_v2_b3", 300),
        ("efficientnet_v2_s", 384),
    ],
)
def test_default_image_size_is_that_of_the_constructor(name, size):
    assert default_image_size(application_names()[name]) == size


@pytest.mark.parametrize(
    "name, module",
    [("mobilenet_v2", "mobilenet_v2"), ("vgg16", "vgg16"), ("densenet121", "densenet")],
)
def test_build_application_has_its_preprocessing_inside(name, module):
    constructor = application_names()[name]
    ours = build_application(constructor, 64, None)
    plain = constructor(include_top=False, weights=None, input_shape=(64, 64, 3))
    plain.set_weights(ours.get_weights())
    images = random_images(64)
    prepared = getattr(keras.applications, module).preprocess_input(images.copy())
    expected = np.asarray(plain(prepared, training=False))
    raw = np.asarray(plain(images, training=False))
    scale = np.abs(expected).max()
    got = np.asarray(ours([images], training=False))
    np.testing.assert_allclose(got / scale, expected / scale, atol=1e-5)
    assert np.abs(raw - expected).max() > 1e-2 * scale


def test_build_application_efficientnet_is_the_same_for_all_weights(tmp_path):
    """With `weights="imagenet"` Keras builds one layer more, and a stored run would not fit."""
    from tftransfer.checkpoints import weights

    constructor = application_names()["efficientnet_b0"]
    first, second = (build_application(constructor, 32, None) for _ in range(2))
    scalings = [layer for layer in first.layers if isinstance(layer, keras.layers.Rescaling)]
    assert len(scalings) == 2
    normalization = next(
        layer for layer in first.layers if isinstance(layer, keras.layers.Normalization)
    )
    normalization.adapt_mean.assign([0.4, 0.5, 0.6])
    normalization.adapt_variance.assign([0.2, 0.3, 0.4])
    normalization.finalize_state()
    images = random_images(32)
    expected = np.asarray(first([images], training=False))
    weights.write(tmp_path / "w.npz", weights.collect({"all": first.layers}))
    weights.assign_blocks({"all": second.layers}, weights.read(tmp_path / "w.npz"), tmp_path)
    np.testing.assert_array_equal(second([images], training=False), expected)
    first.save_weights(tmp_path / "x.weights.h5")
