"""Each method's effect on real data: the digits 5-9, or 0-4 in another light."""

import functools
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, RidgeClassifierCV
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

import tftransfer
from tftransfer.checkpoints import weights
from tftransfer.data.encode import encode_png
from tftransfer.features.extractor import FeatureExtractor
from tftransfer.planning import teachers
from tftransfer.preprocessing.image.augmentation import Augmenter
from tftransfer.preprocessing.image.decode import decode_resized
from tftransfer.probes.closed_form import SOLVERS
from tftransfer.recipes import make_recipe
from tftransfer.training import domain_adaptation, stepless_phases
from tftransfer.training.teacher_outputs import TeacherOutputs

SIZE = 16
# One phase that trains every stage, so that two runs differ in their method alone.
WHOLE = "deep_transfer:keep=3,frozen=0,source_rate=1,augment=none,batch_norm={},epochs={}"
TUNED = WHOLE.format("frozen", 6)
SHIFT = 0.5, 100
SLOW = functools.partial(pytest.param, marks=pytest.mark.slow)


def digits_of(classes, start, stop):
    """Some pictures of each class [n, 8, 8], and their labels as words."""
    every = load_digits()
    places = [np.flatnonzero(every.target == each)[start:stop] for each in classes]
    some = np.concatenate(places)
    return np.round(every.images[some] / 16 * 255).astype(np.uint8), every.target[some].astype(str)


def in_other_light(images):
    return (SHIFT[0] * images + SHIFT[1]).astype(np.uint8)


NEW, UNSEEN = digits_of(range(5, 10), 0, 60), digits_of(range(5, 10), 60, 120)
KNOWN, DARK = digits_of(range(5), 0, 60), in_other_light(digits_of(range(5), 60, 120)[0])
DARK_TEST = digits_of(range(5), 120, 170)
DARK_TEST = in_other_light(DARK_TEST[0]), DARK_TEST[1]


@pytest.fixture(scope="module")
def anew(source_run, tmp_path_factory):
    """Trains a recipe, with further settings."""

    def train(recipe, *, export=False, **settings):
        defaults = {
            "data": NEW,
            "backbone": str(source_run.workdir),
            "image_size": SIZE,
            "seed": 1,
            "batch_size": 16,
            "validation_fraction": 0.2,
            "test_fraction": 0.2,
        }
        experiment = tftransfer.Experiment(recipe=recipe, **defaults | settings)
        return tftransfer.train(experiment, tmp_path_factory.mktemp("method"), export=export)

    return train


@pytest.fixture(scope="module")
def trained(anew):
    """As `anew`, each recipe once."""
    return functools.cache(anew)


@pytest.fixture(scope="module")
def adapted(anew):
    """As `trained`, from the digits 0 to 4 to others in another light."""
    return functools.cache(functools.partial(anew, data=KNOWN, target_data=DARK, batch_size=32))


@pytest.fixture(scope="module")
def teacher(trained):
    return trained(WHOLE.format("train", 10))


def pixels(images):
    return np.stack([decode_resized(encode_png(x, i), SIZE) for i, x in enumerate(images)])


def outputs(run, images=UNSEEN[0]):
    """Of the network, by name."""
    found = tftransfer.load(run.workdir).trained_model.network.predict(
        pixels(images).astype(np.float32)
    )
    return {name: value.numpy() for name, value in found.items()}


def softmax(logits):
    each = np.exp(logits - logits.max(axis=1, keepdims=True))
    return each / each.sum(axis=1, keepdims=True)


def divergence(truth, said):
    """Mean Kullback-Leibler divergence of rows of scores, in nats."""
    p, q = softmax(truth), softmax(said)
    return float((p * (np.log(p + 1e-9) - np.log(q + 1e-9))).sum(axis=1).mean())


def losses(run, phase):
    return [row["loss"] for row in run.metrics() if row["phase"] == phase]


def refused(trained, match, recipe, **settings):
    with pytest.raises(tftransfer.UserError, match=match) as error:
        trained(recipe, **settings)
    assert error.value.remedy and len(str(error.value).splitlines()) == 2


# What holds fine-tuning to the source.


def source_features(source_run, trained):
    """By the stages of the source, at this size of pictures."""
    network = tftransfer.load(trained(TUNED).workdir).trained_model.network
    stages = {stage: network.blocks[stage] for stage in ("stage1", "stage2", "stage3")}
    weights.assign_blocks(stages, weights.read(source_run.weights), source_run.weights)
    return network.predict(pixels(UNSEEN[0]).astype(np.float32))["features"].numpy()


