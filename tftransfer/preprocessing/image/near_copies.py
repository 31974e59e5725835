"""Near copies of images: the same scene cropped, moved, mirrored, lighter or compressed again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy import fft

from tftransfer.core.typing import Array, FloatArray, IntArray
from tftransfer.preprocessing.image.signature import SIDE

_DESCRIBED_SIDE = 32
# Of the spectrum of an image, per axis; higher frequencies differ between sizes and crops.
_FREQUENCIES = 9
# Principal components of the spectra, among which similar ones are looked for.
_COMPONENTS = 96
# Images with which each is compared: those with spectra most similar to its own or its middle's.
_CANDIDATES = 16
_MIDDLE = 0.95
# Fraction of the side by which one image may be moved.
_MAX_SHIFT = 1 / 6
# Standard deviations of the filters between which the details of an image remain, in 64ths of it.
_FINE, _BROAD = 0.7, 3.0
# Pairs with other labels that may be found by chance, as a fraction of all that are found.
_CHANCE = 0.1
_THRESHOLDS = np.arange(0.71, 1.0, 0.01)
# Pairs that a step keeps; without a limit, a set of similar drawings would take long.
_COMPARED_PAIRS_PER_IMAGE = 2
_MIN_COMPARED_PAIRS = 5000
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
    _Comparison(side=SIDE // 2, crops=(1.0, 0.95, 0.9), least=0.64),
    _Comparison(side=SIDE, crops=(1.0, 0.95, 0.9), least=float(_THRESHOLDS[0])),
)


def near_copies(gray: FloatArray, labels: Array | None = None) -> IntArray:
    """Finds pairs of images that show the same scene.

    Candidates are the images with the most similar amplitude spectra, which do not depend on
    position, with frequencies mirrored onto each other. A pair is found if the largest normalized
    cross-correlation of the images' details, over shifts, crops and mirroring, is high: above 0.71,
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
    most = max(_MIN_COMPARED_PAIRS, _COMPARED_PAIRS_PER_IMAGE * len(gray))
    for comparison in _COMPARISONS:
        correlations = _correlations(_reduced(gray, comparison.side), pairs, comparison)
        kept = np.flatnonzero(correlations >= comparison.least)
        if len(kept) > most:
            kept = np.sort(kept[np.argsort(-correlations[kept], kind="stable")[:most]])
        pairs, correlations = pairs[kept], correlations[kept]
    found: IntArray = pairs[correlations >= _threshold(pairs, correlations, labels)]
    return found


def _threshold(pairs: IntArray, correlations: FloatArray, labels: Array | None) -> float:
    """The least correlation above which few pairs have different labels.

    Near copies have one label; most pairs that are similar by chance do not.
    """
    if labels is None or not len(pairs):
        return float(_THRESHOLDS[0])
    shares = np.unique(labels, return_counts=True)[1] / len(labels)
    differ_by_chance = 1 - (shares**2).sum()
    different = labels[pairs[:, 0]] != labels[pairs[:, 1]]
    for threshold in _THRESHOLDS:
        above = correlations >= threshold
        wrong = pairs[above & different]  # an image with a wrong label has a pair for each copy
        count = min(len(np.unique(wrong[:, 0])), len(np.unique(wrong[:, 1])))
        if count <= 1 + _CHANCE * differ_by_chance * above.sum():
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
    described, of_middles = (
        _standard(_amplitudes(_cropped(images, crop))) for crop in (1.0, _MIDDLE)
    )
    components = np.linalg.eigh(described.T @ described)[1][:, -_COMPONENTS:]
    described, of_middles = (_normalized(each @ components) for each in (described, of_middles))
    count = min(_CANDIDATES, len(images) - 1)
    pairs = []
    for start in range(0, len(images), _BLOCK_IMAGES):
        rows = np.arange(start, min(start + _BLOCK_IMAGES, len(images)))
        similarity = np.maximum(described[rows] @ described.T, of_middles[rows] @ described.T)
        similarity[np.arange(len(rows)), rows] = -np.inf
        nearest = np.argpartition(similarity, -count, axis=1)[:, -count:]
        pairs.append(np.stack([np.repeat(rows, count), nearest.ravel()], axis=1))
    ordered = np.sort(np.concatenate(pairs), axis=1)
    numbers = np.unique(ordered[:, 0] * len(images) + ordered[:, 1])
    found: IntArray = np.stack(np.divmod(numbers, len(images)), axis=1)
    return found


def _standard(columns: FloatArray) -> FloatArray:
    standard: FloatArray = (columns - columns.mean(axis=0)) / (columns.std(axis=0) + _TINY)
    return standard


def _normalized(rows: FloatArray) -> FloatArray:
    normalized: FloatArray = rows / (np.linalg.norm(rows, axis=1, keepdims=True) + _TINY)
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
    whole = _spectra(images)
    for crop in comparison.crops:
        cropped = _cropped(images, crop)
        plain = whole if crop == 1 else _spectra(cropped)
        for version in (plain, _spectra(cropped[:, :, ::-1])):
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


def _spectra(images: FloatArray) -> Array:
    """Returns the spectra of details of norm 1, complex64 [n, side, side / 2 + 1]."""
    side = images.shape[1]
    centered = (images - images.mean(axis=(1, 2), keepdims=True)) * _window(side)
    spectra: Array = fft.rfft2(centered) * _band(side)
    counted = np.full(spectra.shape[2], 2.0, np.float32)  # the other half is their conjugate
    counted[[0, -1]] = 1.0
    squares = (np.abs(spectra) ** 2 * counted).sum(axis=(1, 2), keepdims=True) / side**2
    return spectra / np.maximum(np.sqrt(squares), _TINY)


def _band(side: int) -> FloatArray:
    """Weights of frequencies that keep details: a difference of two Gaussian filters."""
    rows, columns = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)
    squares = 2 * (np.pi * side / SIDE) ** 2 * (rows**2 + columns**2)
    band: FloatArray = np.exp(-(_FINE**2) * squares) - np.exp(-(_BROAD**2) * squares)
    return band.astype(np.float32)


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
