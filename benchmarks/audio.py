"""What transfer is worth on sound: ESC-10, and spoken digits of a speaker who was never heard.

    python benchmarks/audio.py --esc10=esc10 --digits=digits --weights=weights --yamnet=yamnet

`esc10` is a folder of class folders with `FOLD-*.wav` (Piczak, 2015), `digits` one with
`DIGIT_SPEAKER_*.wav` (Jackson et al., 2018), `weights` holds Keras's own weight files by their
names, and `yamnet` is yamnet.h5 or the folder of its SavedModel. ESC-10 is trained on folds 1 and 2
and tested on fold 3; of the digits, each of the four speakers is the test once, the others train,
and adaptation hears the new speaker without labels. Prints a table, and writes
`benchmarks/results/audio.json`; what is there already is not run again unless --again.
"""

import gc
import json
import shutil
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
from absl import app, flags
from results import interval, write_results

import tftransfer
from tftransfer.using.plan import make_plan
from tftransfer.using.taps import compared_taps, pooled_taps

FLAGS = flags.FLAGS
flags.DEFINE_string("esc10", "", "folder of ESC-10")
flags.DEFINE_string("digits", "", "folder of the spoken digits")
flags.DEFINE_string("weights", "", "folder of Keras's weight files")
flags.DEFINE_string("yamnet", "", "weights of YAMNet")
flags.DEFINE_string("only", "", "run only the rows whose name contains this")
flags.DEFINE_integer("seeds", 5, "runs per row")
flags.DEFINE_integer("first_seed", 0, "the lowest seed")
flags.DEFINE_boolean("again", False, "run rows that are there already")

SPEAKERS = ("george", "jackson", "lucas", "nicolas")
_V2 = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
_STORED = Path(__file__).parent / "results" / "audio.json"
_PROBE = "feature_extraction:epochs=100,learning_rate=3e-3"
_SCRATCH = "scratch:epochs=30"


def parted(root, folder, is_test):
    """Links to the clips of `root` in folders `train` and `test` of class folders."""
    for file in sorted(Path(root).glob("*/*.wav")):
        place = folder / ("test" if is_test(file.name) else "train") / file.parent.name
        place.mkdir(parents=True, exist_ok=True)
        place.joinpath(file.name).symlink_to(file.resolve())
    return {"data": str(folder / "train"), "test_data": str(folder / "test")}


def networks(size):
    """The backbones, as fields of an experiment."""
    v2 = {"backbone": "mobilenet_v2", "image_size": size}
    return {
        "YAMNet": {"backbone": "yamnet", "weights": FLAGS.yamnet},
        "MobileNetV2": {**v2, "weights": str(Path(FLAGS.weights, _V2))},
        "MobileNetV2 from scratch": {**v2, "weights": "none"},
        "small CNN from scratch": {"backbone": "small_cnn", "weights": "none"},
    }


def esc10_rows(folder):
    """Name to the fields of an experiment."""
    data = parted(FLAGS.esc10, folder / "esc10", lambda name: name.startswith("3-"))
    data |= {"validation_fraction": 0.2}
    every = networks(128)
    recipes = {
        "YAMNet": ("YAMNet frozen, linear head", _PROBE),
        "MobileNetV2": ("MobileNetV2 of ImageNet, fine-tuned", "fine_tune:epochs=20"),
        "MobileNetV2 from scratch": ("MobileNetV2 from scratch", _SCRATCH),
        "small CNN from scratch": ("small CNN from scratch", _SCRATCH),
    }
    return {
        f"ESC-10: {name}": {**data, **every[key], "recipe": recipe}
        for key, (name, recipe) in recipes.items()
    }


