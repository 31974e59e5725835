"""How far domains lie apart, and how much more the target is like an example."""

import numpy as np
import pytest

from tftransfer.evaluation.domain_gap import density_ratios, proxy_a_distance


def normal(mean, count, seed):
    return np.random.default_rng(seed).normal(mean, 1.0, (count, 1)).astype(np.float32)


def test_the_proxy_a_distance_is_0_for_one_domain_and_2_for_two_far_apart():
    one, same, far = normal(0, 500, 0), normal(0, 500, 1), normal(20, 500, 2)
    assert abs(proxy_a_distance(one, same)) < 0.2
    assert proxy_a_distance(one, far) == pytest.approx(2, abs=0.01)


def test_the_proxy_a_distance_of_two_normals_is_that_of_the_best_line():
    """It errs by the normal distribution below -1/2, 0.309."""
    found = proxy_a_distance(normal(0, 4000, 0), normal(1, 4000, 1))
    assert found == pytest.approx(2 * (1 - 2 * 0.3085), abs=0.08)


@pytest.mark.parametrize("count", [100, 1000, 10_000])
def test_density_ratios_are_those_of_two_normals_however_many_there_are_of_each(count):
    """p_target / p_source is exp(x - 1/2), which would give the source the target's mean, 1.

    A discriminator of few examples is held back, so that a little less is right.
    """
    source, target = normal(0, 2000, 0), normal(1, count, 1)
    found = density_ratios(source, target)
    assert found.mean() == pytest.approx(1, abs=1e-5)
    assert 0.6 < np.average(source[:, 0], weights=found) < 1.1
    expected = np.exp(source[:, 0] - 0.5)
    assert np.corrcoef(np.log(found), np.log(expected))[0, 1] > 0.95