def source_head(run):
    values = weights.read(run.weights)
    return [values[name] for name in sorted(values) if name.startswith("head/")]


def test_delta_holds_the_features(trained, source_run):
    then = source_features(source_run, trained)
    free, held = (
        np.abs(outputs(trained(recipe))["features"] - then).mean()
        for recipe in (TUNED, f"{TUNED}+delta:strength=10")
    )
    assert held < 0.7 * free


@pytest.mark.slow
def test_bss_makes_the_smallest_singular_values_smaller(trained):
    free, shrunk = (
        np.linalg.svd(outputs(trained(recipe), NEW[0])["features"], compute_uv=False)[-3:].mean()
        for recipe in (TUNED, f"{TUNED}+bss:strength=0.1,count=4")
    )
    assert shrunk < 0.9 * free


def test_lwf_keeps_the_scores_of_the_source(trained, source_run):
    kernel, bias = source_head(source_run)
    then = source_features(source_run, trained) @ kernel + bias
    free = outputs(trained(TUNED))["features"] @ kernel + bias
    held = outputs(trained(f"{TUNED}+lwf:strength=5"))["source_logits"]
    assert divergence(then, held) < 0.5 * divergence(then, free)


@pytest.mark.slow
def test_lora_changes_kernels_by_its_rank_and_leaves_no_variables(trained, source_run):
    run = trained(f"{TUNED}+lora:rank=2")
    before, after = weights.read(source_run.weights), weights.read(run.weights)
    assert not [name for name in after if "lora" in name]
    assert set(after) == set(weights.read(trained(TUNED).weights))
    for name, value in after.items():
        if name.startswith("head"):
            continue
        change = value - before[name]
        if name.endswith("kernel"):
            sizes = np.linalg.svd(change.reshape(-1, change.shape[-1]), compute_uv=False)
            assert sizes[0] > 1e-3, name
            assert np.all(sizes[2:] < 1e-4 * sizes[0]), name
        else:
            assert not change.any(), name
    again = tftransfer.evaluate(run.workdir, NEW)
    assert np.isfinite(again.metrics["log_loss"])


@pytest.mark.slow
def test_lora_and_l2_sp_hold_what_the_update_does(trained, source_run):
    before = weights.read(source_run.weights)
    free, held = (
        sum(
            float(((value - before[name]) ** 2).sum())
            for name, value in weights.read(trained(recipe).weights).items()
            if name.startswith("stage") and name.endswith("kernel")
        )
        for recipe in (f"{TUNED}+lora:rank=2", f"{TUNED}+lora:rank=2+l2_sp:strength=1.0")
    )
    assert 0 < held < 0.7 * free


def test_wise_ft_takes_the_mix_of_the_least_loss(trained, anew, source_run, monkeypatch):
    """Its ends are the networks before and after the last phase."""
    recipe = "fine_tune:head_epochs=2,epochs=2,unfreeze=1,augment=none"
    (curve,) = [p["curve"] for p in trained(f"{recipe}+wise_ft").result["phases"] if "curve" in p]
    assert [row["mix"] for row in curve] == pytest.approx(np.linspace(0, 1, 11))
    best = min(curve, key=lambda row: row["loss"])
    validation = trained(f"{recipe}+wise_ft").metrics()
    ends = [
        [row["val_log_loss"] for row in validation if row["phase"] == phase]
        for phase in ("head", "tune")
    ]
    assert [curve[0]["loss"], curve[-1]["loss"]] == pytest.approx([min(e) for e in ends], rel=1e-4)
    monkeypatch.setattr(stepless_phases, "_MIXES", [best["mix"]])
    assert (
        anew(f"{recipe}+wise_ft").result["weights_sha256"]
        == trained(f"{recipe}+wise_ft").result["weights_sha256"]
    )


def test_wise_ft_needs_a_validation_part(anew):
    refused(anew, "validation split", "wise_ft:epochs=1", validation_fraction=0.0)


# Teachers.

STUDENT = WHOLE.format("train", 30)


@pytest.fixture(scope="module")
def student(anew):
    settings = {"unlabelled_data": UNSEEN[0], "labels_per_class": 4}
    return functools.cache(functools.partial(anew, **settings))


def apart(teacher, run):
    images = digits_of(range(5, 10), 120, 170)[0]
    return divergence(outputs(teacher, images)["logits"], outputs(run, images)["logits"])


