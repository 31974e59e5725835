"""Near copies of images and texts stay in one split, whatever the scan has seen before."""

import json

import numpy as np
import pytest
from PIL import Image

import tftransfer
from tftransfer.data.groups import units
from tftransfer.data.near_copies import (
    describe_near_copies,
    near_copies_across,
    pairs_of_near_copies,
)
from tftransfer.data.scan import scan_item
from tftransfer.preprocessing import get_modality
from tftransfer.preprocessing.image.signature import SIDE, signature
from tftransfer.readers.load import read_examples

SCENES = 12


def scene(seed, side=96):
    """Random soft colors, uint8 [side, side, 3]."""
    colors = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), np.uint8)
    return np.asarray(Image.fromarray(colors).resize((side, side), Image.Resampling.BICUBIC))


def brighter(pixels):
    return (pixels * 0.9 + 12).astype(np.uint8)


def moved(pixels):
    return np.roll(pixels, 3, axis=1)


def save(pixels, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def photographs(folder, scenes=SCENES):
    """Three versions of each scene, as annotation tools export them, of two classes."""
    for k in range(scenes):
        for name, change in (("a", np.asarray), ("b", brighter), ("c", moved)):
            save(change(scene(k)), folder / ("no", "yes")[k % 2] / f"scene{k:02}.{name}.png")
    return folder


def experiment(folder, **fields):
    return tftransfer.Experiment(data=str(folder), **fields)


def scene_of(examples):
    return np.array([name.split("scene")[1][:2] for name in examples.names])


def split_of_scenes(examples):
    return {
        scene: {examples.splits[k] for k in np.flatnonzero(scene_of(examples) == scene)}
        for scene in set(scene_of(examples))
    }


def test_versions_of_a_photograph_stay_in_one_split_and_the_plan_reports_it(tmp_path):
    folder = photographs(tmp_path / "data")
    for seed in range(3):
        examples = read_examples(experiment(folder, seed=seed))
        assert all(len(splits) == 1 for splits in split_of_scenes(examples).values())
        assert {*examples.splits} == {"train", "val", "test"}
        assert len(set(units(examples))) == SCENES and len(examples.near_copies) == 3 * SCENES
    shown = str(tftransfer.plan(experiment(folder, backbone="small_cnn", weights="none")))
    assert "36 images show the same as others, such as no/scene00.a.png and no/scene00" in shown
    assert "--split_near_copies splits them like others" in shown


def test_near_copies_that_no_split_uses_are_not_named(tmp_path):
    folder = photographs(tmp_path / "data")
    for seed in range(3):
        examples = read_examples(experiment(folder, labels_per_class=1, seed=seed))
        assert len(examples.where("train")) == 2
        shown = describe_near_copies(examples)
        assert shown.startswith(f"{len(examples) - 2} images show the same as others")
        first, second = shown.split("such as ")[1].split(", and stay")[0].split(" and ")
        assert {first, second} <= set(examples.names)


def test_split_near_copies_splits_them_like_others(tmp_path):
    folder = photographs(tmp_path / "data")
    examples = read_examples(experiment(folder, split_near_copies=True))
    assert examples.near_copies == ()
    assert any(len(splits) > 1 for splits in split_of_scenes(examples).values())


def test_pairs_are_stored_and_found_again_after_the_data_change(tmp_path, monkeypatch):
    folder, cache = photographs(tmp_path / "data"), tmp_path / "cache"
    cache.mkdir()
    first = read_examples(experiment(folder), cache)
    (stored,) = cache.glob("near-copies-*.json")
    with monkeypatch.context() as patched:
        patched.setattr("tftransfer.data.near_copies.scan_items", None)  # nothing is decoded
        assert read_examples(experiment(folder), cache).near_copies == first.near_copies
    stored.write_text(json.dumps([["damaged"]]))
    assert read_examples(experiment(folder), cache).near_copies == first.near_copies
    save(moved(moved(scene(1))), folder / "yes" / "scene01.d.png")
    later = read_examples(experiment(folder), cache)
    assert len(set(units(later))) == SCENES and len(later) == 3 * SCENES + 1
    assert all(len(splits) == 1 for splits in split_of_scenes(later).values())


def test_classes_of_similar_images_are_split_as_usual_with_a_warning(tmp_path):
    folder = tmp_path / "data"
    for name, number in (("no", 90), ("yes", 91)):
        for k in range(10):
            noise = np.random.default_rng(k).integers(0, 6, (96, 96, 3))
            save((scene(number) * 0.9 + noise).astype(np.uint8), folder / name / f"{k}.png")
    examples = read_examples(experiment(folder))
    assert {*examples.splits} == {"train", "val", "test"} and len(set(units(examples))) == 20
    assert any("20 images look like most others of their class" in w for w in examples.warnings)


def test_a_class_of_few_units_keeps_one_for_training(tmp_path):
    folder = tmp_path / "data"
    for k in range(4):
        for version in range(4):
            path = folder / ("no", "yes")[k % 2] / f"scene{k:02}.{version}.png"
            save(np.roll(scene(k), version, axis=1), path)
    examples = read_examples(experiment(folder, test_fraction=0.4, validation_fraction=0))
    train = examples.class_counts(examples.where("train"))
    assert train.tolist() == [4, 4] and len(examples.where("test")) == 8


def test_a_split_skips_many_copies_of_which_it_needs_few(tmp_path):
    folder = tmp_path / "data"
    for k in range(30):
        save(scene(k), folder / ("no", "yes")[k % 2] / f"scene{k:02}.png")
    for name, number in (("no", 0), ("yes", 1)):
        for version in range(10):
            pixels = np.roll(scene(number), version + 1, axis=1)
            save(pixels, folder / name / f"scene{number:02}.{version}.png")
    for seed in range(4):
        examples = read_examples(experiment(folder, seed=seed))
        for name, most in (("test", 6), ("val", 3)):
            counts = examples.class_counts(examples.where(name))
            assert (counts >= 1).all() and (counts <= most).all()


def test_near_copies_of_different_labels_are_split_alone_and_listed_by_inspect(tmp_path):
    folder = photographs(tmp_path / "data")
    save(np.roll(scene(0), 7, axis=0), folder / "yes" / "scene99.png")
    examples = read_examples(experiment(folder))
    alone = examples.names.index("yes/scene99.png")
    assert units(examples).count(units(examples)[alone]) == 1
    text = tftransfer.inspect(data=str(folder))
    assert "with different labels: no/scene00.a.png and yes/scene99.png" in text


def test_given_splits_and_groups_stay_as_they_are_with_a_warning(tmp_path):
    folder = tmp_path / "data"
    for k in range(SCENES):
        label = ("no", "yes")[k % 2]
        save(scene(k), folder / "train" / label / f"scene{k:02}.png")
        save(scene(50 + k), folder / "train" / label / f"scene{50 + k}.png")
        save(moved(scene(k)) if k < 4 else scene(70 + k), folder / "test" / label / f"s{k}.png")
    examples = read_examples(experiment(folder, validation_fraction=0))
    assert len(examples) == 3 * SCENES and len(near_copies_across(examples)) == 4
    assert any(w.startswith("4 pairs of near copies are in diff") for w in examples.warnings)

    folder = photographs(tmp_path / "grouped")
    grouped = read_examples(experiment(folder, group_by=r"\.([abc])\.", validation_fraction=0))
    assert len(set(units(grouped))) == 3 and len(near_copies_across(grouped)) > 0
    shown = tftransfer.inspect(data=str(folder), group_by=r"\.([abc])\.")
    assert "and are split by --group_by" in shown


def test_near_copies_between_the_data_and_the_test_data_are_reported(tmp_path):
    folder = photographs(tmp_path / "data")
    save(np.roll(scene(3), 5, axis=0), tmp_path / "more" / "yes" / "x.png")
    save(scene(80), tmp_path / "more" / "no" / "y.png")
    examples = read_examples(experiment(folder, test_data=str(tmp_path / "more")))
    pairs = near_copies_across(examples)
    assert {examples.names[b] for _, b in pairs} == {"yes/x.png"}


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("Good film, really!", "good film really", True),
        ("Größe: 5", "GRÖSSE 5", True),
        ("कि", "की", False),
        ("costs $5", "costs 5", False),
        ("well done", "done well", False),
    ],
)
def test_texts_of_the_same_words_stay_together(first, second, same):
    texts = [first, second] + [f"another text, number {k}" for k in range(18)]
    labels = ["yes", "yes"] + ["no", "yes"] * 9
    examples = read_examples(tftransfer.Experiment(data=(texts, labels)))
    names = units(examples)
    assert len(set(names)) == 20 - same
    assert len(pairs_of_near_copies(examples)) == same


