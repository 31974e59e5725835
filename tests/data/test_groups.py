"""Groups that a split must not part."""

import shutil

import numpy as np
import pytest

from tftransfer.core.experiment import Experiment
from tftransfer.data.examples import SPLIT_DTYPE, Examples, join
from tftransfer.data.groups import units, with_groups
from tftransfer.data.load import read_all
from tftransfer.data.manifest import from_manifest
from tftransfer.data.split import split
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


def test_no_speaker_is_in_two_parts():
    for seed in range(5):
        found = with_groups(by_speaker(), r"_([a-z]+)_")
        done = split(found, seed=seed, test_fraction=0.2, validation_fraction=0.2)
        sets = [{done.groups[i] for i in done.where(part)} for part in ("train", "val", "test")]
        assert all(sets) and sum(map(len, sets)) == len(set.union(*sets)) == len(SPEAKERS)
        assert len(sets[2]) == 1


def test_groups_are_of_the_file_name_and_not_of_its_folder():
    found = with_groups(clips(["a_b_c/1_ann_.wav", "a_b_c/2_bob_.wav"]), r"_([a-z]+)_")
    assert found.groups == ["ann", "bob"]


def test_groups_that_share_a_content_are_one():
    names = [f"{n}_{speaker}_" for speaker in SPEAKERS for n in range(2)]
    found = with_groups(clips(names), r"_([a-z]+)_")
    same = ["same" if name in ("0_ann_", "0_bob_") else f"sha {name}" for name in names]
    found = clips(names, groups=found.groups, sha256=same)
    kept = units(found)
    assert kept[0] == kept[2] and len(set(kept)) == len(SPEAKERS) - 1


def test_training_clips_of_speakers_of_a_given_test_part_are_dropped():
    splits = np.array(["test" if n < 3 else "" for n in range(60)], SPLIT_DTYPE)  # three of ann
    found = with_groups(clips(by_speaker().names, splits=splits), r"_([a-z]+)_")
    done = split(found, validation_fraction=0.2)
    assert "ann" not in {done.groups[i] for i in done.where("train")}
    assert any("or their groups also stand in the given test part" in r for r in done.remarks)


def test_a_column_of_the_manifest_holds_the_groups(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.wav").write_bytes(b"x")
    (tmp_path / "m.csv").write_text("path,label,speaker\na.wav,0,ann\nb.wav,1,bob\n")
    found = from_manifest(tmp_path / "m.csv", group_by="speaker")
    assert found.groups == ["ann", "bob"] and found.problem_type == "single_label"
    assert from_manifest(tmp_path / "m.csv", group_by="(a)").groups == ()


def test_groups_of_a_column_are_trimmed_and_none_is_empty(tmp_path):
    rows = "text,label,speaker\na,0,ann \nb,1, ann\nc,0,bob\n"
    (tmp_path / "m.csv").write_text(rows)
    assert from_manifest(tmp_path / "m.csv", group_by="speaker").groups == ["ann", "ann", "bob"]
    (tmp_path / "m.csv").write_text(rows + "d,1,  \n")
    with pytest.raises(UserError, match="row 5: the group in speaker is empty"):
        from_manifest(tmp_path / "m.csv", group_by="speaker")


def test_what_is_of_no_group_is_for_itself():
    found = clips(["a", "b", "c", "d"], groups=["ann", "", "", "ann"], sha256=["1", "2", "3", "4"])
    assert [name == units(found)[0] for name in units(found)] == [True, False, False, True]


def test_test_data_need_no_groups():
    first = with_groups(by_speaker(), r"_([a-z]+)_")
    test = clips(["x", "y"])
    done = split(join(first, test), validation_fraction=0.2)
    assert {done.names[i] for i in done.where("test")} == {"x", "y"}
    assert len({done.groups[i] for i in done.where("val")}) == 1
    assert any("2 test examples are of no known group" in remark for remark in done.remarks)
    assert not join(test, with_groups(by_speaker(), r"_([a-z]+)_")).groups


def test_test_data_of_other_names_and_of_some_groups_are_read(picture_folder, tmp_path):
    for number, file in enumerate(sorted(picture_folder.glob("*/*.png"))):
        file.rename(file.with_name(f"{number}_{SPEAKERS[number % 5]}_.png"))
    files = sorted(picture_folder.glob("*/*.png"))
    for file, name in zip(files, ("new.png", "0_zoe_.png")):
        (tmp_path / "test" / file.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(file, tmp_path / "test" / file.parent.name / name)
    named = Experiment(
        data=str(picture_folder),
        backbone="small_cnn",
        test_data=str(tmp_path / "test"),
        group_by=r"_([a-z]+)_",
    )
    found = read_all(named)
    test = found.where("test")
    assert sorted(found.groups[i] for i in test) == ["", "zoe"]
    assert any("1 test examples are of no known group" in remark for remark in found.remarks)


def test_where_all_groups_stand_in_the_test_data_that_is_the_reason():
    first = with_groups(by_speaker(), r"_([a-z]+)_")
    test = clips([f"d0/{n}_{speaker}_y.wav" for n, speaker in enumerate(SPEAKERS)])
    with pytest.raises(
        UserError, match="for training, of 65: 60 training pictures or their groups"
    ):
        split(join(first, with_groups(test, r"_([a-z]+)_")))


def test_new_tables_need_no_column_of_groups_and_it_is_no_label(tmp_path):
    (tmp_path / "m.csv").write_text("text,mood,speaker\na b,0,ann\nb c,1,bob\n")
    (tmp_path / "n.csv").write_text("text,mood\na b,0\nb c,1\n")
    for name, groups in (("m", ["ann", "bob"]), ("n", ())):
        found = from_manifest(tmp_path / f"{name}.csv", group_by="speaker", to_train=False)
        assert found.problem_type == "single_label" and found.groups == groups


@pytest.mark.parametrize(
    ("group_by", "said"),
    [
        ("_([a-z]+", "no pattern"),
        ("_[a-z]+_", "0 groups"),
        ("(zz)", "does not match"),
        ("(z*)", "does not match"),
    ],
)
def test_patterns_that_cannot_be_are_refused(group_by, said):
    with pytest.raises(UserError, match=said):
        with_groups(by_speaker(), group_by)


def test_too_few_groups_are_refused():
    found = with_groups(clips([f"{n}_ann_" for n in range(9)]), r"_([a-z]+)_")
    with pytest.raises(UserError, match="1 groups"):
        split(found)


def test_a_name_that_is_no_column_is_refused(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"x")
    (tmp_path / "m.csv").write_text("path,label,speaker\na.wav,0,ann\n")
    with pytest.raises(UserError, match="speeker"):
        from_manifest(tmp_path / "m.csv", group_by="speeker")
