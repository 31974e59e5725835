"""The import of TensorFlow, which takes seconds and prints to stderr."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tftransfer.utils import import_time
from tftransfer.utils.console import quiet_stderr
from tftransfer.utils.progress import waiting


@contextlib.contextmanager
def quiet_tensorflow() -> Iterator[None]:
    """Imports TensorFlow and hides what its libraries print, also during the block.

    They print while they are loaded, before any log level can be set.
    """
    quiet = quiet_stderr()
    with quiet, waiting("importing TensorFlow", log=False), import_time.measure():
        import tensorflow as tf

        tf.config.list_logical_devices()
        yield
