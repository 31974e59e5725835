"""Whether a folder is a run is answered in one place."""

import pytest

from tftransfer.core.run_files import CONFIG, is_run
from tftransfer.utils.errors import UserError


@pytest.mark.parametrize(
    "text, expected",
    [
        ('{"experiment": {"type": "Experiment"}}', True),
        ('{"model_type": "bert"}', False),
        ('["experiment"]', False),
        (None, False),
    ],
)
def test_is_run_needs_an_experiment_in_the_config(tmp_path, text, expected):
    if text is not None:
        (tmp_path / CONFIG).write_text(text)
    assert is_run(tmp_path) is expected
    assert is_run(str(tmp_path)) is expected


def test_is_run_of_a_broken_config_is_a_user_error(tmp_path):
    (tmp_path / CONFIG).write_text('{"experiment": ')
    with pytest.raises(UserError, match=r"config\.json is not valid JSON"):
        is_run(tmp_path)
