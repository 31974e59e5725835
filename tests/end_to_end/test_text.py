"""Texts from end to end: from a table to scores, and to a SavedModel that takes strings."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tftransfer
from tftransfer.commands.evaluate import evaluate
from tftransfer.commands.predict import predict
from tftransfer.utils.errors import UserError

NOISE = ["the", "a", "of", "and", "it", "film", "one", "plot", "with", "by", "then", "scene"]
TELLING = {
    "bad": ["dull", "mess", "boring", "stupid"],
    "good": ["fun", "witty", "lovely", "moving"],
}


def sentences(count, seed, noise=NOISE):
    """Texts of random words with one or two that decide the label, and their labels."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        label = ("bad", "good")[number % 2]
        words = [*rng.choice(noise, 6), *rng.choice(TELLING[label], 2)]
        yield " ".join(rng.permutation(words)), label


def write(path, rows):
    path.write_text("".join(f"{text}\t{label}\n" for text, label in [("text", "label"), *rows]))
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    write(folder / "train.tsv", sentences(120, 1))
    write(folder / "test.tsv", sentences(80, 2))
    return folder


@pytest.fixture(scope="module")
def vectors(data):
    rng = np.random.default_rng(3)
    words = [*NOISE, *TELLING["bad"], *TELLING["good"]]
    rows = (f"{word} {' '.join(map('{:.4f}'.format, rng.normal(size=16)))}\n" for word in words)
    path = data / "vectors.txt"
    path.write_text("".join(rows))
    return path


def experiment(folder, **changes):
    fields = {
        "data": str(folder / "train.tsv"),
        "test_data": str(folder / "test.tsv"),
        "backbone": "word_vectors",
        "batch_size": 16,
        "recipe": "feature_extraction:learning_rate=0.03,epochs=15,dropout=0.0",
    }
    return tftransfer.Experiment(**fields | changes)


def trained(experiment, folder, **options):
    return tftransfer.train(experiment, folder, cache_bytes=0, **options)


@pytest.fixture(scope="module")
def run(data, vectors, tmp_path_factory):
    return trained(experiment(data, weights=str(vectors)), tmp_path_factory.mktemp("run") / "run")


def test_run_learns_from_words_and_reports_their_coverage(run):
    assert run.result["test"]["accuracy"] > 0.85 and run.result["modality"] == "text"
    environment = (run.workdir / "environment.json").read_text()
    assert "100.0% of the words in the training texts have a vector" in environment


def test_evaluate_works_without_the_vectors(run, data, vectors):
    hidden = vectors.rename(vectors.with_suffix(".away"))
    try:
        found = evaluate(run.workdir)
        other = evaluate(run.workdir, data / "test.tsv")
    finally:
        hidden.rename(vectors)
    assert found.metrics["accuracy"] == other.metrics["accuracy"]
    assert found.metrics["accuracy"] == run.result["test"]["accuracy"]


def test_predict_takes_strings_files_and_tables(run, data, tmp_path):
    file = tmp_path / "one.txt"
    file.write_bytes("a DULL mess \u2013 caf\u00e9".encode("cp1252"))
    rows = predict(run.workdir, ["witty and fun", b"boring", file, data / "test.tsv", " "])
    assert [row.get("label") for row in rows[:3]] == ["good", "bad", "bad"]
    assert [rows[0]["name"], rows[3]["name"]] == ["#0", "test.tsv, row 2"]
    assert len(rows) == 84 and rows[-1]["error"] == "the text is empty"


def test_columns_of_the_run_apply_to_all_commands(data, vectors, tmp_path):
    for name in ("train", "test"):
        rows = (data / f"{name}.tsv").read_text().splitlines()[1:]
        lines = ("\t".join((str(n), *row.split("\t"))) for n, row in enumerate(rows))
        (tmp_path / f"{name}.tsv").write_text("\n".join(["label\tbody\tmood", *lines]))
    named = experiment(tmp_path, weights=str(vectors), columns="text=body,label=mood")
    run = trained(named, tmp_path / "run", export=False)
    assert run.result["test"]["accuracy"] > 0.85
    found = evaluate(run.workdir, tmp_path / "test.tsv")
    assert found.metrics["accuracy"] == run.result["test"]["accuracy"]
    assert len(predict(run.workdir, [tmp_path / "test.tsv"])) == 80
    usual = evaluate(run.workdir, data / "test.tsv")
    assert usual.metrics["accuracy"] == run.result["test"]["accuracy"]
    assert len(predict(run.workdir, [data / "test.tsv"])) == 80


