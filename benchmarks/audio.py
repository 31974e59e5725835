"""Measures recipes on audio: ESC-10, and spoken digits of a new speaker.

    python benchmarks/audio.py --esc10=esc10 --digits=digits --weights=weights --yamnet=yamnet

`esc10` holds class folders of `FOLD-*.wav` (Piczak, 2015), `digits` class folders of
`DIGIT_SPEAKER_*.wav` (Jackson et al., 2018), `weights` Keras's own weight files under their
original names, and `yamnet` is yamnet.h5 or the folder of its SavedModel. ESC-10 is trained on
folds 1 and 2 and tested on fold 3; a frozen YAMNet is tested on the other two folds as well. Each
of the four speakers of the digits is the test once; the others train, and adaptation uses unlabeled
clips of the new speaker. Where a row has several recipes, the best on the validation split counts,
for each seed. Prints rows and writes `benchmarks/results/audio.json`. Seeds that are stored already
are not run again without --again.
"""

import functools
import gc
import shutil
import tempfile
from pathlib import Path

import exported
import keras
import numpy as np
from absl import app, flags
from results import interval, run_missing_seeds, with_interval
from selection import best_by_validation, best_layer

import tftransfer

FLAGS = flags.FLAGS
flags.DEFINE_string("esc10", "", "folder of ESC-10")
flags.DEFINE_string("digits", "", "folder of the spoken digits")
flags.DEFINE_string("weights", "", "folder of Keras's weight files")
flags.DEFINE_string("yamnet", "", "weights of YAMNet")
flags.DEFINE_string("only", "", "run only the rows whose name matches this regular expression")
flags.DEFINE_integer("seeds", 5, "runs per row")
flags.DEFINE_boolean("again", False, "run seeds that are stored already")

SPEAKERS = ("george", "jackson", "lucas", "nicolas")
_V2 = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
_SOLVED = ("few_shot:solve=logistic",)
_PROBE = ("feature_extraction:epochs=100,learning_rate=3e-3", *_SOLVED)
_SCRATCH = ("scratch:epochs=30",)
# Selected on a speaker of the training data.
_ALL_STAGES = "fine_tune:unfreeze=6,decay=0.9,learning_rate=1e-3,epochs=30"


def split_by_file_name(root, folder, is_test):
    """Links the clips of `root` into folders `train` and `test` of class folders."""
    for file in sorted(Path(root).glob("*/*.wav")):
        place = folder / ("test" if is_test(file.name) else "train") / file.parent.name
        place.mkdir(parents=True, exist_ok=True)
        place.joinpath(file.name).symlink_to(file.resolve())
    return {"data": str(folder / "train"), "test_data": str(folder / "test")}


def networks(size):
    """Name of a backbone to fields of an experiment."""
    v2 = {"backbone": "mobilenet_v2", "image_size": size}
    return {
        "YAMNet": {"backbone": "yamnet", "weights": FLAGS.yamnet},
        "MobileNetV2": {**v2, "weights": str(Path(FLAGS.weights, _V2))},
        "MobileNetV2 from scratch": {**v2, "weights": "none"},
        "small CNN from scratch": {"backbone": "small_cnn", "weights": "none"},
    }


def esc10_rows(folder):
    """Name of a row to the fields of its experiment, with `recipes`."""
    data = split_by_file_name(FLAGS.esc10, folder / "esc10", lambda name: name.startswith("3-"))
    backbones = networks(128)
    recipes_of = {
        "YAMNet": ("YAMNet frozen, linear head", _SOLVED),
        "MobileNetV2": ("MobileNetV2 (ImageNet), fine-tuned", ("fine_tune:epochs=20",)),
        "MobileNetV2 from scratch": ("MobileNetV2 from scratch", _SCRATCH),
        "small CNN from scratch": ("small CNN from scratch", _SCRATCH),
    }
    rows = {
        f"ESC-10: {name}": {
            **data,
            **backbones[key],
            "recipes": recipes,
            # A head in closed form needs no validation split: all clips are training data.
            "validation_fraction": 0.0 if recipes == _SOLVED else 0.2,
        }
        for key, (name, recipes) in recipes_of.items()
    }
    frozen = rows[f"ESC-10: {recipes_of['YAMNet'][0]}"]
    for fold in "12":
        other = split_by_file_name(
            FLAGS.esc10, folder / fold, lambda name, fold=fold: name[0] == fold
        )
        rows[f"ESC-10: YAMNet frozen, test fold {fold}"] = {**frozen, **other}
    return rows


