"""Compares the forward pass of frozen layers with the machine's peak rate of a matrix product.

This is the row `limits` of throughput.py.
"""

import gc
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tftransfer.features.forward_variants import CONSTANTS, GRAPH, LITERT, VARIANTS, Candidate
from tftransfer.models.inference import dtype_policy

SIZE = 160
BATCH = 64
SPLITS = 5
# The product whose rate counts as the peak: two square matrices.
MATRIX_SIZE = 2048
PRODUCTS_PER_REPEAT = 10
_V2 = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{}_224_no_top.h5"
# Name to module, constructor, its options, weight file, and images per measurement.
NETWORKS = {
    "MobileNetV2 0.35": ("mobilenet_v2", "MobileNetV2", {"alpha": 0.35}, _V2.format("0.35"), 512),
    "MobileNetV2 1.0": ("mobilenet_v2", "MobileNetV2", {"alpha": 1.0}, _V2.format("1.0"), 256),
    "ResNet50": (
        "resnet",
        "ResNet50",
        {},
        "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        64,
    ),
}


def limits(flowers, weights, repeats):
    """GFLOP/s of three networks by every variant, and of a matrix product; accuracy in bfloat16."""
    measured = {"instructions": instructions()}
    images = read_images(flowers)
    for name, (*parts, file, count) in NETWORKS.items():
        path = Path(weights, file) if Path(weights, file).is_file() else None
        variants = make_variants(*parts, path)
        rates, peak = measure_rates(variants, images[:count], repeats)
        operations = flops(network(*parts, None))
        rows = {}
        for variant, rate in rates.items():
            gflops = rate * operations / 1e9
            limit = peak["bfloat16" if variant.startswith("bf16") else "float32"]
            rows[variant] = {"images/s": rate, "GFLOP/s": gflops, "of peak": gflops / limit}
        for dtype, rate in peak.items():
            print(f"limits  {name:<18}matrix product, {dtype:<11}{rate:>8.1f} GFLOP/s")
        for variant, row in rows.items():
            print(
                f"limits  {name:<18}{variant:<16}{row['images/s']:>8.1f} /s{row['GFLOP/s']:>8.1f} "
                f"GFLOP/s{row['of peak']:>7.2f} of its peak",
                flush=True,
            )
        fastest = max(rates, key=rates.get)
        print(f"limits  {name:<18}fastest: {fastest}; {operations / 1e9:.3f} GFLOP per image")
        measured[name] = {
            "GFLOP/image": operations / 1e9,
            "peak GFLOP/s": peak,
            "fastest": fastest,
            "weights": file if path else "random",
            "rows": rows,
        }
        if path:
            forwards = (variants["graph"], variants["bf16 graph"])
            accuracies = probe_accuracies(*forwards, images, labels_of(flowers))
            measured[name] |= accuracies
            print(
                f"limits  {name:<18}probe on float32 {accuracies['accuracy float32']:.4f}, on "
                f"bfloat16 {accuracies['accuracy bfloat16']:.4f}",
                flush=True,
            )
        del variants
        keras.backend.clear_session()
        gc.collect()
    return measured


def instructions():
    """The processor's instruction sets that determine the peak."""
    path = Path("/proc/cpuinfo")
    flags = path.read_text().split() if path.is_file() else []
    return [one for one in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if one in flags]


def dataset(flowers):
    return keras.utils.image_dataset_from_directory(
        flowers, image_size=(SIZE, SIZE), batch_size=BATCH, shuffle=False, verbose=False
    )


def read_images(flowers):
    """All photographs, in random order."""
    variants = np.concatenate([x.numpy() for x, _ in dataset(flowers)])
    return variants[np.random.default_rng(0).permutation(len(variants))]


def labels_of(flowers):
    """The labels, in the order of `read_images`."""
    variants = np.concatenate([y.numpy() for _, y in dataset(flowers)])
    return variants[np.random.default_rng(0).permutation(len(variants))]


def network(module, constructor, options, path):
    """A network from pixels to pooled features; its weights are random if `path` is None."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIZE, SIZE, 3), dtype="float32")
    prepared = getattr(keras.applications, module).preprocess_input(inputs)
    base = getattr(keras.applications, constructor)(
        include_top=False, input_tensor=prepared, weights=path and str(path), **options
    )
    return keras.Model([inputs], keras.layers.GlobalAveragePooling2D(dtype="float32")(base.output))


def make_variants(module, constructor, options, path):
    """Every variant of the forward pass, in float32 and with bfloat16 inside."""
    variants = {}
    for policy, prefix in (("float32", ""), ("mixed_bfloat16", "bf16 ")):
        with dtype_policy(policy):
            candidate = Candidate(network(module, constructor, options, path))
        for name in (GRAPH, CONSTANTS) if prefix else (GRAPH, CONSTANTS, LITERT):
            variants[prefix + name] = VARIANTS[name](candidate)
    return variants


def measure_rates(variants, images, repeats):
    """Medians: images per second by variant, and GFLOP/s of square products; all take turns."""
    shape = (MATRIX_SIZE, MATRIX_SIZE)
    squares = {dtype: tf.cast(tf.random.normal(shape), dtype) for dtype in ("float32", "bfloat16")}
    seconds = {name: [] for name in (*squares, *variants)}

    def timed(name, function):
        started = time.perf_counter()
        function()
        seconds[name].append(time.perf_counter() - started)

    def run_all(run):
        for start in range(0, len(images), BATCH):
            run(images[start : start + BATCH])

    for run in variants.values():
        run(images[:BATCH])
    for square in squares.values():
        tf.matmul(square, square)
    for _ in range(repeats):
        for dtype, square in squares.items():
            for _ in range(PRODUCTS_PER_REPEAT):
                timed(dtype, lambda square=square: tf.matmul(square, square).numpy())
        for variant, run in variants.items():
            timed(variant, lambda run=run: run_all(run))
    median = {name: float(np.median(each)) for name, each in seconds.items()}
    return (
        {variant: len(images) / median[variant] for variant in variants},
        {dtype: 2 * MATRIX_SIZE**3 / median[dtype] / 1e9 for dtype in squares},
    )


def flops(model):
    """Operations for one image: two per multiplication of the convolutions and dense layers."""
    total = 0
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            total += int(np.prod(layer.kernel.shape)) * int(np.prod(layer.output.shape[1:-1]))
    return 2 * total


def probe_accuracies(run, run_bfloat16, images, labels):
    """Mean accuracy of a logistic probe on both kinds of features, over the same 80/20 splits."""
    accuracies = {"accuracy float32": [], "accuracy bfloat16": []}
    for name, forward in zip(accuracies, (run, run_bfloat16)):
        starts = range(0, len(images), BATCH)
        features = np.concatenate([forward(images[s : s + BATCH])[0] for s in starts])
        for seed in range(SPLITS):
            order = np.random.default_rng(seed).permutation(len(labels))
            val, train = np.split(order, [len(order) // 5])
            probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
            probe.fit(features[train], labels[train])
            accuracies[name].append(float(probe.score(features[val], labels[val])))
    mean = {name: float(np.mean(each)) for name, each in accuracies.items()}
    return {**mean, "splits": accuracies}
