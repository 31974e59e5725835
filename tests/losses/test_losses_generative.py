"""The Gaussian KL against its integral."""

import numpy as np
from scipy.integrate import quad
from scipy.stats import norm

from tftransfer.losses import functional


def test_gaussian_kl_equals_its_integral():
    def density(z):
        own = norm(0.7, np.exp(0.5 * -0.4))
        return own.pdf(z) * (own.logpdf(z) - norm.logpdf(z))

    expected = quad(density, -12, 12)[0]
    got = functional.gaussian_kl([[0.7]], [[-0.4]])
    np.testing.assert_allclose(got, [expected], rtol=1e-5)
    np.testing.assert_allclose(functional.gaussian_kl([[0.7] * 3], [[-0.4] * 3]), [3 * expected])


def test_gaussian_kl_of_the_standard_normal_is_zero_and_large_variances_are_clipped():
    np.testing.assert_array_equal(functional.gaussian_kl(np.zeros((2, 3)), np.zeros((2, 3))), 0)
    far = functional.gaussian_kl([[0.0], [0.0]], [[500.0], [-500.0]])
    np.testing.assert_allclose(far, [0.5 * (np.exp(20) - 21), 0.5 * (np.exp(-20) + 19)], rtol=1e-5)
