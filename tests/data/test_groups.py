"""Groups that a split keeps together."""

import shutil

import numpy as np
import pytest

from tftransfer.core.experiment import Experiment
from tftransfer.data.examples import SPLIT_DTYPE, Examples, add_test_data
from tftransfer.data.groups import choose_units, units, with_groups
from tftransfer.data.manifest import from_manifest
from tftransfer.data.split import split
from tftransfer.readers.load import read_all
from tftransfer.utils.errors import UserError

SPEAKERS = ("ann", "bob", "cid", "dan", "eve")


def clips(names, **changes):
    values = {
        "names": names,
        "items": list(names),
        "classes": ("0", "1"),
        "problem_type": "single_label",
        "labels": np.arange(len(names)) % 2,
        "splits": np.full(len(names), "", SPLIT_DTYPE),
        "sha256": [f"sha {name}" for name in names],
    }
    return Examples(**{**values, **changes})


def by_speaker(count=12):
    return clips([f"d{n % 2}/{n}_{speaker}_x.wav" for speaker in SPEAKERS for n in range(count)])


def test_split_puts_each_group_into_one_split():
    for seed in range(5):
        found = with_groups(by_speaker(), r"_([a-z]+)_")
        done = split(found, seed=seed, test_fraction=0.2, validation_fraction=0.2)
        sets = [{done.groups[i] for i in done.where(name)} for name in ("train", "val", "test")]
        assert all(sets) and sum(map(len, sets)) == len(set.union(*sets)) == len(SPEAKERS)
        assert len(sets[2]) == 1


def test_with_groups_reads_the_file_name_and_not_the_folder():
    found = with_groups(clips(["a_b_c/1_ann_.wav", "a_b_c/2_bob_.wav"]), r"_([a-z]+)_")
    assert found.groups == ["ann", "bob"]


def test_units_join_groups_that_share_a_content():
    names = [f"{n}_{speaker}_" for speaker in SPEAKERS for n in range(2)]
    found = with_groups(clips(names), r"_([a-z]+)_")
    same = ["same" if name in ("0_ann_", "0_bob_") else f"sha {name}" for name in names]
    found = clips(names, groups=found.groups, sha256=same)
    kept = units(found)
    assert kept[0] == kept[2] and len(set(kept)) == len(SPEAKERS) - 1


def test_split_drops_training_clips_whose_group_is_in_a_given_test_split():
    splits = np.array(["test" if n < 3 else "" for n in range(60)], SPLIT_DTYPE)  # three of ann
    found = with_groups(clips(by_speaker().names, splits=splits), r"_([a-z]+)_")
    done = split(found, validation_fraction=0.2)
    assert "ann" not in {done.groups[i] for i in done.where("train")}
    assert (
        "Dropped 9 training images that have their content or group in the given test split. "
        "First: d1/3_ann_x.wav" in done.warnings
    )


