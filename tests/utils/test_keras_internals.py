"""Keras's private names are used in one file, through functions that work on today's Keras."""

import ast
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.utils import keras_internals as internals

PACKAGE = Path(internals.__file__).resolve().parents[1]
FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.name != "keras_internals.py"]


def small_model():
    x = inputs = keras.Input((8,), name="numbers")
    x = keras.layers.Dense(4, name="first")(x)
    x = keras.layers.Dropout(0.5, seed=1, name="drop")(x)
    return keras.Model(inputs, keras.layers.Dense(2, name="second")(x), name="small")


def nested_model():
    inputs = keras.Input((8,), name="outer_numbers")
    return keras.Model(inputs, keras.layers.Dense(3, name="last")(small_model()(inputs)))


def private_names_of_keras():
    """Private attributes of Keras's objects, which are also those of its classes."""
    model = small_model()
    optimizer = keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    embedding = keras.layers.Embedding(4, 2)
    embedding.build()
    objects = [
        model,
        keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]),
        *model.layers,
        embedding,
        optimizer,
        keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()),
        model.output,
        model.trainable_variables[0],
        internals.call_nodes(model)[0],
        keras.metrics.Mean(),
        keras.losses.MeanSquaredError(),
    ]
    names = {name for each in objects for name in dir(each)}
    return {name for name in names if name.startswith("_") and not name.startswith("__")}


def of_keras(node):
    """Whether a class definition names a base of Keras."""
    return any({"keras", "layers"} & set(ast.unparse(b).split(".")) for b in node.bases)


def private_uses(path, names):
    """`FILE:LINE NAME` of each name of Keras that a file reads, writes, looks up or overrides.

    What a class of the file sets on `self` or defines is its own, unless Keras is its base.
    """
    tree = ast.parse(path.read_text())
    own = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    own |= {n.name for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            on_self = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            found = [] if on_self and node.attr in own else [node.attr]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr"):
            found = [each.value for each in node.args[1:2] if isinstance(each, ast.Constant)]
        elif isinstance(node, ast.ClassDef) and of_keras(node):
            found = [each.name for each in node.body if isinstance(each, ast.FunctionDef)]
        else:
            continue
        for name in names.intersection(found):
            yield f"{path.relative_to(PACKAGE)}:{node.lineno} {name}"


def test_package_uses_no_private_name_of_keras_outside_one_file():
    names = private_names_of_keras()
    assert {"_flatten_layers", "_nodes_by_depth", "_seed_generators", "_keras_history"} <= names
    assert not [use for path in FILES for use in private_uses(path, names)]


@pytest.mark.parametrize(
    "line",
    [
        "layers = model._flatten_layers()",
        "found = getattr(model, '_flatten_layers')",
        "class A(keras.Model):\n    def _flatten_layers(self):\n        return self.layers",
    ],
)
def test_private_uses_lists_each_way_to_a_name(tmp_path, monkeypatch, line):
    monkeypatch.setattr(f"{__name__}.PACKAGE", tmp_path)
    file = tmp_path / "x.py"
    file.write_text(line)
    assert list(private_uses(file, {"_flatten_layers"})) == ["x.py:1 _flatten_layers"]


def test_call_nodes_are_in_topological_order():
    names = [node.operation.name for node in internals.call_nodes(small_model())]
    assert names == ["first", "drop", "second"]


def test_functional_of_finds_nested_and_sequential_models():
    inner = internals.call_nodes(nested_model())[0].operation
    sequential = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="only")])
    assert internals.functional_of(inner) is inner
    found = internals.functional_of(sequential)
    assert [node.operation.name for node in internals.call_nodes(found)] == ["only"]
    assert internals.functional_of(keras.layers.Dense(1)) is None


def test_layers_inside_lists_nested_layers():
    model = nested_model()
    names = [layer.name for layer in internals.layers_inside(model, include_self=False)]
    assert {"small", "first", "drop", "second", "last"} <= set(names)
    flat = internals.layers_inside(model, include_self=False, recursive=False)
    assert "first" not in [layer.name for layer in flat]
    assert internals.layers_inside(keras.ops.add) == []


def test_producing_operation_is_the_layer():
    model = small_model()
    assert internals.producing_operation(model.output) is model.get_layer("second")


