"""Paths that TensorFlow takes for patterns: what it reads by a link."""

import pytest
import tensorflow as tf

from tftransfer.utils.glob_paths import is_pattern, literal_path


@pytest.mark.parametrize("name", ["run [1]", "[abc]", "back\\slash", "star*", "what?"])
def test_literal_path_reads_a_saved_model_in_any_folder(tmp_path, name):
    module = tf.Module()
    module.value = tf.Variable(3.0)
    folder = tmp_path / name / "model"
    tf.saved_model.save(module, str(folder))
    assert is_pattern(folder)
    assert float(tf.saved_model.load(literal_path(folder)).value) == 3.0


def test_literal_path_of_other_folders_is_the_path(tmp_path):
    folder = tmp_path / "a 100% #1 {b,c}"
    assert not is_pattern(folder) and literal_path(folder) == str(folder)