@pytest.mark.slow
def test_a_student_agrees_with_its_teacher(student, teacher):
    alone = apart(teacher, student(STUDENT))
    taught = apart(teacher, student(f"{STUDENT}+distill:unlabelled=1,teacher={teacher.workdir}"))
    assert taught < 0.9 * alone


def test_the_teacher_says_everything_once(anew, teacher, monkeypatch):
    asked, real = [], TeacherOutputs._of_view
    monkeypatch.setattr(
        TeacherOutputs, "_of_view", lambda *args: asked.append(args[3]) or real(*args)
    )
    filled, fill = [], FeatureExtractor.fill

    def counted(self, key, indices):
        of_teacher = {phase.boundary for phase in self._phases} == {"features"}
        if of_teacher and not self.store.has(key, indices):
            filled.append(key)
        fill(self, key, indices)

    monkeypatch.setattr(FeatureExtractor, "fill", counted)
    recipe = "fine_tune:unfreeze=1,head_epochs=1,epochs=6,augment=shift,views=2"
    anew(f"{recipe}+distill:teacher={teacher.workdir}")
    assert asked == [0, 1]
    assert [(key.view.number, key.view.augment) for key in filled] == [(0, "none"), (1, "shift")]


def test_a_teacher_of_more_classes_in_another_order_is_asked_for_the_students(monkeypatch):
    more = SimpleNamespace(
        classes=("d", "a", "c", "b"), network="its network", problem_type="single_label"
    )
    monkeypatch.setattr(teachers, "load", lambda name: more)
    monkeypatch.setattr(teachers, "is_run", lambda path: True)
    recipe = make_recipe("fine_tune+distill:teacher=x")
    (found,) = teachers.load_teachers(recipe, ("a", "b", "d"))
    assert found.columns == (1, 3, 0)
    with pytest.raises(tftransfer.UserError, match="does not have these classes: e"):
        teachers.load_teachers(recipe, ("a", "e"))
    more.problem_type = "multi_label"
    with pytest.raises(tftransfer.UserError, match="its problem type is multi_label"):
        teachers.load_teachers(recipe, ("a", "b"))


def test_a_teacher_of_other_classes_is_refused(anew, source_run):
    refused(anew, "does not have these classes: 5, 6", f"distill:teacher={source_run.workdir}")
    refused(anew, "has no teacher", "distill")


def test_a_teacher_without_classes_teaches_features(anew, monkeypatch):
    """A plain backbone, and with it another; their features stand side by side."""

    real = teachers.load_backbone
    monkeypatch.setattr(
        teachers, "load_backbone", lambda name, **options: real(name, weights="none", **options)
    )
    names = "small_cnn:width=4|small_cnn:width=8"
    refused(anew, "is not a run", f"distill:teacher={names}")
    run = anew(f"{TUNED}+distill_features:teacher={names}")
    (head,) = [head for head in run.experiment.recipe.heads if head.name == "hint"]
    assert head.units == 4 * 4 + 8 * 4
    fallen = losses(run, "deep_transfer")
    assert fallen[-1] < 0.8 * fallen[0]


def test_several_teachers_say_the_mean_of_their_probabilities(anew, teacher, trained):
    second = trained(TUNED)
    asked, real = [], TeacherOutputs._of_view

    def kept(self, *args):
        asked.append((args[1], real(self, *args)))
        return asked[-1][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TeacherOutputs, "_of_view", kept)
        anew(f"{WHOLE.format('frozen', 1)}+distill:teacher={teacher.workdir}|{second.workdir}")
    (_, said), *_ = asked
    assert np.exp(said).sum(axis=1) == pytest.approx(1, abs=1e-4)


# Another domain.

ADAPTED = WHOLE.format("frozen", 8)


def dark_accuracy(run):
    found = tftransfer.evaluate(run.workdir, DARK_TEST)
    return found.metrics["accuracy"]


HEAD_FIRST = (
    "fine_tune:unfreeze=3,decay=1,head_epochs=2,epochs=6,learning_rate=1e-3,"
    "head_learning_rate=1e-2,augment=none"
)


@pytest.fixture(scope="module")
def unadapted(adapted):
    """It stands for every method of no strength."""
    return adapted(ADAPTED)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "batch_norm"), [("adabn", "train"), ("mmd", "frozen")])
