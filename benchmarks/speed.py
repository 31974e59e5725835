"""Measures speed: a run against Keras's guide, features against `model.predict`, comparisons.

    python benchmarks/speed.py --flowers=flower_photos --weights=weights

`weights` holds Keras's own weight files under their original names. All variants of a row run in
turn in one process, after all imports; a row holds the medians of `--repeats` and their ratios.
Prints a table and writes `benchmarks/results/speed.json`.
"""

import functools
import gc
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from results import write_results

import tftransfer
from tftransfer.backbones.cache import process_backbone_cache
from tftransfer.features.forward_variants import CONSTANTS, GRAPH, LITERT, VARIANTS, Candidate

FLAGS = flags.FLAGS
flags.DEFINE_string("flowers", "", "folder of the flower photographs")
flags.DEFINE_string("weights", "", "folder of Keras's weight files")
flags.DEFINE_string("only", "", "run only the rows whose name matches this regular expression")
flags.DEFINE_integer("repeats", 5, "runs of each variant")

SIZE, ALPHA, EPOCHS, BATCH = 160, 0.35, 10, 32
_FILE = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}_224_no_top.h5"


def dataset(**options):
    """The photographs as Keras's guide reads them."""
    return keras.utils.image_dataset_from_directory(
        FLAGS.flowers, image_size=(SIZE, SIZE), batch_size=BATCH, verbose=False, **options
    )


def application():
    """MobileNetV2 with ImageNet weights, without its classifier."""
    return keras.applications.MobileNetV2(
        alpha=ALPHA,
        include_top=False,
        input_shape=(SIZE, SIZE, 3),
        weights=str(Path(FLAGS.weights, _FILE.format(alpha=ALPHA))),
    )


def fit_guide(model, train, val, rate):
    """Trains for ten epochs and returns the last validation accuracy."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    fitted = model.fit(train, validation_data=val, epochs=EPOCHS, verbose=0)
    return fitted.history["val_accuracy"][-1]


def keras_guide():
    """Keras's guide to transfer learning: the frozen base is called in every epoch."""
    train, val = dataset(validation_split=0.2, subset="both", seed=0)
    base = application()
    base.trainable = False
    inputs = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    x = keras.layers.GlobalAveragePooling2D()(base(x, training=False))
    outputs = keras.layers.Dense(5)(keras.layers.Dropout(0.2)(x))
    model = keras.Model(inputs, outputs)
    return fit_guide(model, train.prefetch(2), val.prefetch(2), 1e-3)


def experiment(alpha=ALPHA, size=SIZE, **fields):
    """An experiment on the photographs, with the network of the guide."""
    return tftransfer.Experiment(
        data=FLAGS.flowers,
        backbone=f"mobilenet_v2:alpha={alpha}",
        image_size=size,
        weights=str(Path(FLAGS.weights, _FILE.format(alpha=alpha))),
        **fields,
    )


def probe(folder, cache):
    """Trains once on the photographs, from the folder to metrics and report."""
    shutil.rmtree(folder, ignore_errors=True)
    recipe = f"feature_extraction:epochs={EPOCHS},augment=none"  # as in the guide
    run = tftransfer.train(experiment(recipe=recipe), folder, export=False, cache_dir=str(cache))
    return run.result["test"]["accuracy"]


def clear_backbones():
    """Clears the backbones of this process, as if it were new."""
    with process_backbone_cache() as cache:
        cache.clear()


def time_to_accuracy(folder):
    """Seconds of the guide, of a first run, and of runs that find cached features.

    `same process` finds the backbone too, as in a notebook; `new process` builds it, as a command
    does.
    """
    variants = ("Keras guide", "first", "new process", "same process")
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    accuracies: dict[str, list[float]] = {name: [] for name in variants}

    def timed(name, function, *arguments):
        started = time.perf_counter()
        accuracies[name].append(float(function(*arguments)))
        seconds[name].append(time.perf_counter() - started)
        keras.backend.clear_session()
        gc.collect()

    for _ in range(FLAGS.repeats):
        timed("Keras guide", keras_guide)
        shutil.rmtree(folder / "cache", ignore_errors=True)
        for name in ("first", "new process"):
            clear_backbones()
            timed(name, probe, folder / "run", folder / "cache")
        timed("same process", probe, folder / "run", folder / "cache")
    return {"seconds": seconds, "accuracy": accuracies, "against": "Keras guide"}