def digit_rows(folder, speaker):
    """Of one speaker as the test."""
    data = parted(FLAGS.digits, folder / speaker, lambda name: f"_{speaker}_" in name)
    every = networks(96)
    adapting = {**data, "target_data": data["test_data"], **every["MobileNetV2"]}
    rows = {
        "YAMNet frozen, last layer": {**data, **every["YAMNet"], "recipe": _PROBE},
        "YAMNet frozen, best tap": {**data, **every["YAMNet"], "recipe": _PROBE, "tapped": True},
        "MobileNetV2, source only": {**data, **every["MobileNetV2"], "recipe": "fine_tune"},
        "small CNN from scratch": {
            **data, **every["small CNN from scratch"], "recipe": _SCRATCH,
        },
    }  # fmt: skip
    for name, method in (("MMD", "mmd"), ("Deep CORAL", "coral"), ("DANN", "dann")):
        rows[f"MobileNetV2 + {name}"] = {**adapting, "recipe": f"fine_tune+{method}"}
    return {f"digits of {speaker}: {name}": fields for name, fields in rows.items()}


def best_tap(fields, seed):
    """The stage whose probe is best on training speakers that it has not heard."""
    fields = {**fields, "test_data": "", "test_fraction": 0.0, "group_by": r"_([a-z]+)_"}
    plan = make_plan(tftransfer.Experiment(**fields, seed=seed), say=lambda line: None)
    found = compared_taps(pooled_taps(plan.network, plan.examples), plan.examples, seed)
    return max(found, key=found.get)


def accuracy(fields, seed):
    """Accuracy on the test part, and the stage that was tapped."""
    fields, tap = dict(fields), ""
    if fields.pop("tapped", False):
        tap = best_tap(fields, seed)
        fields["backbone"] += f":tap={tap}"
    folder = tempfile.mkdtemp()
    experiment = tftransfer.Experiment(**fields, seed=seed)
    run = tftransfer.train(experiment, folder, export=False, say=lambda line: None)
    found = run.result["test"]["accuracy"]
    shutil.rmtree(folder)
    keras.backend.clear_session()
    gc.collect()
    return found, tap


def second_recipe(fields):
    """Seconds of a first and of a second recipe on the same clips, without imports and export."""
    seconds = []
    with tempfile.TemporaryDirectory() as cache:
        for recipe in ("feature_extraction", "few_shot"):
            experiment = tftransfer.Experiment(**{**fields, "recipe": recipe})
            folder = Path(tempfile.mkdtemp())
            run = tftransfer.train(
                experiment, folder, export=False, say=lambda line: None, cache_dir=cache
            )
            spent = run.result["seconds"]
            seconds.append(spent["total"] - spent["import"])
    return {"first": seconds[0], "second": seconds[1], "times": seconds[0] / seconds[1]}


def main(argv):
    stored = json.loads(_STORED.read_text()) if _STORED.is_file() else {}
    with tempfile.TemporaryDirectory() as folder:
        rows = esc10_rows(Path(folder)) if FLAGS.esc10 else {}
        for speaker in SPEAKERS if FLAGS.digits else ():
            rows |= digit_rows(Path(folder), speaker)
        for name, fields in rows.items():
            if FLAGS.only not in name or (name in stored and not FLAGS.again):
                continue
            seeds = range(FLAGS.first_seed, FLAGS.first_seed + FLAGS.seeds)
            done = [accuracy(fields, seed) for seed in seeds]
            values, taps = zip(*done)
            measured = {"accuracy": list(values), "mean": float(np.mean(values)),
                        "half interval": interval(values)[1]}  # fmt: skip
            if any(taps):
                measured["taps"] = list(taps)
            said = f" ± {measured['half interval']:.3f}" if len(values) > 1 else ""
            print(f"{name:<56}{measured['mean']:.3f}{said}  {' '.join(taps)}", flush=True)
            write_results("audio", {name: measured}, sys.argv)
        speed = "ESC-10: second recipe on the same clips"
        if FLAGS.esc10 and FLAGS.only in speed and (speed not in stored or FLAGS.again):
            measured = second_recipe(next(iter(rows.values())))
            print(f"{speed:<56}{measured['times']:.1f} times faster", flush=True)
            write_results("audio", {speed: measured}, sys.argv)


if __name__ == "__main__":
    app.run(main)
