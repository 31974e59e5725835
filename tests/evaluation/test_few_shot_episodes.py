"""Few-shot episodes of synthetic clusters: accuracy, intervals, draws, transforms, errors."""

import re

import numpy as np
import pytest

from tftransfer.evaluation import few_shot_episodes
from tftransfer.probes.closed_form import SOLVERS
from tftransfer.utils.errors import UserError


def clusters(apart, classes=8, each=25, d=64, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each)
    means = apart * rng.normal(size=(classes, d))
    return (means[labels] + rng.normal(size=(len(labels), d))).astype(np.float32), labels


@pytest.mark.parametrize("transform", few_shot_episodes.TRANSFORMS)
def test_episodes_of_separable_clusters_have_accuracy_one(transform):
    rows = few_shot_episodes.episodes(*clusters(10.0), count=200, transform=transform)
    assert [(r["method"], r["shots"]) for r in rows] == [
        (m, k) for k in (1, 5) for m in ("prototypes", "ridge", "logistic", "cosine")
    ]
    for row in rows:
        assert (row["accuracy"], row["low"], row["high"]) == (1.0, 1.0, 1.0), row
        assert (row["ways"], row["episodes"]) == (5, 200)


@pytest.mark.parametrize("transform", few_shot_episodes.TRANSFORMS)
def test_episodes_of_noise_have_the_accuracy_of_a_guess(transform):
    for row in few_shot_episodes.episodes(*clusters(0.0, each=40), count=200, transform=transform):
        assert row["low"] - 0.01 < 0.2 < row["high"] + 0.01, row


def test_episodes_with_more_shots_have_higher_accuracy():
    rows = few_shot_episodes.episodes(*clusters(0.35), shots=(1, 5, 10), queries=10, count=200)
    by = {(r["method"], r["shots"]): r for r in rows}
    for method in SOLVERS:
        assert by[method, 1]["high"] < by[method, 5]["low"]
        assert by[method, 5]["accuracy"] < by[method, 10]["accuracy"]


def test_interval_equals_value_by_hand():
    # Mean 0.5, deviation with n - 1: sqrt((0.09 + 0.01 + 0.01 + 0.09) / 3).
    half = 1.96 * np.sqrt(0.2 / 3) / 2
    assert few_shot_episodes.interval([0.2, 0.4, 0.6, 0.8]) == pytest.approx(
        (0.5, 0.5 - half, 0.5 + half)
    )


def test_episode_rows_hold_the_interval_of_the_accuracies(monkeypatch):
    given = iter(np.tile([0.2, 0.4, 0.6, 0.8], 50))
    monkeypatch.setattr(few_shot_episodes, "_accuracy", lambda *inputs: next(given))
    (row,) = few_shot_episodes.episodes(*clusters(1.0), shots=(1,), count=200, methods=("ridge",))
    half = 1.96 * np.sqrt(200 * 0.05 / 199) / np.sqrt(200)
    assert (row["accuracy"], row["low"], row["high"]) == pytest.approx(
        (0.5, 0.5 - half, 0.5 + half)
    )


def test_episodes_repeat_by_seed_and_do_not_depend_on_the_methods():
    data = clusters(0.35)
    everything = few_shot_episodes.episodes(*data, count=200)
    assert few_shot_episodes.episodes(*data, count=200) == everything
    alone = few_shot_episodes.episodes(*data, count=200, methods=("ridge",))
    assert alone == [row for row in everything if row["method"] == "ridge"]
    assert few_shot_episodes.episodes(*data, count=200, seed=1) != everything


def test_draws_are_distinct_and_of_one_class_each():
    labels = np.repeat(np.arange(6), 9)
    places = [np.flatnonzero(labels == c) for c in range(6)]
    drawn = list(few_shot_episodes._draws(places, 4, 7, 50, 0))
    for episode in drawn:
        assert episode.shape == (4, 7)
        assert len(np.unique(episode)) == 28
        classes = labels[episode]
        assert (classes == classes[:, :1]).all() and len(np.unique(classes)) == 4
    longer = list(few_shot_episodes._draws(places, 4, 7, 60, 0))
    np.testing.assert_array_equal(drawn, longer[:50])


