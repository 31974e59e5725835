"""The frozen forward against the peak of the machine's matrix product: a line of throughput.py."""

import gc
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tftransfer.features import autotune
from tftransfer.models.inference import dtype_policy

SIZE, STEP, SPLITS = 160, 64, 5
SIDE, PRODUCTS = 2048, 10
_V2 = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{}_224_no_top.h5"
# Name to module, constructor, its options, weight file, and pictures in a measurement.
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
    """GFLOP/s of three networks by every way, and of the matrix product; what bfloat16 costs."""
    measured = {"instructions": instructions()}
    pictures = read_pictures(flowers)
    for name, (*parts, file, count) in NETWORKS.items():
        path = Path(weights, file) if Path(weights, file).is_file() else None
        made = ways(*parts, path)
        rates, peak = rates_of(made, pictures[:count], repeats)
        operations = flops(network(*parts, None))
        rows = {}
        for way, rate in rates.items():
            reached = rate * operations / 1e9
            limit = peak["bfloat16" if way.startswith("bf16") else "float32"]
            rows[way] = {"pictures/s": rate, "GFLOP/s": reached, "of peak": reached / limit}
        for dtype, rate in peak.items():
            print(f"limits  {name:<18}matrix product, {dtype:<11}{rate:>8.1f} GFLOP/s")
        for way, row in rows.items():
            print(
                f"limits  {name:<18}{way:<16}{row['pictures/s']:>8.1f} /s{row['GFLOP/s']:>8.1f} "
                f"GFLOP/s{row['of peak']:>7.2f} of its peak",
                flush=True,
            )
        fastest = max(rates, key=rates.get)
        print(f"limits  {name:<18}fastest: {fastest}; {operations / 1e9:.3f} GFLOP a picture")
        measured[name] = {
            "GFLOP/picture": operations / 1e9,
            "peak GFLOP/s": peak,
            "fastest": fastest,
            "weights": file if path else "random",
            "rows": rows,
        }
        if path:
            found = probes(made["graph"], made["bf16 graph"], pictures, labels_of(flowers))
            measured[name] |= found
            print(
                f"limits  {name:<18}probe on float32 {found['accuracy float32']:.4f}, on "
                f"bfloat16 {found['accuracy bfloat16']:.4f}",
                flush=True,
            )
        del made
        keras.backend.clear_session()
        gc.collect()
    return measured


def instructions():
    """What of the processor's instructions decides the peak."""
    path = Path("/proc/cpuinfo")
    flags = path.read_text().split() if path.is_file() else []
    return [one for one in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if one in flags]


def dataset(flowers):
    return keras.utils.image_dataset_from_directory(
        flowers, image_size=(SIZE, SIZE), batch_size=STEP, shuffle=False, verbose=False
    )


def read_pictures(flowers):
    """All photographs, in an order of chance."""
    found = np.concatenate([x.numpy() for x, _ in dataset(flowers)])
    return found[np.random.default_rng(0).permutation(len(found))]


def labels_of(flowers):
    """The labels, in the order of `read_pictures`."""
    found = np.concatenate([y.numpy() for _, y in dataset(flowers)])
    return found[np.random.default_rng(0).permutation(len(found))]


def network(module, constructor, options, path):
    """Pixels to pooled features; random weights where there is no file."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIZE, SIZE, 3), dtype="float32")
    prepared = getattr(keras.applications, module).preprocess_input(inputs)
    base = getattr(keras.applications, constructor)(
        include_top=False, input_tensor=prepared, weights=path and str(path), **options
    )
    return keras.Model([inputs], keras.layers.GlobalAveragePooling2D(dtype="float32")(base.output))


def ways(module, constructor, options, path):
    """Every way to run the network, in float32 and with bfloat16 inside."""
    found = {}
    for policy, word in (("float32", ""), ("mixed_bfloat16", "bf16 ")):
        with dtype_policy(policy):
            candidate = autotune.Candidate(network(module, constructor, options, path))
        for name, make in autotune.VARIANTS.items():
            if not word or name in ("graph", "constants"):
                found[word + name] = make(candidate)
    return found


def rates_of(made, pictures, repeats):
    """Medians: pictures per second of each way, GFLOP/s of square products; all take turns."""
    squares = {d: tf.cast(tf.random.normal((SIDE, SIDE)), d) for d in ("float32", "bfloat16")}
    seconds = {name: [] for name in (*squares, *made)}

    def timed(name, function):
        started = time.perf_counter()
        function()
        seconds[name].append(time.perf_counter() - started)

    def whole(run):
        for start in range(0, len(pictures), STEP):
            run(pictures[start : start + STEP])

    for run in made.values():
        run(pictures[:STEP])
    for square in squares.values():
        tf.matmul(square, square)
    for _ in range(repeats):
        for dtype, square in squares.items():
            for _ in range(PRODUCTS):
                timed(dtype, lambda square=square: tf.matmul(square, square).numpy())
        for way, run in made.items():
            timed(way, lambda run=run: whole(run))
    median = {name: float(np.median(each)) for name, each in seconds.items()}
    return (
        {way: len(pictures) / median[way] for way in made},
        {dtype: 2 * SIDE**3 / median[dtype] / 1e9 for dtype in squares},
    )


def flops(model):
    """Of one picture: two for each multiplication of its convolutions and dense layers."""
    total = 0
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            total += int(np.prod(layer.kernel.shape)) * int(np.prod(layer.output.shape[1:-1]))
    return 2 * total


def probes(run, run_bfloat16, pictures, labels):
    """Mean accuracy of a logistic probe on either features, over the same splits of 80/20."""
    found = {"accuracy float32": [], "accuracy bfloat16": []}
    for name, way in zip(found, (run, run_bfloat16)):
        starts = range(0, len(pictures), STEP)
        features = np.concatenate([way(pictures[s : s + STEP])[0] for s in starts])
        for seed in range(SPLITS):
            order = np.random.default_rng(seed).permutation(len(labels))
            val, train = np.split(order, [len(order) // 5])
            probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
            probe.fit(features[train], labels[train])
            found[name].append(float(probe.score(features[val], labels[val])))
    mean = {name: float(np.mean(each)) for name, each in found.items()}
    return {**mean, "splits": found}
