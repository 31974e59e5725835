"""Low-rank updates: zero at first, then merged into the kernel, which trains again."""

import keras
import numpy as np
import pytest

from tftransfer.backbones.load import load_backbone
from tftransfer.core.recipe import Head
from tftransfer.losses.functional import l2_sp
from tftransfer.models.lora import add_lora, merge_lora
from tftransfer.models.network import Network
from tftransfer.training.reference_weights import Reference


def test_merge_lora_adds_the_update_to_a_trainable_kernel():
    pixels = keras.Input((8, 8, 3))
    layer = keras.layers.Conv2D(4, 3)
    model = keras.Model(pixels, layer(pixels))
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    before = model(x).numpy()
    add_lora(layer, 2, seed=0)
    np.testing.assert_array_equal(model(x).numpy(), before)
    assert [v.name for v in layer.trainable_variables] == ["lora_kernel_a", "lora_kernel_b"]
    layer.lora_kernel_b.assign(np.ones((2, 4)))
    changed = model(x).numpy()
    assert np.abs(changed - before).max() > 0.1
    merge_lora(layer)
    np.testing.assert_allclose(model(x).numpy(), changed, atol=1e-5)
    layer.trainable = True
    assert [v.name for v in layer.trainable_variables] == ["kernel", "bias"]


@pytest.mark.parametrize(
    ("layer", "shape", "whole"),
    [
        (keras.layers.Dense(4), (6,), "kernel"),
        (keras.layers.EinsumDense("abc,cde->abde", output_shape=(None, 2, 3)), (5, 6), "kernel"),
        (keras.layers.Embedding(9, 4), (5,), "embeddings"),
        (keras.layers.Conv2D(4, 3), (8, 8, 3), "kernel"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, keras.Layer) else None,
)
def test_add_lora_is_the_product_of_its_factors(layer, shape, whole):
    """W + a b (Hu et al., 2022): zero at first, and in the kernel once merged."""
    layer.build((None, *shape))
    kernel = getattr(layer, f"_{whole}").numpy()
    add_lora(layer, 2, seed=0)
    np.testing.assert_array_equal(getattr(layer, whole), kernel)
    a, b = (getattr(layer, f"lora_{whole}_{side}") for side in "ab")
    assert [id(v) for v in layer.trainable_variables] == [id(a), id(b)]
    b.assign(np.random.default_rng(0).normal(size=b.shape))
    product = np.tensordot(a.numpy(), b.numpy(), 1)
    assert np.abs(product).max() > 0.1
    merge_lora(layer)
    np.testing.assert_allclose(getattr(layer, whole), kernel + product, atol=1e-5)


def test_reference_has_the_weights_before_the_updates():
    backbone = load_backbone("small_cnn", weights="none", image_size=16)
    network = Network(backbone, (Head(),), units=3)
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype(np.float32)
    before = network.predict(pixels)["features"].numpy()
    reference = Reference(network)
    network.set_trainable(dict.fromkeys(network.blocks, 1.0), batch_norm="frozen", lora=2)
    reference.begin_phase()
    factors = [
        v for stage in network.boundaries[1:-1] for v in network.variables(stage, trainable=True)
    ]
    assert factors and all("lora" in variable.path for variable in factors)
    for variable in factors:
        variable.assign(variable + 1)
    submodel = network.submodel("input", ["features"])
    np.testing.assert_allclose(reference.outputs(submodel, [pixels])["features"], before, atol=1e-5)
    assert np.abs(submodel([pixels])["features"].numpy() - before).max() > 1e-3


def test_reference_pairs_are_kernels_and_not_factors():
    backbone = load_backbone("small_cnn", weights="none", image_size=16)
    network = Network(backbone, (Head(),), units=3)
    reference = Reference(network)
    network.set_trainable(dict.fromkeys(network.blocks, 1.0), batch_norm="frozen", lora=2)
    reference.begin_phase()
    kernels = [
        v
        for stage in network.boundaries[1:-1]
        for v in network.variables(stage)
        if v.path.endswith("/kernel")
    ]
    pairs = reference.pairs("stage*")
    assert [tuple(whole.shape) for whole, _ in pairs] == [tuple(k.shape) for k in kernels]
    assert float(l2_sp(pairs)) == 0.0  # though one factor is random from the start
    for variable in network.variables("stage1", trainable=True):
        variable.assign(np.full(variable.shape, 0.5))
    ((whole, was), *_) = reference.pairs("stage1")
    first = next(layer for layer in network.blocks["stage1"] if hasattr(layer, "lora_rank"))
    np.testing.assert_allclose(whole - was, first.lora_kernel_a @ first.lora_kernel_b, atol=1e-6)