def features(folder):
    """Seconds for the features of all photographs in memory, by variant of the forward pass."""
    del folder
    images = np.concatenate([x.numpy() for x, _ in dataset(shuffle=False)])
    base = application()
    inputs = keras.Input((SIZE, SIZE, 3))
    x = keras.applications.mobilenet_v2.preprocess_input(inputs)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(base(x)))
    variants = {"model.predict": lambda x: model.predict(x, batch_size=BATCH, verbose=0)}
    candidate = Candidate(model)
    variants |= {name: VARIANTS[name](candidate) for name in (GRAPH, CONSTANTS, LITERT)}
    seconds = {name: [] for name in variants}
    for forward in variants.values():
        forward(images[:64])
    for _ in range(FLAGS.repeats):
        for name, forward in variants.items():
            started = time.perf_counter()
            for start in range(0, len(images), 512):
                forward(images[start : start + 512])
            seconds[name].append(time.perf_counter() - started)
    return {"seconds": seconds, "images": len(images), "against": "model.predict"}


def comparison(folder, **network):
    """Seconds of a comparison of five recipes, against the first of them alone."""
    recipes = [
        f"feature_extraction:epochs={EPOCHS},augment=none,learning_rate={rate}"
        for rate in (3e-4, 1e-3, 3e-3, 1e-4, 1e-2)
    ]
    seconds = {"one recipe": [], "five recipes": []}
    for _ in range(FLAGS.repeats):
        for name, compared in (("one recipe", recipes[:1]), ("five recipes", recipes)):
            shutil.rmtree(folder, ignore_errors=True)
            started = time.perf_counter()
            tftransfer.compare(
                experiment(**network), folder / "runs", compared, cache_dir=str(folder / "cache")
            )
            seconds[name].append(time.perf_counter() - started)
    return {"seconds": seconds, "against": "one recipe"}


def guide_head(seed):
    """The first step of Keras's guide, with its augmentation, which is not timed."""
    train, val = dataset(validation_split=0.2, subset="both", seed=seed)
    base = application()
    base.trainable = False
    inputs = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.RandomRotation(0.1)(keras.layers.RandomFlip("horizontal")(inputs))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(x)
    x = keras.layers.GlobalAveragePooling2D()(base(x, training=False))
    outputs = keras.layers.Dense(5)(keras.layers.Dropout(0.2)(x))
    model = keras.Model(inputs, outputs)
    fit_guide(model, train, val, 1e-3)
    return model, base, train.prefetch(2), val.prefetch(2)


def fine_tuning(folder):
    """Seconds of the guide's second step, and of a whole fine-tuning run that starts from files.

    The guide unfreezes the last two stages, at a rate of 1e-4: its own 1e-5 learns less.
    """
    seconds = {"Keras guide": [], "fine_tune": []}
    accuracies = {"Keras guide": [], "fine_tune": []}
    for seed in range(3):
        model, base, train, val = guide_head(seed)
        base.trainable = True
        names = [layer.name for layer in base.layers]
        for layer in base.layers[: names.index("block_6_expand")]:
            layer.trainable = False
        started = time.perf_counter()
        accuracies["Keras guide"].append(fit_guide(model, train, val, 1e-4))
        seconds["Keras guide"].append(time.perf_counter() - started)
        keras.backend.clear_session()
        shutil.rmtree(folder, ignore_errors=True)
        started = time.perf_counter()
        run = tftransfer.train(
            experiment(recipe=f"fine_tune:unfreeze=2,epochs={EPOCHS}", seed=seed),
            folder / "run",
            export=False,
            cache_dir=str(folder / "cache"),
        )
        accuracies["fine_tune"].append(run.result["test"]["accuracy"])
        seconds["fine_tune"].append(time.perf_counter() - started)
        keras.backend.clear_session()
        gc.collect()
    return {"seconds": seconds, "accuracy": accuracies, "against": "Keras guide"}


ROWS = {
    "time to accuracy": time_to_accuracy,
    "fine tuning": fine_tuning,
    "features": features,
    "comparison": comparison,
    "comparison, larger": functools.partial(comparison, alpha=1.0, size=224),
}


def main(argv):
    del argv
    tf.get_logger().setLevel("ERROR")
    folder = Path(tempfile.mkdtemp())
    for row, measure in ROWS.items():
        if not re.search(FLAGS.only, row):
            continue
        measured = measure(folder)
        median = {name: float(np.median(each)) for name, each in measured["seconds"].items()}
        base = median[measured["against"]]
        for name, seconds in median.items():
            ratio = f"{base / seconds:.1f} times as fast" if seconds < base else ""
            ratio = ratio or (f"{seconds / base:.2f} times the time" if seconds > base else "")
            accuracy = measured.get("accuracy", {}).get(name)
            suffix = f"  accuracy {np.mean(accuracy):.3f}" if accuracy else ""
            print(f"{row:<20}{name:<16}{seconds:>8.2f} s  {ratio}{suffix}", flush=True)
        write_results("speed", {row: {**measured, "median": median}}, sys.argv)
    shutil.rmtree(folder)


if __name__ == "__main__":
    app.run(main)