def test_what_adapts_is_right_more_often(adapted, method, batch_norm):
    base = f"{HEAD_FIRST},batch_norm={batch_norm}"
    assert dark_accuracy(adapted(f"{base}+{method}")) > dark_accuracy(adapted(base)) + 0.1


@pytest.mark.slow
def test_no_strength_is_no_method(adapted, unadapted):
    none = adapted(f"{ADAPTED}+ddc:strength=0")
    assert none.result["weights_sha256"] == unadapted.result["weights_sha256"]


def of_both(run):
    return outputs(run, KNOWN[0])["features"], outputs(run, DARK)["features"]


def mean_distance(run):
    source, target = of_both(run)
    return float(((source.mean(axis=0) - target.mean(axis=0)) ** 2).sum())


def covariance_distance(run):
    source, target = of_both(run)
    return float(((np.cov(source.T) - np.cov(target.T)) ** 2).sum())


def uncertainty(run):
    p = softmax(outputs(run, DARK)["logits"])
    return float(-(p * np.log(p + 1e-9)).sum(axis=1).mean())


@pytest.mark.parametrize(
    ("method", "figure"),
    [
        SLOW("mmd", lambda run: run.result["phases"][-1]["judged"]["domain_gap"]),
        SLOW("ddc", mean_distance),
        SLOW("coral", covariance_distance),
        SLOW("entropy:strength=1", uncertainty),
    ],
)
def test_a_method_makes_its_own_figure_smaller(adapted, unadapted, method, figure):
    assert figure(adapted(f"{ADAPTED}+{method}")) < 0.8 * figure(unadapted)


@pytest.mark.parametrize("method", ["dann", SLOW("cdan")])
def test_a_discriminator_is_misled(adapted, method):
    """Its loss is part of the whole; without reversal nothing misleads it."""
    told, misled = (
        losses(adapted(f"{ADAPTED}+{method}:strength=1,reversal={reversal}"), "deep_transfer")
        for reversal in (0, 1)
    )
    assert misled[-1] > told[-1] + 0.1


SOURCE_ALONE = "scratch:augment=none,epochs=15"


def test_adda_trains_a_network_for_the_target_and_harm_is_undone(adapted, unadapted):
    """At so high a rate the target's features fall together."""
    run = adapted(f"{ADAPTED}+adda:epochs=2,learning_rate=1e-3")
    tuned, adda = run.result["phases"]
    assert adda["rates"] == {"stage1": 1, "stage2": 1, "stage3": 1, "head": 0, "domain": 10}
    assert adda["judged"]["reverse_validation"] < tuned["judged"]["reverse_validation"]
    assert tuned["kept"]
    before, after = (weights.read(each.weights) for each in (unadapted, run))
    assert all(np.array_equal(value, after[name]) for name, value in before.items())


@pytest.mark.slow
def test_adda_reads_the_digits_of_another_post_office(shared_data, tmp_path):
    """MNIST has labels, USPS none; measured: 0.707 before and 0.873 after."""
    with np.load(shared_data / "digits" / "mnist_10k.npz") as stored:
        some = np.random.default_rng(0).permutation(len(stored["x_train"]))[:1500]
        known = stored["x_train"][some], stored["y_train"][some]
    with np.load(shared_data / "digits" / "usps.npz") as stored:
        target, test = stored["x_train"][:1500], (stored["x_test"][:1000], stored["y_test"][:1000])
    before, after = (
        tftransfer.train(
            tftransfer.Experiment(
                data=known,
                test_data=test,
                target_data=target,
                backbone="small_cnn",
                weights="none",
                image_size=28,
                batch_size=64,
                recipe=recipe,
            ),
            tmp_path / str(len(recipe)),
            export=False,
        ).result["test"]["accuracy"]
        for recipe in (SOURCE_ALONE, f"{SOURCE_ALONE}+adda:epochs=15")
    )
    assert after > before + 0.1


def test_reweighting_counts_what_is_like_the_target(anew, source_run):
    """The target is of two of the classes: theirs count more."""
    seen = {}
    real = domain_adaptation.density_weights

    def kept(extractor, plan):
        seen["ratios"], seen["labels"] = real(extractor, plan), plan.examples.labels
        seen["train"] = plan.examples.where("train")
        return seen["ratios"]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(domain_adaptation, "density_weights", kept)
        target = digits_of(range(2), 60, 120)[0]
        run = anew(f"{WHOLE.format('frozen', 1)}+reweight", data=KNOWN, target_data=target)
    train = seen["train"]
    ratios, labels = seen["ratios"][train], seen["labels"][train]
    assert ratios.mean() == pytest.approx(1, abs=1e-3)
    assert ratios[labels < 2].mean() > 2 * ratios[labels >= 2].mean()
    assert np.isfinite(run.result["test"]["log_loss"])


