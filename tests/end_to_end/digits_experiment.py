"""A small experiment in two phases, whose validation split is large enough to select by."""

import tftransfer


def tune(source_run, digits, **changes):
    settings = {
        "data": str(digits / "target"),
        "backbone": str(source_run.workdir),
        "recipe": "fine_tune:unfreeze=2,head_epochs=3,epochs=3,augment=shift",
        "batch_size": 16,
        "labels_per_class": 12,
        "test_fraction": 0.5,
        "validation_fraction": 0.25,
    }
    return tftransfer.Experiment(**{**settings, **changes})
