"""Near copies of images: the same scene cropped, moved, mirrored, lighter or compressed again."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import fft, ndimage

from tftransfer.core.typing import Array, FloatArray, IntArray

# Side in pixels of the gray images that are compared.
SIDE = 64
_COARSE_SIDE = 32
# Of the spectrum of a coarse image, per axis; higher frequencies differ between sizes and crops.
_FREQUENCIES = 9
# Images with the most similar spectra, of which each is compared.
_CANDIDATES = 10
# Fractions of the side that a crop keeps.
_SCALES = (1.0, 0.95, 0.9)
# Fraction of the side by which one image may be moved.
_MAX_SHIFT = 1 / 6
# Of 978 photographs, 94 % and more were found again after a crop to 90 % or a shift by an eighth; 4
# pairs of different files were found, of which 3 show the same scene.
_MIN_COARSE_CORRELATION = 0.65
_MIN_CORRELATION = 0.72
# Standard deviations in pixels of the filters between which the details of an image remain.
_FINE_PIXELS, _BROAD_PIXELS = 0.7, 3.0
_BLOCK_IMAGES = 1024
_BLOCK_PAIRS = 2000
_TINY = 1e-6


def near_copies(gray: FloatArray) -> IntArray:
    """Finds pairs of images that show the same scene.

    Candidates are the images with the most similar amplitude spectra, which do not depend on
    position, with frequencies mirrored onto each other. A pair is found if the largest normalized
    cross-correlation of the images' details, over shifts, scales and mirroring, is high.

    Args:
      gray: Gray images, float32 [n, 64, 64].

    Returns:
      Indices of the pairs, int64 [m, 2], the lower one first, in ascending order.
    """
    if len(gray) < 2:
        return np.zeros((0, 2), np.int64)
    half = SIDE // _COARSE_SIDE
    coarse = gray.reshape(len(gray), _COARSE_SIDE, half, _COARSE_SIDE, half).mean(axis=(2, 4))
    pairs = _candidates(coarse)
    pairs = pairs[_correlations(coarse, pairs, details=False) >= _MIN_COARSE_CORRELATION]
    found: IntArray = pairs[_correlations(gray, pairs, details=True) >= _MIN_CORRELATION]
    return found


def _candidates(coarse: FloatArray) -> IntArray:
    described = _amplitudes(coarse)
    described -= described.mean(axis=0)
    described /= described.std(axis=0) + _TINY
    described /= np.linalg.norm(described, axis=1, keepdims=True) + _TINY
    count = min(_CANDIDATES, len(coarse) - 1)
    pairs = []
    for start in range(0, len(coarse), _BLOCK_IMAGES):
        rows = np.arange(start, min(start + _BLOCK_IMAGES, len(coarse)))
        similarity = described[rows] @ described.T
        similarity[np.arange(len(rows)), rows] = -np.inf
        nearest = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
        pairs.append(np.stack([np.repeat(rows, count), nearest.ravel()], axis=1))
    found: IntArray = np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0)
    return found


def _amplitudes(coarse: FloatArray) -> FloatArray:
    """Logarithms of amplitudes of low frequencies, float32 [n, d], equal for the mirror image."""
    centered = (coarse - coarse.mean(axis=(1, 2), keepdims=True)) * _window(coarse.shape[1])
    amplitudes = np.abs(fft.rfft2(centered))
    mirrored = amplitudes[:, -np.arange(amplitudes.shape[1])]
    low = (amplitudes + mirrored)[:, :, :_FREQUENCIES]
    described: FloatArray = np.log1p(low.reshape(len(coarse), -1)).astype(np.float32)
    return described


def _correlations(images: FloatArray, pairs: IntArray, *, details: bool) -> FloatArray:
    """Returns the largest correlation of each pair, float32 [m]."""
    blocks = [
        _block_correlations(images, pairs[start : start + _BLOCK_PAIRS], details=details)
        for start in range(0, len(pairs), _BLOCK_PAIRS)
    ]
    return np.concatenate([np.zeros(0, np.float32), *blocks])


def _block_correlations(images: FloatArray, pairs: IntArray, *, details: bool) -> FloatArray:
    used, position = np.unique(pairs, return_inverse=True)
    first, second = position.reshape(pairs.shape).T
    some = images[used]
    plain = {scale: _spectra(_cropped(some, scale), details=details) for scale in _SCALES}
    best = np.full(len(pairs), -1.0, np.float32)
    for left, right in _comparisons(some, plain, details=details):
        np.maximum(best, _peaks(left[first], right[second], images.shape[1]), out=best)
    return best


def _comparisons(
    some: FloatArray, plain: dict[float, Array], *, details: bool
) -> Iterator[tuple[Array, Array]]:
    """Yields spectra of the first and of the second images: one of them cropped or mirrored."""
    for scale in _SCALES:
        mirrored = _spectra(_cropped(some[:, :, ::-1], scale), details=details)
        for cropped in (plain[scale], mirrored):
            yield cropped, plain[1.0]
            if scale != 1:  # the mirror image of the second one, since both turn together
                yield plain[1.0], cropped


def _peaks(first: Array, second: Array, side: int) -> FloatArray:
    """Returns the largest correlation over all allowed shifts, float32 [m]."""
    correlation = fft.irfft2(first * second.conj(), s=(side, side))
    most = int(side * _MAX_SHIFT)
    shifts = np.arange(-most, most + 1)
    peaks: FloatArray = correlation[:, shifts[:, None], shifts].max(axis=(1, 2))
    return peaks


def _spectra(images: FloatArray, *, details: bool) -> Array:
    """Returns the spectra of images of mean 0 and norm 1, complex64 [n, side, side / 2 + 1]."""
    if details:
        fine, broad = ((0, pixels, pixels) for pixels in (_FINE_PIXELS, _BROAD_PIXELS))
        images = ndimage.gaussian_filter(images, fine) - ndimage.gaussian_filter(images, broad)
    else:
        images = images - images.mean(axis=(1, 2), keepdims=True)
    images = images * _window(images.shape[1])
    norms = np.sqrt((images**2).sum(axis=(1, 2), keepdims=True))
    spectra: Array = fft.rfft2((images / np.maximum(norms, _TINY)).astype(np.float32))
    return spectra


def _cropped(images: FloatArray, scale: float) -> FloatArray:
    """Returns the middle of images, enlarged to their size by bilinear interpolation."""
    if scale == 1:
        return images
    side = images.shape[1]
    middle = (side - 1) / 2
    at = middle + (np.arange(side) - middle) * scale
    low = np.floor(at).astype(int)
    high, part = np.minimum(low + 1, side - 1), (at - low).astype(np.float32)
    rows = images[:, low] * (1 - part)[:, None] + images[:, high] * part[:, None]
    cropped: FloatArray = rows[:, :, low] * (1 - part) + rows[:, :, high] * part
    return cropped


def _window(side: int) -> FloatArray:
    """Weights that fall to 0 at the borders, so that they cause no frequencies, [side, side]."""
    weights = np.hanning(side + 2)[1:-1].astype(np.float32)
    return np.outer(weights, weights)