@pytest.mark.parametrize(
    "method",
    sorted({"dann", "cdan", "mmd", "ddc", "coral", "entropy", "adda", "adabn", "reweight"}),
)
def test_adaptation_needs_pictures_of_the_target(anew, method):
    refused(anew, "target domain, and there are none", method)


def test_labels_of_the_target_are_not_looked_at(anew):
    recipe = f"{WHOLE.format('train', 1)}+mmd+adabn"
    labels = np.repeat(["0", "1", "2", "3"], len(DARK) // 4)
    first, second = (
        anew(recipe, data=KNOWN, target_data=(DARK, some)).result for some in (labels, labels[::-1])
    )
    assert first["weights_sha256"] == second["weights_sha256"]
    assert first["phases"][-1]["judged"] == second["phases"][-1]["judged"]


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
def test_very_few_pictures_of_the_target_are_enough_to_go_on(anew, count):
    run = anew(f"{WHOLE.format('train', 1)}+mmd", data=KNOWN, target_data=DARK[:count])
    assert np.isfinite(run.result["test"]["log_loss"])


# Pictures without labels.

PROBE = "feature_extraction:epochs=1,augment=none"


def probed(network):
    """Accuracy of a linear classifier on features."""
    features = [
        network.predict(pixels(images).astype(np.float32))["features"].numpy()
        for images in (NEW[0], UNSEEN[0])
    ]
    scale = features[0].std(axis=0) + 1e-6
    model = LogisticRegression(C=0.1, max_iter=300).fit(features[0] / scale, NEW[1])
    return model.score(features[1] / scale, UNSEEN[1])


FRESH = {"backbone": "small_cnn", "weights": "none", "batch_size": 32}


@pytest.mark.slow
def test_simclr_makes_features_better_than_random_ones(anew):
    """By `shift`, as digits have a left and a right; nothing else sees the pictures."""
    recipe = f"{PROBE}+simclr:pretrain_epochs=24,pretrain_rate=3e-3"
    run = anew(recipe, unlabelled_data=UNSEEN[0], **FRESH)
    assert losses(run, "simclr")[-1] < losses(run, "simclr")[0] - 0.1
    after = probed(tftransfer.load(run.workdir).trained_model.network)
    before = probed(tftransfer.load(anew(PROBE, **FRESH).workdir).trained_model.network)
    assert after > before + 0.03


@pytest.mark.parametrize("method", ["simclr", SLOW("simsiam")])
def test_two_views_are_of_the_same_pictures(anew, monkeypatch, method):
    """In every epoch: 300 pictures do not fill its batches."""
    from tftransfer.training import trainer

    seen = []

    class Kept(trainer.Streams):
        def __init__(self, streams, **options):
            super().__init__(streams, **options)
            seen.append(dict(streams))

    monkeypatch.setattr(trainer, "Streams", Kept)
    anew(f"{PROBE}+{method}:pretrain_epochs=1", unlabelled_data=UNSEEN[0], **FRESH)
    first, second = (seen[0][name] for name in ("view_a", "view_b"))
    for epoch in range(3):
        for step in (0, 4, first.steps - 1):
            assert np.array_equal(first.batch(epoch, step), second.batch(epoch, step))


@pytest.mark.parametrize(
    "method", [SLOW("simsiam"), "autoencoder", SLOW("autoencoder:noise=1"), SLOW("vae")]
)
def test_what_learns_without_labels_minimises_its_loss(anew, method):
    joined = "," if ":" in method else ":"
    recipe = f"{PROBE}+{method}{joined}pretrain_epochs=4,pretrain_rate=3e-3"
    run = anew(recipe, unlabelled_data=UNSEEN[0][::2], **FRESH)
    fallen = losses(run, method.partition(":")[0])
    assert fallen[-1] < fallen[0] - 0.05 * abs(fallen[0])
    assert np.isfinite(run.result["test"]["log_loss"])


@pytest.mark.slow
def test_fixmatch_teaches_what_is_sure_to_another_view(anew):
    """Its loss is that of strong views alone, so with it they are classified better."""
    recipe = f"{WHOLE.format('train', 30)},label_smoothing=0"
    free, held = (
        anew(each, unlabelled_data=UNSEEN[0], labels_per_class=8)
        for each in (recipe, f"{recipe}+fixmatch:threshold=0.6")
    )
    # Many views of each, so that no single picture decides.
    views = [Augmenter("strong")(pixels(UNSEEN[0]), view).numpy() for view in range(10)]
    labels = np.tile(UNSEEN[1].astype(int) - 5, len(views))
    right = []
    for run in (free, held):
        network = tftransfer.load(run.workdir).trained_model.network
        logits = network.predict(np.concatenate(views))["logits"].numpy()
        right.append((logits.argmax(axis=1) == labels).mean())
    assert right[1] > right[0]


def test_fixmatch_smooths_no_labels():
    phases = make_recipe("fine_tune+fixmatch", stages=3).phases
    assert [phase.losses[0].label_smoothing for phase in phases] == [0.1, 0.0]


# Solved heads.


SKLEARN = {
    "prototypes": NearestCentroid(),
    "cosine": make_pipeline(Normalizer(), NearestCentroid()),
    "ridge": RidgeClassifierCV(np.geomspace(1e-2, 1e3, 11)),
    "logistic": make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500)),
}


