"""Near copies of images: the same scene cropped, moved, mirrored, lighter or compressed again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from tftransfer.core.typing import Array, FloatArray, IntArray
from tftransfer.preprocessing.image.signature import SIDE

_DESCRIBED_SIDE = 32
# Of the spectrum of an image, per axis; higher frequencies differ between sizes and crops.
_FREQUENCIES = 9
# Images with the most similar spectra, with which each is compared, and with which its middle is.
_CANDIDATES = 8
_MIDDLE = 0.93
# Fraction of the side by which one image may be moved.
_MAX_SHIFT = 1 / 6
# Standard deviations of the filters between which the details of an image remain, in 64ths of it.
_FINE, _BROAD = 0.7, 3.0
# Pairs with other labels that may be found by chance, as a fraction of all that are found.
_CHANCE = 0.1
_THRESHOLDS = np.arange(0.72, 1.0, 0.01)
_BLOCK_IMAGES = 1024
_BLOCK_PAIRS = 500
_TINY = 1e-6


@dataclass(frozen=True)
class _Comparison:
    """One step of the search, which keeps the pairs whose images have the same details.

    Attributes:
      side: Side in pixels at which images are compared.
      crops: Fractions of the side of one image that are compared with the other image.
      least: Correlation of the pairs that are kept.
    """

    side: int
    crops: Sequence[float]
    least: float


# From fast to exact. The first one keeps 99 % of the near copies and 1 % of the other pairs.
_COMPARISONS = (
    _Comparison(side=16, crops=(1.0,), least=0.55),
    _Comparison(side=SIDE, crops=(1.0, 0.95, 0.9), least=float(_THRESHOLDS[0])),
)


def near_copies(gray: FloatArray, labels: Array | None = None) -> IntArray:
    """Finds pairs of images that show the same scene.

    Candidates are the images with the most similar amplitude spectra, which do not depend on
    position, with frequencies mirrored onto each other. A pair is found if the largest normalized
    cross-correlation of the images' details, over shifts, crops and mirroring, is high: above 0.72,
    or higher where images of different labels are that similar too, as drawings on white are.

    Args:
      gray: Gray images, uint8 or float32 [n, 64, 64].
      labels: Label of each image, int [n]; None where they are unknown.

    Returns:
      Indices of the pairs, int64 [m, 2], the lower one first, in ascending order.
    """
    if len(gray) < 2:
        return np.zeros((0, 2), np.int64)
    pairs = _candidates(_reduced(gray, _DESCRIBED_SIDE))
    for comparison in _COMPARISONS:
        correlations = _correlations(_reduced(gray, comparison.side), pairs, comparison)
        pairs = pairs[correlations >= comparison.least]
    correlations = correlations[correlations >= comparison.least]
    found: IntArray = pairs[correlations >= _threshold(pairs, correlations, labels)]
    return found


def _threshold(pairs: IntArray, correlations: FloatArray, labels: Array | None) -> float:
    """The least correlation above which few pairs have different labels, given that by chance most
    pairs would."""
    if labels is None or not len(pairs):
        return float(_THRESHOLDS[0])
    shares = np.unique(labels, return_counts=True)[1] / len(labels)
    differ_by_chance = 1 - (shares**2).sum()
    different = labels[pairs[:, 0]] != labels[pairs[:, 1]]
    for threshold in _THRESHOLDS:
        above = correlations >= threshold
        if different[above].sum() <= 1 + _CHANCE * differ_by_chance * above.sum():
            return float(threshold)
    return 1.0


def _reduced(gray: FloatArray, side: int) -> FloatArray:
    """Returns images of a smaller side, float32 [n, side, side]."""
    times = SIDE // side
    blocks = gray.reshape(len(gray), side, times, side, times)
    reduced: FloatArray = blocks.mean(axis=(2, 4), dtype=np.float32)
    return reduced


def _candidates(images: FloatArray) -> IntArray:
    """Returns pairs of images with similar spectra, also after one of them is cropped, [m, 2]."""
    described, of_middles = (_amplitudes(_cropped(images, crop)) for crop in (1.0, _MIDDLE))
    mean, deviation = described.mean(axis=0), described.std(axis=0) + _TINY
    described, of_middles = (_normalized(each, mean, deviation) for each in (described, of_middles))
    count = min(_CANDIDATES, len(images) - 1)
    pairs = []
    for start in range(0, len(images), _BLOCK_IMAGES):
        rows = np.arange(start, min(start + _BLOCK_IMAGES, len(images)))
        for queries in (described[rows], of_middles[rows]):
            similarity = queries @ described.T
            similarity[np.arange(len(rows)), rows] = -np.inf
            nearest = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
            pairs.append(np.stack([np.repeat(rows, count), nearest.ravel()], axis=1))
    ordered = np.sort(np.concatenate(pairs), axis=1)
    numbers = np.unique(ordered[:, 0] * len(images) + ordered[:, 1])
    found: IntArray = np.stack(np.divmod(numbers, len(images)), axis=1)
    return found


def _normalized(described: FloatArray, mean: FloatArray, deviation: FloatArray) -> FloatArray:
    standard = (described - mean) / deviation
    normalized: FloatArray = standard / (np.linalg.norm(standard, axis=1, keepdims=True) + _TINY)
    return normalized


def _amplitudes(images: FloatArray) -> FloatArray:
    """Logarithms of amplitudes of low frequencies, float32 [n, d], equal for the mirror image."""
    centered = (images - images.mean(axis=(1, 2), keepdims=True)) * _window(images.shape[1])
    amplitudes = np.abs(fft.rfft2(centered))
    mirrored = amplitudes[:, -np.arange(amplitudes.shape[1])]
    low = (amplitudes + mirrored)[:, :, :_FREQUENCIES]
    described: FloatArray = np.log1p(low.reshape(len(images), -1)).astype(np.float32)
    return described


def _correlations(images: FloatArray, pairs: IntArray, comparison: _Comparison) -> FloatArray:
    """Returns the largest correlation of each pair, float32 [m], computed on all cores."""

    def of_block(start: int) -> FloatArray:
        return _block_correlations(images, pairs[start : start + _BLOCK_PAIRS], comparison)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        blocks = list(pool.map(of_block, range(0, len(pairs), _BLOCK_PAIRS)))
    return np.concatenate([np.zeros(0, np.float32), *blocks])


def _block_correlations(images: FloatArray, pairs: IntArray, comparison: _Comparison) -> FloatArray:
    used, position = np.unique(pairs, return_inverse=True)
    first, second = position.reshape(pairs.shape).T
    best = np.full(len(pairs), -1.0, np.float32)
    for left, right in _spectra_of_versions(images[used], comparison):
        np.maximum(best, _peaks(left[first], right[second], comparison.side), out=best)
    return best


def _spectra_of_versions(
    images: FloatArray, comparison: _Comparison
) -> Iterator[tuple[Array, Array]]:
    """Yields spectra of the first and of the second images: one of them cropped or mirrored."""
    whole = _spectra(images, comparison)
    for crop in comparison.crops:
        cropped = _cropped(images, crop)
        plain = whole if crop == 1 else _spectra(cropped, comparison)
        for version in (plain, _spectra(cropped[:, :, ::-1], comparison)):
            yield version, whole
            if crop != 1:  # the mirror image of the second one, since both turn together
                yield whole, version


def _peaks(first: Array, second: Array, side: int) -> FloatArray:
    """Returns the largest correlation over all allowed shifts, float32 [m]."""
    correlation = fft.irfft2(first * second.conj(), s=(side, side))
    most = int(side * _MAX_SHIFT)
    ahead, back = slice(most + 1), slice(-most, None)
    corners = [correlation[:, rows, columns] for rows in (ahead, back) for columns in (ahead, back)]
    peaks: FloatArray = np.max([corner.max(axis=(1, 2)) for corner in corners], axis=0)
    return peaks


def _spectra(images: FloatArray, comparison: _Comparison) -> Array:
    """Returns the spectra of details of norm 1, complex64 [n, side, side / 2 + 1]."""
    pixels = comparison.side / SIDE
    fine, broad = ((0, size * pixels, size * pixels) for size in (_FINE, _BROAD))
    details = ndimage.gaussian_filter(images, fine) - ndimage.gaussian_filter(images, broad)
    images = details * _window(comparison.side)
    norms = np.sqrt((images**2).sum(axis=(1, 2), keepdims=True))
    spectra: Array = fft.rfft2((images / np.maximum(norms, _TINY)).astype(np.float32))
    return spectra


def _cropped(images: FloatArray, crop: float) -> FloatArray:
    """Returns the middle of images, enlarged to their size by bilinear interpolation."""
    if crop == 1:
        return images
    side = images.shape[1]
    middle = (side - 1) / 2
    at = middle + (np.arange(side) - middle) * crop
    low = np.floor(at).astype(int)
    high, part = np.minimum(low + 1, side - 1), (at - low).astype(np.float32)
    rows = images[:, low] * (1 - part)[:, None] + images[:, high] * part[:, None]
    cropped: FloatArray = rows[:, :, low] * (1 - part) + rows[:, :, high] * part
    return cropped


def _window(side: int) -> FloatArray:
    """Weights that fall to 0 at the borders, so that they cause no frequencies, [side, side]."""
    weights = np.hanning(side + 2)[1:-1].astype(np.float32)
    return np.outer(weights, weights)