def test_evaluate_accepts_data_of_one_class(run, data, tmp_path):
    header, *rows = (data / "test.tsv").read_text().splitlines()
    good = [row for row in rows if row.endswith("good")]
    (tmp_path / "good.tsv").write_text("\n".join([header, *good]))
    (tmp_path / "texts" / "good").mkdir(parents=True)
    for number, row in enumerate(good):
        (tmp_path / "texts" / "good" / f"{number}.txt").write_text(row.partition("\t")[0])
    found = [evaluate(run.workdir, tmp_path / each) for each in ("good.tsv", "texts")]
    assert found[0].metrics["accuracy"] == found[1].metrics["accuracy"] > 0.8
    with pytest.raises(UserError, match="has one class, good"):
        trained(experiment(tmp_path, data=str(tmp_path / "good.tsv")), tmp_path / "run")


def test_evaluate_accepts_tables_without_the_column_of_groups(data, vectors, tmp_path):
    header, *rows = (data / "train.tsv").read_text().replace("label", "mood").splitlines()
    lines = [f"{header}\tauthor", *(f"{row}\t{n % 9}" for n, row in enumerate(rows))]
    (tmp_path / "train.tsv").write_text("\n".join(lines))
    (tmp_path / "test.tsv").write_text((data / "test.tsv").read_text().replace("label", "mood"))
    named = experiment(tmp_path, weights=str(vectors), group_by="author")
    run = trained(named, tmp_path / "run", export=False)
    alone = evaluate(run.workdir, tmp_path / "test.tsv").metrics["accuracy"]
    assert alone == run.result["test"]["accuracy"]
    assert evaluate(run.workdir, tmp_path / "train.tsv").metrics["accuracy"] > 0.85


def served(folder, *texts):
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    return {k: v.numpy() for k, v in signature(text=tf.constant(texts)).items()}


def test_export_takes_strings(run):
    texts = ["Witty, and FUN!", b"\xff\xfe" + "boring".encode("utf-16-le"), "", b"a\0b"]
    found = served(run.export_dir, *texts)
    assert found["label"].tolist() == [b"good", b"bad", b"", b""]
    assert [bool(error) for error in found["error"]] == [False, False, True, True]
    ours = predict(run.workdir, ["Witty, and FUN!"])[0]["scores"]
    np.testing.assert_allclose(found["scores"][0], list(ours.values()), atol=1e-5)
    vocabulary = (run.export_dir / "assets.extra" / "vocabulary.txt").read_text().split()
    assert vocabulary[:2] == ["the", "a"]
    assert not (run.export_dir / "assets.extra" / "CLIENTS.txt").exists()


def test_run_on_texts_is_a_backbone_for_texts_only(run, data, image_folder, tmp_path):
    again = experiment(data, backbone=str(run.workdir), recipe="few_shot:solve=prototypes")
    found = trained(again, tmp_path / "again", export=False)
    assert found.result["test"]["accuracy"] > 0.75
    images = {"data": str(image_folder), "test_data": "", "backbone": str(run.workdir)}
    with pytest.raises(tftransfer.UserError, match="trained on texts, but the data are images"):
        trained(experiment(data, **images), tmp_path / "x")


def test_setfit_learns_from_few_texts(tmp_path):
    many = [f"word{number}" for number in range(400)]
    write(tmp_path / "train.tsv", sentences(60, 1, many))
    write(tmp_path / "test.tsv", sentences(200, 2, many))
    few = {"weights": "none", "labels_per_class": 8, "validation_fraction": 0.0, "seed": 1}
    solve = "few_shot:solve=logistic"
    accuracy = {}
    for recipe in (solve, f"{solve}+setfit:pair_rate=0.03,pair_epochs=40"):
        found = trained(
            experiment(tmp_path, recipe=recipe, **few), tmp_path / str(len(accuracy)), export=False
        )
        accuracy[found.result["recipe"]] = found.result["test"]["accuracy"]
    frozen, tuned = accuracy.values()
    assert tuned > frozen + 0.05, accuracy


def test_texts_without_spaces_are_read_to_their_end(tiny_bert, tmp_path):
    letters = [chr(0x4E00 + number) for number in range(40)]
    rows = (("".join(letters[n : n + 10]), "ab"[n % 2]) for n in range(30))
    write(tmp_path / "train.tsv", rows)
    few = experiment(tmp_path, backbone=str(tiny_bert[0]), test_data="", recipe="few_shot")
    found = trained(few, tmp_path / "run", export=False)
    assert found.experiment.length == 16
    assert "truncated" not in (found.workdir / "environment.json").read_text()


def test_mixup_of_token_ids_is_an_error(data, tmp_path):
    with pytest.raises(tftransfer.UserError, match="mixup cannot mix texts"):
        trained(experiment(data, recipe="scratch:mixup=0.2", weights="none"), tmp_path / "x")


