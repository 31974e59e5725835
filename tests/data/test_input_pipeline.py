"""The input pipeline: decoded arrays in any order, decoded once if they are kept."""

from concurrent.futures import CancelledError

import numpy as np
import pytest

from tftransfer.data.input_pipeline import InputPipeline
from tftransfer.preprocessing.image.preprocessor import ImagePreprocessor
from tftransfer.readers.in_memory import from_arrays

COUNT, SIZE = 10, 16
EVERY = np.arange(COUNT)
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, SIZE, SIZE, 3), np.uint8)


def make_pipeline(keep):
    examples = from_arrays(IMAGES, EVERY % 2)
    return InputPipeline(examples, ImagePreprocessor(SIZE), keep=keep)


@pytest.mark.parametrize("keep", [True, False])
def test_fetch_returns_the_images_in_any_order_and_number(keep, log_lines):
    pipeline = make_pipeline(keep)
    for indices in ([3, 1, 3], [0], list(range(COUNT))):
        got = pipeline.fetch(np.array(indices))
        assert got.dtype == np.uint8
        np.testing.assert_array_equal(got, IMAGES[indices])
    blocks = list(pipeline.batches(EVERY[::-1], 4))
    assert [len(block) for block in blocks] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate(blocks), IMAGES[::-1])
    pipeline.prepare(EVERY)
    # The decoding of so few is not announced; slow machines log its progress.
    assert not any("kept in memory" in line for line in log_lines)


def test_fetch_decodes_images_that_are_kept_once(monkeypatch):
    pipeline = make_pipeline(keep=True)
    decoded, decode = [], pipeline._pipeline
    monkeypatch.setattr(
        pipeline, "_pipeline", lambda i, size: (decoded.extend(i.tolist()), decode(i, size))[1]
    )
    pipeline.fetch(np.array([5, 5, 1]))
    pipeline.fetch(np.array([1, 5, 7]))
    assert decoded == [1, 5, 7]


def test_prepare_that_is_stopped_is_not_taken_for_complete(monkeypatch):
    monkeypatch.setattr("tftransfer.data.input_pipeline._BLOCK_EXAMPLES", 2)
    pipeline = make_pipeline(keep=True)
    added = []
    monkeypatch.setattr(
        "tftransfer.data.input_pipeline.Progress.add",
        lambda self, count: (added.append(count), pipeline.stop()),
    )
    with pytest.raises(CancelledError):
        pipeline.prepare(EVERY)
    assert added == [2] and not pipeline._is_decoded.any()


def test_fetch_resizes_to_the_size_of_the_preprocessor():
    examples = from_arrays(np.full((2, 30, 20, 3), 90, np.uint8), np.array([0, 1]))
    got = InputPipeline(examples, ImagePreprocessor(8), keep=False).fetch(np.array([0, 1]))
    np.testing.assert_array_equal(got, np.full((2, 8, 8, 3), 90))