def test_seed_generators_are_those_of_dropout():
    model = small_model()
    drop = model.get_layer("drop")
    assert internals.seed_generators(drop) == [drop.seed_generator]
    assert internals.seed_generators(model.get_layer("first")) == []


def test_share_variable_has_the_same_storage():
    theirs = tf.Variable([1.0, 2.0])
    ours = internals.share_variable(theirs, trainable=True, name="shared")
    ours.assign([3.0, 4.0])
    np.testing.assert_array_equal(theirs.numpy(), [3.0, 4.0])
    assert ours.trainable and ours.name == "shared"


def test_track_variable_adds_to_the_weights():
    layer = keras.layers.Dense(1)
    variable = keras.Variable([1.0], name="added")
    internals.track_variable(layer, variable)
    assert layer.weights == [variable]


@pytest.mark.parametrize("kind", ["Dense", "Embedding"])
def test_lora_variable_is_the_one_without_the_update(kind):
    layer = keras.layers.Dense(3) if kind == "Dense" else keras.layers.Embedding(4, 3)
    layer.build((None, 4))
    before = internals.lora_variable(layer)
    layer.enable_lora(1)
    assert internals.lora_variable(layer) is before
    assert isinstance(before, keras.Variable)


def test_remove_variables_takes_them_from_a_built_layer():
    layer = keras.layers.Dense(3)
    layer.build((None, 4))
    layer.enable_lora(1)
    internals.remove_variables(layer, ("lora_kernel_a", "lora_kernel_b"))
    assert [variable.name for variable in layer.weights] == ["kernel", "bias"]
    assert not hasattr(layer, "lora_kernel_a")
    with pytest.raises(ValueError, match="cannot add new elements of state"):
        layer.more = keras.Variable([1.0])


def test_optimized_variables_are_the_models():
    model = small_model()
    optimizer = keras.optimizers.SGD()
    optimizer.build(model.trainable_variables)
    assert internals.optimized_variables(optimizer) == model.trainable_variables


def test_optimizer_with_rates_scales_update_and_decay():
    first, second = keras.Variable([1.0], name="first"), keras.Variable([1.0], name="second")
    rates = {id(first): 1.0, id(second): 0.5}
    scaled = internals.optimizer_with_rates(keras.optimizers.SGD, lambda v: rates[id(v)])
    optimizer = scaled(learning_rate=0.1, weight_decay=0.2)
    optimizer.build([first, second])
    optimizer.apply([tf.constant([1.0]), tf.constant([1.0])])
    # Decay first, w - 0.1 rate 0.2 w; then the update, - 0.1 rate.
    np.testing.assert_allclose(first.numpy(), [1.0 - 0.02 - 0.1], rtol=1e-6)
    np.testing.assert_allclose(second.numpy(), [1.0 - 0.01 - 0.05], rtol=1e-6)
    optimizer.scale.assign(0.0)
    optimizer.apply([tf.constant([1.0]), tf.constant([1.0])])
    np.testing.assert_allclose(first.numpy(), [0.88], rtol=1e-6)
    assert scaled.__name__ == "SGD"


def test_duplicate_container_ignored_silences_that_warning_alone():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with internals.duplicate_container_ignored():
            warnings.warn("Skipping nested container at '_operations_by_depth/1'", stacklevel=1)
            warnings.warn("another", stacklevel=1)
    assert [str(each.message) for each in seen] == ["another"]


def test_set_feedforward_activation_reaches_a_block_of_kerashub():
    keras_hub = pytest.importorskip("keras_hub")
    block = keras_hub.layers.TransformerEncoder(intermediate_dim=4, num_heads=1)
    block.build((None, 3, 4))
    internals.set_feedforward_activation(block, keras.activations.relu)
    at_minus_one = block._feedforward_intermediate_dense.activation(tf.constant(-1.0))
    assert float(at_minus_one) == 0.0
    internals.set_feedforward_activation(keras.layers.Dense(1), keras.activations.relu)


def test_tokenizers_of_other_classes_are_neither_wordpiece_nor_sentencepiece():
    assert not internals.is_fast_wordpiece(object())
    assert not internals.is_sentencepiece(object())
