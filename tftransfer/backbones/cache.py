"""Backbones that are loaded once and used again."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tftransfer.backbones.backbone import Backbone
from tftransfer.backbones.load import load_backbone
from tftransfer.backbones.registry import BACKBONES
from tftransfer.checkpoints.weights import settle
from tftransfer.utils.files import file_sha256
from tftransfer.utils.keras_internals import layers_inside
from tftransfer.utils.registry import parse_options


class BackboneCache:
    """Loaded backbones, each given out as it was when first loaded, to one user at a time.

    Args:
      most_bytes: of the weights of one backbone; larger ones are loaded anew each time.
      most: that are held; beyond it the one loaded first is let go.
    """

    def __init__(self, *, most_bytes: float = math.inf, most: float = math.inf) -> None:
        self._most_bytes, self._most = most_bytes, most
        self._held: dict[Any, tuple[Backbone, list[Any], list[float]]] = {}

    def clear(self) -> None:
        """Lets go of all."""
        self._held.clear()

    def load(self, name: str, *, weights: str, **options: Any) -> Backbone:
        """As `load_backbone`; a second time the same layers, their weights put back."""
        key = _origin(name, weights)
        if key is None:
            return load_backbone(name, weights=weights, **options)
        key += (tf.distribute.get_strategy(), keras.config.dtype_policy().name)
        key += tuple(sorted(options.items()))
        if key not in self._held:
            backbone = load_backbone(name, weights=weights, **options)
            values = [variable.numpy() for variable in backbone.model.variables]
            if sum(value.nbytes for value in values) > self._most_bytes:
                return backbone
            momenta = [layer.momentum for layer in _batch_norms(backbone)]
            if len(self._held) >= self._most:
                self._held.pop(next(iter(self._held)))
            self._held[key] = backbone, values, momenta
        backbone, values, momenta = self._held[key]
        for variable, value in zip(backbone.model.variables, values, strict=True):
            variable.assign(value)
        for layer, momentum in zip(_batch_norms(backbone), momenta, strict=True):
            layer.momentum = momentum
        settle(backbone.model.layers)
        return backbone


_OF_PROCESS = BackboneCache(most_bytes=256 << 20, most=1)
_TAKEN = threading.Lock()


@contextlib.contextmanager
def process_backbone_cache() -> Iterator[BackboneCache]:
    """A shelf that keeps the last small backbone for the next user; a new one while it is taken."""
    if not _TAKEN.acquire(blocking=False):
        yield BackboneCache()
        return
    try:
        yield _OF_PROCESS
    finally:
        _TAKEN.release()


def _origin(name: str, weights: str) -> tuple[Any, ...] | None:
    """What a backbone is made from, files by their content; None for folders and modules."""
    if "/" in name or Path(name).exists():
        return None
    base = parse_options(name)[0]
    build = BACKBONES[base].build if base in BACKBONES else None
    path = Path(weights).expanduser()
    file = weights not in ("pretrained", "none") and path.is_file()
    return name, build, weights, file_sha256(path) if file else ""


def _batch_norms(backbone: Backbone) -> list[Any]:
    layers = layers_inside(backbone.model)
    return [each for each in layers if isinstance(each, keras.layers.BatchNormalization)]