def test_signature_is_none_for_small_images_and_those_without_contrast():
    assert signature(scene(0, 56)) is None
    noise = np.random.default_rng(0).integers(90, 96, (80, 80, 3), np.uint8)
    assert signature(noise) is None
    found = signature(scene(0, 640))
    assert found.shape == (SIDE, SIDE) and found.dtype == np.uint8
    expected = np.asarray(Image.fromarray(scene(0, 64)).convert("L"), int)
    assert np.abs(found.astype(int) - expected).max() <= 4


def test_intervals_of_evaluate_count_near_copies_once(tmp_path):
    folder = photographs(tmp_path / "data")
    run = tftransfer.train(
        experiment(folder, backbone="small_cnn:width=4", weights="none", recipe="few_shot"),
        tmp_path / "run",
        export=False,
        cache_dir=str(tmp_path / "cache"),
    )
    low, high = run.result["test"]["intervals"]["accuracy"]
    tested = run.result["examples"]
    again = run.evaluate(cache_dir=str(tmp_path / "cache"))
    assert tested >= 6 and high - low > 0.4  # of a third as many scenes
    assert again.intervals["accuracy"] == pytest.approx((low, high))


def test_inspect_counts_the_pairs_that_it_does_not_list(tmp_path):
    folder = photographs(tmp_path / "data", scenes=30)
    text = tftransfer.inspect(data=str(folder), group_by=r"\.([abc])\.")
    across = int(text.split("near duplicates: ")[1].split(" of them in different")[0].split()[-1])
    assert text.count("  in different splits: ") == 20 < across
    assert f"  and {across - 20} more in different splits" in text


@pytest.mark.parametrize("signed", [True, False])
def test_scan_item_computes_signatures_only_where_they_are_compared(signed, monkeypatch, tmp_path):
    computed = []
    module = "tftransfer.preprocessing.image.signature"
    monkeypatch.setattr(module, lambda pixels: computed.append(1) or signature(pixels))
    save(scene(0), tmp_path / "a.png")
    found = scan_item(str(tmp_path / "a.png"), get_modality("image"), signed=signed)
    assert len(computed) == signed and (found.signature is not None) == signed
