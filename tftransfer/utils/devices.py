"""The devices of TensorFlow."""

from __future__ import annotations

import functools

from tftransfer.utils.console import quiet_stderr


@functools.cache
def initialize_devices() -> None:
    """Initializes the devices of TensorFlow once, without its messages on stderr.

    On a machine without a GPU, TensorFlow logs an error for the missing driver.
    """
    import tensorflow as tf

    with quiet_stderr():
        tf.config.list_logical_devices()
