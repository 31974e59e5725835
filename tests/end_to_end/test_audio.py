"""A run on clips, from their files to the SavedModel."""

import json

import numpy as np
import pytest
import tensorflow as tf

import tftransfer
from tftransfer.backbones.load import load_backbone, max_length
from tftransfer.commands.inspect import inspect
from tftransfer.data.examples import SPLIT_DTYPE, Examples
from tftransfer.planning.make_plan import make_plan
from tftransfer.preprocessing.audio.wav import encode_wav
from tftransfer.probes import layer_probes
from tftransfer.utils.errors import UserError

HERTZ = {"high": 3000, "low": 300, "middle": 1000}


def tone(hertz, number, rate):
    random = np.random.default_rng([hertz, number])
    time = np.arange(int(rate * random.uniform(0.5, 1.2))) / rate
    sound = np.sin(2 * np.pi * hertz * random.uniform(0.9, 1.1) * time)
    return (0.3 * sound + 0.02 * random.normal(size=len(time))).astype(np.float32)


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    """Three pitches by four players, at two sample rates."""
    root = tmp_path_factory.mktemp("tones")
    for name, hertz in HERTZ.items():
        (root / name).mkdir()
        for number in range(24):
            rate, player = (16_000, 22_050)[number % 2], "abcd"[number // 6]
            data = encode_wav(tone(hertz, number, rate), rate)
            (root / name / f"{number}_{player}.wav").write_bytes(data)
    (root / "low" / "cut_a.wav").write_bytes(encode_wav(np.ones(4_000))[:-1_000])
    return root


@pytest.fixture(scope="module")
def run(tones, tmp_path_factory):
    experiment = tftransfer.Experiment(
        data=str(tones),
        backbone="small_cnn:width=8,depth=3",
        weights="none",
        batch_size=16,
        recipe="scratch:epochs=30,augment=none,learning_rate=1e-2",
        group_by=r"_(\w)\.",
        validation_fraction=0.3,
    )
    return tftransfer.train(experiment, tmp_path_factory.mktemp("audio"))


def test_run_learns_pitches_of_other_players_and_splits_by_player(run):
    assert run.result["test"]["accuracy"] > 0.9
    split = json.loads((run.workdir / "split.json").read_text())
    place = {name: number for number, name in enumerate(split["columns"])}
    by_split = {}
    for row in split["examples"]:
        player = row[place["name"]].partition("_")[2]
        by_split.setdefault(row[place["split"]], set()).add(player)
    assert len(by_split) == 3 and sum(map(len, by_split.values())) == 4
    assert "truncated" in (run.workdir / "quarantine.csv").read_text()


def test_evaluate_without_data_equals_the_result(run):
    again = tftransfer.evaluate(run.workdir)
    assert again.metrics["accuracy"] == run.result["test"]["accuracy"]


def test_export_takes_wav_bytes_and_waveforms(run, tones):
    served = tf.saved_model.load(str(run.export_dir))
    sound = tone(300, 99, 16_000)
    by_bytes = served.signatures["serving_default"](
        audio_bytes=tf.constant([encode_wav(sound), b"not a clip"])
    )
    by_wave = served.signatures["waveform"](waveform=tf.constant(sound[None]))
    assert by_bytes["label"].numpy().tolist() == [b"low", b""]
    assert b"WAV" in by_bytes["error"].numpy()[1]
    np.testing.assert_allclose(by_bytes["scores"][0], by_wave["scores"][0], atol=1e-5)
    assert by_wave["label"].numpy().tolist() == [b"low"]
    notes = (run.export_dir / "assets.extra" / "CLIENTS.txt").read_text()
    assert "of a longer clip the export uses the middle 1.2 s" in notes


def test_export_refuses_clips_that_training_refuses_and_scores_the_others(run):
    served = tf.saved_model.load(str(run.export_dir)).signatures["serving_default"]
    sound, broken = tone(300, 99, 16_000), []
    for place, value in ((3, np.nan), (-1, np.inf)):
        broken.append(sound.copy())
        broken[-1][place] = value
    answer = served(audio_bytes=tf.constant([encode_wav(each) for each in (*broken, sound)]))
    assert answer["label"].numpy().tolist() == [b"", b"", b"low"]
    assert [bool(error) for error in answer["error"].numpy()] == [True, True, False]
    assert np.isnan(answer["scores"][:2]).all() and np.isfinite(answer["scores"][2]).all()


def test_predict_takes_files_and_waveforms(run, tones):
    found = tftransfer.predict(
        run.workdir, [tones / "low" / "1_a.wav", tones / "low" / "cut_a.wav"]
    )
    assert found[0]["label"] == "low" and "truncated" in found[1]["error"]
    sound = tone(300, 99, 16_000)
    waveforms = [sound, np.int16(sound * 32_767), np.stack([sound, sound], axis=1), sound.tolist()]
    assert [each["label"] for each in tftransfer.predict(run.workdir, waveforms)] == ["low"] * 4
    with pytest.raises(UserError, match="Clip 1 is None"):
        tftransfer.predict(run.workdir, [sound, None])


def test_evaluate_needs_no_groups(run, tones, tmp_path):
    for file in tones.glob("*/[0-9]*_a.wav"):
        place = tmp_path / file.parent.name / f"{file.stem.replace('_a', '')}.wav"
        place.parent.mkdir(exist_ok=True)
        place.symlink_to(file)
    assert tftransfer.evaluate(run.workdir, tmp_path).metrics["accuracy"] > 0.5


def test_predict_and_evaluate_take_tables_of_clips_of_one_class(run, tones, tmp_path):
    files = sorted((tones / "low").glob("[0-9]*.wav"))[:4]
    (tmp_path / "m.csv").write_text("\n".join(["wav,class", *(f"{file},low" for file in files)]))
    rows = tftransfer.predict(run.workdir, [tmp_path / "m.csv"])
    assert [row["label"] for row in rows] == ["low"] * 4
    assert tftransfer.evaluate(run.workdir, tmp_path / "m.csv").metrics["accuracy"] == 1.0


def test_predict_warns_of_clips_that_are_truncated(run, tmp_path, log_lines):
    long, short = np.tile(tone(300, 99, 16_000), 20), tone(300, 98, 16_000)
    found = tftransfer.predict(run.workdir, [short, long, long])
    assert "warning" not in found[0] and "only the middle is used" in found[1]["warning"]
    assert found[1]["label"] == "low"
    (line,) = [line for line in log_lines if "the middle is used" in line]
    assert line.startswith("2 clips longer than 1.2 s") and line.endswith("#1 ...")


@pytest.mark.parametrize(
    ("backbone", "length"), [("mobilenet_v2:alpha=0.35,window=5", 20.0), ("small_cnn", 10.0)]
)
def test_plan_of_long_clips_uses_all_of_them_if_the_network_has_windows(backbone, length):
    waves = np.random.default_rng(0).uniform(-1, 1, (20, 20_000)).astype(np.float32)
    experiment = tftransfer.Experiment(
        data=tftransfer.from_waveforms(waves, [0, 1] * 10, rate=1000),
        backbone=backbone,
        weights="none",
        image_size=32,
        recipe="feature_extraction",
    )
    plan = make_plan(experiment, cache_bytes=0)
    assert plan.network.backbone.preprocessor.length == plan.experiment.length == length
    setting = next(str(each) for each in plan.auto_settings if each.name == "length")
    assert ("longer clips is used" in setting) == (length == 10.0)


def test_max_length_follows_from_the_name_of_the_backbone(run):
    def of(name):
        return max_length(name, "audio")

    assert of("yamnet:layer=stage7") == of("whisper_tiny_en") == of("mobilenet_v2") == 30.0
    assert of("small_cnn") == of(str(run.workdir)) == of("https://tfhub.dev/x/y/1") == 10.0
    assert max_length("mobilenet_v2", "image") == np.inf


def test_run_is_a_backbone_for_clips_and_not_for_images(run, tones, image_folder, tmp_path):
    experiment = tftransfer.Experiment(
        data=str(image_folder), backbone=str(run.workdir), recipe="feature_extraction"
    )
    with pytest.raises(UserError, match="trained on clips, but the data are images"):
        tftransfer.train(experiment, tmp_path / "run")
    source = load_backbone(f"{run.workdir}:layer=stage2", modality="audio")
    assert [stage.name for stage in source.stages] == ["stage1", "stage2"]


def test_inspect_compares_stages_by_a_probe_that_keeps_players_together(tones):
    report = inspect(
        data=str(tones), backbone="small_cnn:depth=3", weights="none", group_by=r"_(\w)\."
    )
    assert "linear probe on each stage" in report and "stage3" in report and " best" in report


def test_report_of_a_run_on_clips_compares_the_stages(run, tones, tmp_path):
    experiment = tftransfer.Experiment(
        data=str(tones),
        backbone=str(run.workdir),
        recipe="few_shot",
        group_by=r"_(\w)\.",
        validation_fraction=0.0,
    )
    found = tftransfer.train(experiment, tmp_path / "run", export=False)
    layer_probes = found.result["layer_probes"]
    assert (
        list(layer_probes["accuracy"]) == ["stage1", "stage2", "stage3"]
        and layer_probes["examples"] > 30
    )
    text = (found.workdir / "report.md").read_text()
    assert "## Features of each stage" in text and "| stage2 |" in text
    assert (
        "layer_probes" not in run.result
    )  # trained from scratch, so there are no earlier features


def test_layer_probes_use_labeled_examples_only(run, tones, tmp_path):
    experiment = tftransfer.Experiment(
        data=str(tones),
        target_data=str(tones),
        backbone=str(run.workdir),
        image_size=0,
        recipe="fine_tune:head_epochs=1,epochs=1,augment=none+mmd",
        batch_size=16,
    )
    found = tftransfer.train(experiment, tmp_path / "run", export=False)
    assert found.result["layer_probes"]["examples"] <= len(list(tones.rglob("*.wav")))


def test_probe_layers_of_too_few_groups_is_empty():
    labels = np.repeat([0, 1], 10)
    examples = Examples(
        names=list(map(str, range(20))),
        items=[b""] * 20,
        labels=labels,
        problem_type="single_label",
        classes=("a", "b"),
        splits=np.full(20, "train", SPLIT_DTYPE),
        groups=["x"] * 10 + ["y"] * 10,
    )
    values = {"stage1": np.random.default_rng(0).normal(size=(20, 3))}
    assert layer_probes.probe_layers(values, examples) == {}


def test_probe_sampled_layers_of_small_classes_is_none(run):
    few = Examples(
        names=list("abcdef"),
        items=[b""] * 6,
        labels=np.repeat([0, 1, 2], 2),
        modality="audio",
        problem_type="single_label",
        classes=("a", "b", "c"),
        splits=np.full(6, "train", SPLIT_DTYPE),
    )
    network = tftransfer.load(run.workdir).trained_model.network
    assert layer_probes.probe_sampled_layers(network, few) is None


def test_probe_sample_of_many_classes_has_some_of_them_completely():
    labels = np.repeat(np.arange(100), 9)
    examples = Examples(
        names=list(map(str, range(900))),
        items=[b""] * 900,
        labels=labels,
        problem_type="single_label",
        classes=tuple(map(str, range(100))),
        splits=np.full(900, "train", SPLIT_DTYPE),
    )
    some = labels[layer_probes._sample(examples, 0)]
    assert len(some) == 200 and (np.unique(some, return_counts=True)[1] == 5).all()


def test_image_backbone_for_audio_reads_spectrograms():
    backbone = load_backbone(
        "mobilenet_v2:alpha=0.35", weights="none", modality="audio", image_size=64, length=1.0
    )
    assert backbone.preprocessor.shape == (
        64,
        64,
        3,
    ) and backbone.preprocessor.description.startswith("1 s as")
    assert len(backbone.stages) > 3


def test_inspect_describes_an_audio_backbone_without_data():
    text = inspect(backbone="yamnet", weights="none")
    assert "stage14" in text and "0.975 s" in text