def test_fixed_options_do_not_change_predictions():
    x, labels = clusters(0.5, classes=5)
    y = np.eye(5)[labels]
    for method, options in few_shot_episodes._OPTIONS.items():
        if method == "logistic":
            continue
        fast, full = SOLVERS[method](x, y, **options), SOLVERS[method](x, y)
        guesses = [(x @ kernel + bias).argmax(axis=1) for kernel, bias in (fast, full)]
        np.testing.assert_array_equal(*guesses)


def test_centering_does_not_depend_on_the_queries():
    support, query = np.array([[1.0, 0], [3, 0]]), np.array([[2.0, 5], [9, 0]])
    got, queries = few_shot_episodes._transformed(support, query, "center_l2", None)
    np.testing.assert_allclose(got, [[-1, 0], [1, 0]])
    np.testing.assert_allclose(queries, [[0, 1], [1, 0]])
    others = np.concatenate([query, [[100.0, 100]]])
    np.testing.assert_array_equal(
        few_shot_episodes._transformed(support, others, "center_l2", None)[1][:2], queries
    )
    got, queries = few_shot_episodes._transformed(support, query, "center_l2", np.array([1.0, 0]))
    np.testing.assert_allclose(got, [[0, 0], [1, 0]])
    np.testing.assert_allclose(queries[1], [1, 0])


def test_base_mean_removes_what_all_classes_share():
    x, labels = clusters(0.5)
    x = x + np.linspace(0, 30, x.shape[1], dtype=np.float32)
    given = {"shots": (1,), "count": 200, "methods": ("cosine",)}
    (plain,) = few_shot_episodes.episodes(x, labels, transform="l2", **given)
    (centered,) = few_shot_episodes.episodes(
        x, labels, transform="center_l2", base_mean=x.mean(axis=0), **given
    )
    assert centered["low"] > plain["high"]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"count": 199}, "Use 200 or more"),
        ({"ways": 9}, r"8 of 8 classes .* needs 9"),
        ({"queries": 21}, r"0 of 8 classes have the 26 examples"),
        ({"shots": ()}, "cannot have"),
        ({"shots": (0, 1)}, "cannot have"),
        ({"ways": 1}, "cannot have"),
        ({"methods": ("ridg",)}, "Did you mean ridge"),
        ({"transform": "center"}, "Did you mean center_l2"),
        ({"base_mean": np.zeros(64)}, "transform='l2'"),
        ({"base_mean": np.zeros(3), "transform": "center_l2"}, r"A base mean of the shape \[3\]"),
    ],
)
def test_episodes_with_invalid_options_are_errors(options, message):
    with pytest.raises(UserError, match=message):
        few_shot_episodes.episodes(*clusters(1.0), **options)


def test_episodes_with_mismatched_arrays_are_errors():
    with pytest.raises(UserError, match="The features have the shape"):
        few_shot_episodes.episodes(np.ones((4, 2)), np.zeros(3, int))


def test_table_equals_lines_by_hand():
    def row(method, shots, accuracy):
        return {
            "method": method,
            "ways": 5,
            "shots": shots,
            "episodes": 600,
            "accuracy": accuracy,
            "low": accuracy - 0.01,
            "high": accuracy + 0.01,
        }

    rows = [row("ridge", 1, 0.5), row("cosine", 1, 0.625), row("ridge", 5, 0.75)]
    assert few_shot_episodes.table(rows) == [
        "| method | 5-way 1-shot | 5-way 5-shot |",
        "| --- | ---: | ---: |",
        "| ridge | 0.500 ± 0.010 | **0.750** ± 0.010 |",
        "| cosine | **0.625** ± 0.010 |  |",
    ]


def test_episodes_with_too_few_classes_follow_their_remedy():
    x, labels = clusters(1.0)
    with pytest.raises(UserError, match="8 of 8 classes") as caught:
        few_shot_episodes.episodes(x, labels, ways=9, shots=(1,), count=200, methods=("cosine",))
    ways = int(re.search(r"--ways=(\d+)", caught.value.remedy)[1])
    rows = few_shot_episodes.episodes(
        x, labels, ways=ways, shots=(1,), count=200, methods=("cosine",)
    )
    assert rows[0]["ways"] == 8
    with pytest.raises(UserError, match="0 of 8 classes have the 26") as caught:
        few_shot_episodes.episodes(x, labels, queries=21)
    assert "Label 26 of two classes" in caught.value.remedy
