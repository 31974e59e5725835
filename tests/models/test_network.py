"""The network by blocks: what trains, where it is cut, and what is initialized again."""

import keras
import numpy as np
import pytest

from tftransfer.backbones.load import load_backbone
from tftransfer.core.recipe import Head
from tftransfer.models.inference import compiled, dtype_policy
from tftransfer.models.network import FEATURES, INPUT, Network
from tftransfer.utils.errors import UserError

SIZE = 16
STAGES = ["stage1", "stage2", "stage3"]
OPEN_HEAD = Head(hidden=(6, 5), dropout=0.5)


def make(*heads, seed=0, units=4):
    backbone = load_backbone("small_cnn:width=4", weights="none", image_size=SIZE, seed=seed)
    return Network(backbone, heads or [Head()], units=units)


@pytest.fixture(scope="module")
def network():
    return make(Head(), Head(name="side", layer="stage2", output="side_logits", units=2))


def images(count=3):
    return np.random.default_rng(0).uniform(0, 255, (count, SIZE, SIZE, 3)).astype(np.float32)


def rates(network, **given):
    return dict.fromkeys(network.blocks, 0.0) | given


def weights(network, block):
    return [variable.numpy() for variable in network.variables(block)]


def equal(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second))


def test_blocks_are_the_stages_and_the_heads(network):
    assert list(network.blocks) == [*STAGES, "head", "side"]
    assert network.boundaries == [INPUT, *STAGES, FEATURES]
    in_blocks = {id(v) for block in network.blocks for v in network.variables(block)}
    assert in_blocks == {id(v) for v in network.model.weights}
    total = sum(network.parameters(block) for block in network.blocks)
    assert total == network.model.count_params()
    assert network.parameters("head") == 16 * 4 + 4
    assert network.parameters("side") == 8 * 2 + 2


def test_outputs_are_features_and_one_per_head(network):
    outputs = network.predict(images())
    shapes = {name: tuple(value.shape) for name, value in outputs.items()}
    assert shapes == {"features": (3, 16), "logits": (3, 4), "side_logits": (3, 2)}


def test_head_on_a_stage_reads_its_pooled_tensor(network):
    kernel, bias = network.variables("side")
    kernel.assign(np.random.default_rng(1).normal(size=kernel.shape))
    bias.assign([1.0, -1.0])
    stage2 = network.submodel(INPUT, "stage2")([images()], training=False)
    stage2 = np.asarray(stage2[0] if isinstance(stage2, (list, tuple)) else stage2)
    expected = stage2.mean(axis=(1, 2)) @ kernel.numpy() + bias.numpy()
    got = network.predict(images())["side_logits"]
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_head_with_hidden_layers_is_random_and_a_linear_one_zero():
    network = make(OPEN_HEAD)
    names = [layer.name for layer in network.blocks["head"]]
    assert names == ["head_hidden1", "head_hidden2", "head_dropout", "head"]
    assert np.asarray(network.predict(images())["logits"]).any()
    assert not np.asarray(make().predict(images())["logits"]).any()


def test_unknown_layer_or_tensor_is_an_error_with_the_nearest(network):
    with pytest.raises(UserError, match=r"no layer named 'stage4'.*\n.*stage"):
        make(Head(layer="stage4"))
    with pytest.raises(UserError, match=r"no tensor named 'logit'.*\n.*logits"):
        network.tensor("logit")


@pytest.mark.parametrize("start", [INPUT, *STAGES, FEATURES])
def test_submodels_compose_to_the_network_exactly(network, start):
    names = ["features", "logits"] if start in ("stage3", FEATURES) else list(network.outputs)
    second = network.submodel(start, names)
    first = network.submodel(INPUT, start) if start != INPUT else None
    middle = [images()] if first is None else first([images()], training=False)
    middle = middle if isinstance(middle, (list, tuple)) else [middle]
    assert [tuple(tensor.shape[1:]) for tensor in middle] == network.shapes_at(start)
    got = second(list(middle), training=False)
    whole = network.model([images()], training=False)
    assert set(got) == set(names)
    for name in names:
        np.testing.assert_array_equal(got[name], whole[name])


def test_compiled_takes_any_batch_size_and_one_output_alone(network):
    logits = compiled(network.model, "logits")
    whole = compiled(network.model)
    for count in (1, 3):
        one = logits(images(count))
        np.testing.assert_array_equal(one, whole(images(count))["logits"])


@pytest.mark.parametrize(
    "heads, given, boundary",
    [
        ([Head()], {"head": 1.0}, FEATURES),
        ([Head()], {"head": 1.0, "stage3": 0.1}, "stage2"),
        ([Head()], {"stage2": 0.1}, "stage1"),
        ([Head()], {"head": 1.0, "stage1": 0.1}, INPUT),
        ([Head()], {"stage1": 1.0, "stage3": 1.0}, INPUT),
        ([Head()], {}, FEATURES),
        ([Head(layer="stage3")], {"head": 1.0}, "stage3"),
        ([Head(layer="stage2")], {"head": 1.0}, "stage2"),
        ([Head(), Head(name="side", layer="stage1", output="o")], {"head": 1.0}, "stage1"),
        ([Head(layer="stage1")], {"head": 1.0, "stage3": 1.0}, "stage1"),
    ],
)
def test_boundary_for_is_below_all_that_trains_or_is_read(heads, given, boundary):
    network = make(*heads)
    assert network.boundary_for(rates(network, **given)) == boundary
    needed = network.submodel(boundary, list(network.outputs))
    assert needed.outputs