@pytest.mark.parametrize("solve", sorted(SOLVERS))
def test_few_shot_is_as_good_as_scikit_learn(anew, solve):
    export = solve == "cosine"
    run = anew(f"few_shot:solve={solve}", labels_per_class=10, export=export)
    network = tftransfer.load(run.workdir).trained_model.network
    rows = [row for row in run.split["examples"] if row[1] == "train"]
    places = [int(row[0].rpartition("#")[2]) for row in rows]
    features = network.predict(pixels(NEW[0][places]).astype(np.float32))["features"].numpy()
    unseen = network.predict(pixels(UNSEEN[0]).astype(np.float32))
    model = SKLEARN[solve].fit(features, NEW[1][places])
    theirs = model.score(unseen["features"].numpy(), UNSEEN[1])
    ours = (unseen["logits"].numpy().argmax(axis=1) == UNSEEN[1].astype(int) - 5).mean()
    assert ours > theirs - 0.04
    if export:
        assert run.result["export"]["max_difference"] < 1e-5


def test_what_needs_one_class_each_is_refused_for_other_labels(anew):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(len(NEW[0]), 2)).astype(np.float32)
    for problem_type, labels in (
        ("regression", values),
        ("multi_label", (values > 0).astype(np.int64)),
    ):
        for recipe in ("fine_tune+cdan", "fine_tune+entropy", "fine_tune+fixmatch"):
            refused(
                anew,
                "classes that exclude each other",
                recipe,
                data=(NEW[0], labels),
                problem_type=problem_type,
                target_data=DARK,
            )
        for solve in ("prototypes", "cosine"):
            refused(
                anew,
                "closed form",
                f"few_shot:solve={solve}",
                data=(NEW[0], labels),
                problem_type=problem_type,
            )


def test_ridge_solves_a_regression(anew):
    brightness = NEW[0].mean(axis=(1, 2))[:, None].astype(np.float32)
    run = anew("few_shot:solve=ridge", data=(NEW[0], brightness), problem_type="regression")
    assert run.result["test"]["r2"] > 0.3


@pytest.mark.parametrize(
    ("recipe", "match"),
    [
        ("few_shot+dann", "no phase that trains on labels"),
        ("few_shot+lora", "No stage trains"),
        ("dann+cdan", "each want a head 'domain'"),
        ("autoencoder+vae", "head 'decoder'"),
    ],
)
def test_methods_that_would_do_nothing_or_disagree_are_refused(anew, recipe, match):
    refused(anew, match, recipe, target_data=DARK)


def test_episodes_make_classes_clusters(anew):
    """The nearest mean of a class is right more often once the stages have learnt from episodes."""
    few = functools.partial(anew, labels_per_class=10, test_data=UNSEEN, batch_size=25)
    plain = few("few_shot:solve=prototypes")
    tuned = few("few_shot:solve=prototypes+episodic:episodic_epochs=20,episodic_rate=1e-3")
    accuracy = [run.result["test"]["accuracy"] for run in (plain, tuned)]
    assert accuracy[1] >= accuracy[0] + 0.05, accuracy
    assert losses(tuned, "episodic")[-1] < 0.75 * losses(tuned, "episodic")[0]