def digit_rows(folder, speaker):
    """Name of a row with this test speaker to the fields of its experiment, with `recipes`."""
    data = split_by_file_name(FLAGS.digits, folder / speaker, lambda name: f"_{speaker}_" in name)
    backbones = networks(96)
    adapting = {**data, "target_data": data["test_data"], **backbones["MobileNetV2"]}
    rows = {
        "YAMNet frozen, last layer": {**data, **backbones["YAMNet"], "recipes": _PROBE},
        "YAMNet frozen, best layer": {
            **data,
            **backbones["YAMNet"],
            "recipes": _PROBE,
            "selects_layer": True,
        },
        "MobileNetV2, source only": {**data, **backbones["MobileNetV2"], "recipes": ("fine_tune",)},
        "small CNN from scratch": {
            **data,
            **backbones["small CNN from scratch"],
            "recipes": _SCRATCH,
        },
    }
    for name, method in (("MMD", "mmd"), ("Deep CORAL", "coral"), ("DANN", "dann")):
        rows[f"MobileNetV2 + {name}"] = {**adapting, "recipes": (f"fine_tune+{method}",)}
    rows["MobileNetV2, all stages, source only"] = {
        **data,
        **backbones["MobileNetV2"],
        "recipes": (_ALL_STAGES,),
    }
    rows["MobileNetV2, all stages + MMD"] = {**adapting, "recipes": (f"{_ALL_STAGES}+mmd",)}
    return {f"digits of {speaker}: {name}": fields for name, fields in rows.items()}


def exports(rows):
    """Name of a row to the fields of the experiment on ESC-10 whose export is compared."""
    rows_of_exports = {}
    for name in ("YAMNet frozen, linear head", "MobileNetV2 (ImageNet), fine-tuned"):
        fields = {k: v for k, v in rows[f"ESC-10: {name}"].items() if k != "recipes"}
        rows_of_exports[f"{name.split(',')[0]}, WAV bytes in"] = {**fields, "recipe": _SOLVED[0]}
    return rows_of_exports


def measure(fields, seed):
    """The best recipe of a row by validation, and the stage that was selected."""
    fields = dict(fields)
    recipes, layer = fields.pop("recipes"), ""
    if fields.pop("selects_layer", False):
        # Cross-validated over speakers, without the test speaker.
        other_speakers = {
            **fields,
            "test_data": "",
            "test_fraction": 0.0,
            "group_by": r"_([a-z]+)_",
        }
        layer = best_layer(other_speakers, seed)
        fields["backbone"] += f":layer={layer}"
    runs = [train({**fields, "recipe": recipe}, seed) for recipe in recipes]
    return best_by_validation(runs) | ({"layer": layer} if layer else {})


def train(fields, seed):
    """Metrics of one training."""
    folder = tempfile.mkdtemp()
    experiment = tftransfer.Experiment(**fields, seed=seed)
    result = tftransfer.train(experiment, folder, export=False).result
    shutil.rmtree(folder)
    keras.backend.clear_session()
    gc.collect()
    return {
        "recipe": fields["recipe"],
        "accuracy": result["test"]["accuracy"],
        "macro_f1": result["test"]["macro_f1"],
        "examples": result["examples"],
        "validation": result.get("validation", {}).get("accuracy"),
        "seconds": result["seconds"]["total"],
    }


def accuracy_and_layers(runs):
    """Accuracy and selected layers, as text."""
    accuracy = interval([run["accuracy"] for run in runs])
    return f"{with_interval(*accuracy)}  {' '.join(run['layer'] for run in runs if 'layer' in run)}"


def second_recipe(fields, seed):
    """Seconds of a first and of a second recipe on the same clips, without imports and export."""
    seconds = []
    fields = {name: value for name, value in fields.items() if name != "recipes"}
    with tempfile.TemporaryDirectory() as cache:
        for recipe in ("feature_extraction", "few_shot"):
            experiment = tftransfer.Experiment(**fields, recipe=recipe, seed=seed)
            folder = Path(tempfile.mkdtemp())
            run = tftransfer.train(experiment, folder, export=False, cache_dir=cache)
            measured = run.result["seconds"]
            seconds.append(measured["total"] - measured["import"])
    return {"first": seconds[0], "second": seconds[1], "ratio": seconds[0] / seconds[1]}


def main(argv):
    del argv
    with tempfile.TemporaryDirectory() as folder:
        rows = esc10_rows(Path(folder)) if FLAGS.esc10 else {}
        for speaker in SPEAKERS if FLAGS.digits else ():
            rows |= digit_rows(Path(folder), speaker)
        for name, fields in rows.items():
            run_missing_seeds(
                "audio", name, functools.partial(measure, fields), FLAGS, accuracy_and_layers
            )
        for name, fields in exports(rows).items() if FLAGS.esc10 else ():
            run_missing_seeds(
                "audio",
                f"export: {name}",
                functools.partial(exported.compare_with_evaluate, fields),
                FLAGS,
                exported.describe,
            )
        if FLAGS.esc10:
            run_missing_seeds(
                "audio",
                "ESC-10: second recipe on the same clips, against the first",
                functools.partial(second_recipe, next(iter(rows.values()))),
                FLAGS,
                lambda runs: f"{np.mean([run['ratio'] for run in runs]):.1f} times as fast",
            )


if __name__ == "__main__":
    app.run(main)