def test_blocks_below_are_the_stages_before_a_boundary(network):
    assert network.blocks_below(INPUT) == []
    assert network.blocks_below("stage2") == ["stage1", "stage2"]
    assert network.blocks_below(FEATURES) == STAGES


@pytest.mark.parametrize(
    "batch_norm, stage3",
    [("frozen", ["kernel", "kernel"]), ("train", ["kernel", "gamma", "beta"] * 2)],
)
def test_set_trainable_by_block_and_batch_norm(batch_norm, stage3):
    network = make()
    network.set_trainable(rates(network, head=1.0, stage3=0.1), batch_norm=batch_norm)
    trained = {
        block: [v.name for v in network.variables(block, trainable=True)]
        for block in network.blocks
    }
    assert trained == {"stage1": [], "stage2": [], "stage3": stage3, "head": ["kernel", "bias"]}
    assert len(network.model.trainable_variables) == len(stage3) + 2
    network.set_trainable(rates(network), batch_norm=batch_norm)
    assert network.model.trainable_variables == []


@pytest.mark.parametrize("batch_norm, moved", [("frozen", False), ("train", True)])
def test_batch_norm_statistics_change_only_where_it_trains(batch_norm, moved):
    network = make()
    network.set_trainable(rates(network, stage3=1.0), batch_norm=batch_norm)
    before = {block: network.digest([block]) for block in network.blocks}
    network.model([images()], training=True)
    changed = [block for block in network.blocks if network.digest([block]) != before[block]]
    assert changed == (["stage3"] if moved else [])


def test_set_trainable_limits_the_momentum_of_trained_batch_norm():
    network = make()
    norms = [each for each in network.model.layers if "bn" in each.name]
    before = [norm.momentum for norm in norms]
    network.set_trainable(rates(network, stage3=1.0), batch_norm="frozen")
    assert [norm.momentum for norm in norms] == before
    network.set_trainable(rates(network, stage3=1.0), batch_norm="train")
    after = {norm.name: norm.momentum for norm in norms}
    assert all((m == 0.9) == name.startswith("conv3") for name, m in after.items())


def test_reset_initializes_blocks_by_seed_and_keeps_the_others():
    network = make(OPEN_HEAD)
    for block in network.blocks:
        for variable in network.variables(block):
            variable.assign(np.full(variable.shape, 7.0))
    network.reset(["stage2", "head"], seed=5)
    assert all(
        (array == 7).all() for block in ("stage1", "stage3") for array in weights(network, block)
    )
    kernel, gamma, beta, mean, variance = weights(network, "stage2")[:5]
    assert kernel.std() > 0
    assert all((a == b).all() for a, b in [(gamma, 1), (beta, 0), (mean, 0), (variance, 1)])
    head = weights(network, "head")
    assert head[0].std() > 0
    assert not head[1].any()

    first = {block: weights(network, block) for block in network.blocks}
    network.reset(["stage2", "head"], seed=6)
    assert not np.array_equal(weights(network, "stage2")[0], first["stage2"][0])
    assert not np.array_equal(weights(network, "head")[0], first["head"][0])
    network.reset(["stage2", "head"], seed=5)
    assert all(equal(weights(network, block), first[block]) for block in network.blocks)


def test_reset_of_a_linear_head_is_zero():
    network = make()
    for variable in network.variables("head"):
        variable.assign(np.ones(variable.shape))
    network.reset(["head"], seed=1)
    assert not any(array.any() for array in weights(network, "head"))


def test_seed_states_are_those_of_every_random_layer():
    assert make().seed_states() == []
    network = make(OPEN_HEAD, Head(name="side", layer="stage1", output="o", dropout=0.3))
    states = network.seed_states()
    assert len(states) == len({id(state) for state in states}) == 2
    stored = [state.numpy() for state in states]
    first = network.model([images()], training=True)["logits"]
    second = network.model([images()], training=True)["logits"]
    assert not np.array_equal(first, second)
    for state, value in zip(states, stored):
        state.assign(value)
    np.testing.assert_array_equal(network.model([images()], training=True)["logits"], first)


def test_seed_states_of_stochastic_depth_in_a_backbone():
    backbone = load_backbone("efficientnet_b0", weights="none", image_size=32)
    network = Network(backbone, [Head()], units=2)
    drops = [layer for layer in backbone.model.layers if isinstance(layer, keras.layers.Dropout)]
    assert len(network.seed_states()) == len(drops) > 5


def test_digest_is_of_the_named_blocks():
    network = make()
    before = network.digest(["stage1"]), network.digest(["stage1", "stage2"])
    assert before[0] != before[1]
    network.variables("stage2")[0].assign_add(np.ones_like(weights(network, "stage2")[0]))
    assert network.digest(["stage1"]) == before[0]
    assert network.digest(["stage1", "stage2"]) != before[1]


def test_dtype_policy_ends_with_the_block_and_heads_stay_float32():
    before = keras.config.dtype_policy().name
    with pytest.raises(ZeroDivisionError), dtype_policy("mixed_bfloat16"):
        network = make()
        1 / 0  # noqa: B018
    assert keras.config.dtype_policy().name == before
    assert network.backbone.model.layers[-1].compute_dtype == "bfloat16"
    outputs = network.predict(images())
    assert {value.dtype.name for value in outputs.values()} == {"float32"}


def test_architecture_digest_ignores_trainability():
    backbone = load_backbone("small_cnn", weights="none", image_size=16, seed=0)
    network = Network(backbone, [Head()], units=2)
    before = network.architecture_digest()
    network.set_trainable(dict.fromkeys(network.blocks, 0.0), batch_norm="frozen")
    assert network.architecture_digest() == before != ""
