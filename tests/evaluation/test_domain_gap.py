"""Distance and density ratio of two domains against values of normal distributions."""

import numpy as np
import pytest

from tftransfer.evaluation.domain_gap import density_ratios, proxy_a_distance


def normal(mean, count, seed):
    return np.random.default_rng(seed).normal(mean, 1.0, (count, 1)).astype(np.float32)


def test_proxy_a_distance_is_0_for_one_domain_and_2_for_separate_ones():
    source, same, far = normal(0, 500, 0), normal(0, 500, 1), normal(20, 500, 2)
    assert abs(proxy_a_distance(source, same)) < 0.2
    assert proxy_a_distance(source, far) == pytest.approx(2, abs=0.01)


def test_proxy_a_distance_of_two_normals_is_that_of_the_best_threshold():
    """Its error is the normal distribution below -1/2, 0.309."""
    found = proxy_a_distance(normal(0, 4000, 0), normal(1, 4000, 1))
    assert found == pytest.approx(2 * (1 - 2 * 0.3085), abs=0.08)


@pytest.mark.parametrize("count", [100, 1000, 10_000])
def test_density_ratios_of_two_normals_do_not_depend_on_the_numbers_of_examples(count):
    """p_target / p_source is exp(x - 1/2), by which the mean of the source is the target's, 1.

    A discriminator of few examples is regularized, so that the mean is a little lower.
    """
    source, target = normal(0, 2000, 0), normal(1, count, 1)
    found = density_ratios(source, target)
    assert found.mean() == pytest.approx(1, abs=1e-5)
    assert 0.6 < np.average(source[:, 0], weights=found) < 1.1
    expected = np.exp(source[:, 0] - 0.5)
    assert np.corrcoef(np.log(found), np.log(expected))[0, 1] > 0.95