def test_group_by_names_a_column_of_the_table(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.wav").write_bytes(b"x")
    (tmp_path / "m.csv").write_text("path,label,speaker\na.wav,0,ann\nb.wav,1,bob\n")
    found = from_manifest(tmp_path / "m.csv", group_by="speaker")
    assert found.groups == ["ann", "bob"] and found.problem_type == "single_label"
    assert from_manifest(tmp_path / "m.csv", group_by="(a)").groups == ()


def test_group_by_of_a_column_strips_blanks_and_refuses_empty_cells(tmp_path):
    rows = "text,label,speaker\na,0,ann \nb,1, ann\nc,0,bob\n"
    (tmp_path / "m.csv").write_text(rows)
    assert from_manifest(tmp_path / "m.csv", group_by="speaker").groups == ["ann", "ann", "bob"]
    (tmp_path / "m.csv").write_text(rows + "d,1,  \n")
    with pytest.raises(UserError, match="row 5: the group in speaker is empty"):
        from_manifest(tmp_path / "m.csv", group_by="speaker")


def test_units_of_an_unknown_group_are_single_contents():
    found = clips(["a", "b", "c", "d"], groups=["ann", "", "", "ann"], sha256=["1", "2", "3", "4"])
    assert [name == units(found)[0] for name in units(found)] == [True, False, False, True]


def test_test_data_without_groups_are_accepted_with_a_warning():
    first = with_groups(by_speaker(), r"_([a-z]+)_")
    test = clips(["x", "y"])
    done = split(add_test_data(first, test), validation_fraction=0.2)
    assert {done.names[i] for i in done.where("test")} == {"x", "y"}
    assert len({done.groups[i] for i in done.where("val")}) == 1
    assert any("2 test examples have no known group" in warning for warning in done.warnings)
    assert not add_test_data(test, with_groups(by_speaker(), r"_([a-z]+)_")).groups


def test_test_data_with_some_unknown_groups_are_accepted_with_a_warning(image_folder, tmp_path):
    for number, file in enumerate(sorted(image_folder.glob("*/*.png"))):
        file.rename(file.with_name(f"{number}_{SPEAKERS[number % 5]}_.png"))
    files = sorted(image_folder.glob("*/*.png"))
    for file, name in zip(files, ("new.png", "0_zoe_.png")):
        (tmp_path / "test" / file.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(file, tmp_path / "test" / file.parent.name / name)
    named = Experiment(
        data=str(image_folder),
        backbone="small_cnn",
        test_data=str(tmp_path / "test"),
        group_by=r"_([a-z]+)_",
    )
    found = read_all(named)
    test = found.where("test")
    assert sorted(found.groups[i] for i in test) == ["", "zoe"]
    assert any("1 test example has no known group" in warning for warning in found.warnings)


def test_split_whose_groups_are_all_in_the_test_data_reports_the_reason():
    first = with_groups(by_speaker(), r"_([a-z]+)_")
    test = clips([f"d0/{n}_{speaker}_y.wav" for n, speaker in enumerate(SPEAKERS)])
    reason = "None of the 65 examples is left for training: Dropped 60 training images that have"
    with pytest.raises(UserError, match=reason):
        split(add_test_data(first, with_groups(test, r"_([a-z]+)_")))


def test_new_tables_need_no_column_of_groups_and_do_not_use_it_as_a_label(tmp_path):
    (tmp_path / "m.csv").write_text("text,mood,speaker\na b,0,ann\nb c,1,bob\n")
    (tmp_path / "n.csv").write_text("text,mood\na b,0\nb c,1\n")
    for name, groups in (("m", ["ann", "bob"]), ("n", ())):
        found = from_manifest(tmp_path / f"{name}.csv", group_by="speaker", to_train=False)
        assert found.problem_type == "single_label" and found.groups == groups


@pytest.mark.parametrize(
    ("group_by", "message"),
    [
        ("_([a-z]+", "is not a regular expression"),
        ("_[a-z]+_", "0 pairs of parentheses"),
        ("(zz)", "does not match"),
        ("(z*)", "does not match"),
    ],
)
def test_with_groups_refuses_patterns_that_give_no_group(group_by, message):
    with pytest.raises(UserError, match=message):
        with_groups(by_speaker(), group_by)


def test_split_refuses_too_few_groups():
    found = with_groups(clips([f"{n}_ann_" for n in range(9)]), r"_([a-z]+)_")
    with pytest.raises(UserError, match="gives 1 groups, too few to split"):
        split(found)


def test_group_by_of_an_unknown_column_is_an_error(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"x")
    (tmp_path / "m.csv").write_text("path,label,speaker\na.wav,0,ann\n")
    with pytest.raises(UserError, match="speeker"):
        from_manifest(tmp_path / "m.csv", group_by="speeker")


def test_choose_units_takes_the_fraction_of_each_class_as_far_as_groups_allow():
    # 20 groups of 5: 16 of class a, 4 of class b; a fifth of each is 3 and 1 groups.
    names = [f"group {k // 5}" for k in range(100)]
    strata = ["a"] * 80 + ["b"] * 20
    for seed in range(10):
        chosen = choose_units(names, np.ones(100, bool), 0.2, seed, min_left=1, strata=strata)
        kinds = [strata[names.index(name)] for name in chosen]
        assert kinds.count("b") == 1 and kinds.count("a") == 3


def test_choose_units_gives_a_rare_class_one_group_and_keeps_one():
    names = [f"group {k // 5}" for k in range(60)]
    strata = ["a"] * 50 + ["b"] * 10
    for seed in range(10):
        chosen = choose_units(names, np.ones(60, bool), 0.1, seed, min_left=1, strata=strata)
        assert len({"group 10", "group 11"} & chosen) == 1
