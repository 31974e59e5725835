"""What transfer is worth on sound: ESC-10, and spoken digits of a speaker who was never heard.

    python benchmarks/audio.py --esc10=esc10 --digits=digits --weights=weights --yamnet=yamnet

`esc10` is a folder of class folders with `FOLD-*.wav` (Piczak, 2015), `digits` one with
`DIGIT_SPEAKER_*.wav` (Jackson et al., 2018), `weights` holds Keras's own weight files by their
names, and `yamnet` is yamnet.h5 or the folder of its SavedModel. ESC-10 is trained on folds 1 and 2
and tested on fold 3, a frozen YAMNet on the other two as well; of the digits, each of the four
speakers is the test once, the others train, and adaptation hears the new speaker without labels.
Where a row has several recipes, the one that is best on the validation split counts, for each seed.
Prints a table, and writes `benchmarks/results/audio.json`; what is there already is not run again
unless --again.
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
from choosing import best_by_validation, best_layer
from results import interval, runs_of, said

import tftransfer

FLAGS = flags.FLAGS
flags.DEFINE_string("esc10", "", "folder of ESC-10")
flags.DEFINE_string("digits", "", "folder of the spoken digits")
flags.DEFINE_string("weights", "", "folder of Keras's weight files")
flags.DEFINE_string("yamnet", "", "weights of YAMNet")
flags.DEFINE_string("only", "", "run only the rows whose name has this regular expression")
flags.DEFINE_integer("seeds", 5, "runs per row")
flags.DEFINE_boolean("again", False, "run rows that are there already")

SPEAKERS = ("george", "jackson", "lucas", "nicolas")
_V2 = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
_SOLVED = ("few_shot:solve=logistic",)
_PROBE = ("feature_extraction:epochs=100,learning_rate=3e-3", *_SOLVED)
_SCRATCH = ("scratch:epochs=30",)
# Chosen on a speaker of the training split.
_DEEP = "fine_tune:unfreeze=6,decay=0.9,learning_rate=1e-3,epochs=30"


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
    every = networks(128)
    every_recipe = {
        "YAMNet": ("YAMNet frozen, linear head", _SOLVED),
        "MobileNetV2": ("MobileNetV2 of ImageNet, fine-tuned", ("fine_tune:epochs=20",)),
        "MobileNetV2 from scratch": ("MobileNetV2 from scratch", _SCRATCH),
        "small CNN from scratch": ("small CNN from scratch", _SCRATCH),
    }
    rows = {
        f"ESC-10: {name}": {
            **data,
            **every[key],
            "recipes": recipes,
            # A head that is solved needs no validation split: its clips train too.
            "validation_fraction": 0.0 if recipes == _SOLVED else 0.2,
        }
        for key, (name, recipes) in every_recipe.items()
    }
    frozen = rows[f"ESC-10: {every_recipe['YAMNet'][0]}"]
    for fold in "12":
        other = parted(FLAGS.esc10, folder / fold, lambda name, fold=fold: name[0] == fold)
        rows[f"ESC-10: YAMNet frozen, tested on fold {fold} instead"] = {**frozen, **other}
    return rows


def digit_rows(folder, speaker):
    """Of one speaker as the test."""
    data = parted(FLAGS.digits, folder / speaker, lambda name: f"_{speaker}_" in name)
    every = networks(96)
    adapting = {**data, "target_data": data["test_data"], **every["MobileNetV2"]}
    rows = {
        "YAMNet frozen, last layer": {**data, **every["YAMNet"], "recipes": _PROBE},
        "YAMNet frozen, best layer": {
            **data,
            **every["YAMNet"],
            "recipes": _PROBE,
            "chooses_layer": True,
        },
        "MobileNetV2, source only": {**data, **every["MobileNetV2"], "recipes": ("fine_tune",)},
        "small CNN from scratch": {**data, **every["small CNN from scratch"], "recipes": _SCRATCH},
    }
    for name, method in (("MMD", "mmd"), ("Deep CORAL", "coral"), ("DANN", "dann")):
        rows[f"MobileNetV2 + {name}"] = {**adapting, "recipes": (f"fine_tune+{method}",)}
    rows["MobileNetV2, all stages, source only"] = {
        **data,
        **every["MobileNetV2"],
        "recipes": (_DEEP,),
    }
    rows["MobileNetV2, all stages + MMD"] = {**adapting, "recipes": (f"{_DEEP}+mmd",)}
    return {f"digits of {speaker}: {name}": fields for name, fields in rows.items()}


def exports(rows):
    """Name to the fields of an experiment on ESC-10 whose export is compared."""
    found = {}
    for name in ("YAMNet frozen, linear head", "MobileNetV2 of ImageNet, fine-tuned"):
        fields = {k: v for k, v in rows[f"ESC-10: {name}"].items() if k != "recipes"}
        found[f"{name.split(',')[0]}, WAV bytes in"] = {**fields, "recipe": _SOLVED[0]}
    return found


def measure(fields, seed):
    """The best of a row's recipes by validation, and the stage that was chosen."""
    fields = dict(fields)
    recipes, layer = fields.pop("recipes"), ""
    if fields.pop("chooses_layer", False):
        # Of speakers that the probe has not heard, the test's own left out.
        heard = {**fields, "test_data": "", "test_fraction": 0.0, "group_by": r"_([a-z]+)_"}
        layer = best_layer(heard, seed)
        fields["backbone"] += f":layer={layer}"
    tried = [train({**fields, "recipe": recipe}, seed) for recipe in recipes]
    return best_by_validation(tried) | ({"layer": layer} if layer else {})


def train(fields, seed):
    """Figures of one training."""
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


def figures(done):
    """Accuracy and chosen layers, as text."""
    accuracy = interval([run["accuracy"] for run in done])
    return f"{said(*accuracy)}  {' '.join(run['layer'] for run in done if 'layer' in run)}"


def second_recipe(fields, seed):
    """Seconds of a first and of a second recipe on the same clips, without imports and export."""
    seconds = []
    fields = {name: value for name, value in fields.items() if name != "recipes"}
    with tempfile.TemporaryDirectory() as cache:
        for recipe in ("feature_extraction", "few_shot"):
            experiment = tftransfer.Experiment(**fields, recipe=recipe, seed=seed)
            folder = Path(tempfile.mkdtemp())
            run = tftransfer.train(experiment, folder, export=False, cache_dir=cache)
            spent = run.result["seconds"]
            seconds.append(spent["total"] - spent["import"])
    return {"first": seconds[0], "second": seconds[1], "ratio": seconds[0] / seconds[1]}


def main(argv):
    del argv
    with tempfile.TemporaryDirectory() as folder:
        rows = esc10_rows(Path(folder)) if FLAGS.esc10 else {}
        for speaker in SPEAKERS if FLAGS.digits else ():
            rows |= digit_rows(Path(folder), speaker)
        for name, fields in rows.items():
            runs_of("audio", name, functools.partial(measure, fields), FLAGS, figures)
        for name, fields in exports(rows).items() if FLAGS.esc10 else ():
            runs_of(
                "audio",
                f"export: {name}",
                functools.partial(exported.as_evaluated, fields),
                FLAGS,
                exported.said,
            )
        if FLAGS.esc10:
            runs_of(
                "audio",
                "ESC-10: second recipe on the same clips, against the first",
                functools.partial(second_recipe, next(iter(rows.values()))),
                FLAGS,
                lambda done: f"{np.mean([run['ratio'] for run in done]):.1f} times as fast",
            )


if __name__ == "__main__":
    app.run(main)