@pytest.mark.slow
def test_transformer_is_trained_and_exported(tiny_bert, data, tmp_path):
    recipe = "fine_tune:unfreeze=2,lora=2"
    found = trained(
        experiment(data, backbone=str(tiny_bert[0]), recipe=recipe, epochs=2), tmp_path / "r"
    )
    assert found.result["export"]["max_difference"] < 1e-5
    texts = ["A good, not\u00a0very fun caf\u00e9", "du\u00adll"]
    ours = [list(row["scores"].values()) for row in predict(found.workdir, texts)]
    np.testing.assert_allclose(served(found.export_dir, *texts)["scores"], ours, atol=1e-5)
    files = {path.name for path in (found.export_dir / "assets.extra").iterdir()}
    assert files == {"CLIENTS.txt", "transformer.json", "vocabulary.txt"}


def test_backbone_with_sentencepiece_is_trained_exported_and_loaded(
    tiny_albert, data, tmp_path, log_lines
):
    wanted = experiment(data, backbone=str(tiny_albert), recipe="fine_tune:unfreeze=1", epochs=1)
    found = trained(wanted, tmp_path / "r")
    assert found.result["export"]["max_difference"] < 1e-5
    texts = ["a good film", "dull \u00fc \U0001f600"]
    ours = [list(row["scores"].values()) for row in predict(found.workdir, texts)]
    np.testing.assert_allclose(served(found.export_dir, *texts)["scores"], ours, atol=1e-5)
    loaded = tf.saved_model.load(str(found.export_dir)).signatures["serving_default"]
    tf.random.set_seed(7)
    np.testing.assert_allclose(loaded(text=tf.constant(texts))["scores"], ours, atol=1e-5)
    (needed,) = (line for line in log_lines if line.startswith("clients need"))
    assert "import tensorflow_text before loading" in needed
    extra = found.export_dir / "assets.extra"
    assert (extra / "CLIENTS.txt").read_text() == f"{needed}\n"
    assert {path.name for path in extra.iterdir()} == {
        "CLIENTS.txt",
        "transformer.json",
        "vocabulary.spm",
    }
    again = evaluate(found.workdir).metrics
    assert again["log_loss"] == found.result["test"]["log_loss"]


@pytest.fixture(scope="module")
def tiny_gpt2(tmp_path_factory):
    """A preset of a random GPT-2 with two blocks; its subwords are bytes and a few words."""
    models = pytest.importorskip("keras_hub").models
    pytest.importorskip("tensorflow_text")
    marked = [f"\u0120{word}" for word in [*NOISE, *TELLING["bad"], *TELLING["good"]]]
    merges = dict.fromkeys(f"{w[:k]} {w[k]}" for w in marked for k in range(1, len(w)))
    symbols = [chr(code) for code in range(33, 127)] + ["\u0120", "\u010a"]
    symbols += [merge.replace(" ", "") for merge in merges]
    symbols.append("<|endoftext|>")
    tokenizer = models.GPT2Tokenizer(
        vocabulary={symbol: number for number, symbol in enumerate(symbols)}, merges=list(merges)
    )
    keras.utils.set_random_seed(0)
    backbone = models.GPT2Backbone(
        vocabulary_size=len(symbols),
        num_layers=2,
        num_heads=2,
        hidden_dim=32,
        intermediate_dim=64,
        max_sequence_length=32,
    )
    folder = tmp_path_factory.mktemp("gpt2")
    backbone.save_to_preset(folder)
    tokenizer.save_to_preset(folder)
    return folder


@pytest.mark.slow
def test_language_model_classifies_with_lora(tiny_gpt2, data, tmp_path):
    recipe = (
        "fine_tune:unfreeze=3,decay=1.0,learning_rate=3e-3,head_epochs=1,epochs=12"
        "+lora:rank=8,rate=1"
    )
    run = trained(experiment(data, backbone=str(tiny_gpt2), recipe=recipe), tmp_path / "run")
    assert run.result["test"]["accuracy"] > 0.8
    texts = ["dull, and a mess", "witty \U0001f600"]
    ours = [list(row["scores"].values()) for row in predict(run.workdir, texts)]
    np.testing.assert_allclose(served(run.export_dir, *texts)["scores"], ours, atol=1e-5)


@pytest.mark.slow
def test_tfhub_module_of_strings_is_a_backbone(shared_data, tmp_path):
    made = tftransfer.Experiment(
        data=str(shared_data / "sst2" / "test.tsv"),
        trust_code=True,
        backbone=str(shared_data / "hub_modules" / "text_words_50d"),
        recipe="few_shot:solve=logistic",
    )
    found = trained(made, tmp_path / "run")
    assert found.result["test"]["accuracy"] > 0.52
    assert found.result["export"]["max_difference"] < 1e-5
    assert predict(found.workdir, ["a witty film"])[0]["label"] in ("0", "1")
