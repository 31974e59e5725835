"""Backbones that are loaded once and used again."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tftransfer.backbones.backbone import Backbone
from tftransfer.backbones.load import load_backbone
from tftransfer.backbones.options import NO_WEIGHTS, PRETRAINED
from tftransfer.backbones.registry import BACKBONES
from tftransfer.checkpoints.weights import update_derived_values
from tftransfer.core.typing import Array, KerasLayer, KerasModel, PathLike
from tftransfer.utils.files import file_sha256
from tftransfer.utils.keras_internals import layers_inside
from tftransfer.utils.registry import parse_options

# Of the cache that outlives a training.
_PROCESS_MAX_BYTES = 256 << 20
_PROCESS_MAX_COUNT = 1


@dataclass(frozen=True)
class _Entry:
    """A loaded backbone, and what restores it: its variables' values and BatchNorm's momenta."""

    backbone: Backbone
    values: Sequence[Array]
    momenta: Sequence[float]

    def restored(self) -> Backbone:
        """Returns the backbone with the values that it was loaded with."""
        for variable, value in zip(self.backbone.model.variables, self.values, strict=True):
            variable.assign(value)
        for layer, momentum in zip(_batch_norms(self.backbone), self.momenta, strict=True):
            layer.momentum = momentum
        update_derived_values(self.backbone.model.layers)
        return self.backbone


class BackboneCache:
    """Loaded backbones; each is returned as it was first loaded, to one user at a time.

    Args:
      max_bytes: Size of one backbone's weights, at most; larger ones are loaded each time.
      max_count: Number of backbones, at most; beyond it the oldest is dropped.
    """

    def __init__(self, *, max_bytes: float = math.inf, max_count: float = math.inf) -> None:
        self._max_bytes, self._max_count = max_bytes, max_count
        self._entries: dict[tuple[object, ...], _Entry] = {}

    def clear(self) -> None:
        """Drops all backbones."""
        self._entries.clear()

    def load(self, name: PathLike | KerasModel, *, weights: str, **options: Any) -> Backbone:
        """Loads as `load_backbone` does; a second time returns the same layers, weights restored.

        Args:
          name: As in `load_backbone`.
          weights: As in `load_backbone`.
          **options: Further arguments of `load_backbone`.
        """
        key = _source(name, weights)
        if key is None:
            return load_backbone(name, weights=weights, **options)
        key += (tf.distribute.get_strategy(), keras.config.dtype_policy().name)
        key += tuple(sorted(options.items()))
        if key in self._entries:
            return self._entries[key].restored()
        backbone = load_backbone(name, weights=weights, **options)
        values = [variable.numpy() for variable in backbone.model.variables]
        if sum(value.nbytes for value in values) > self._max_bytes:
            return backbone
        momenta = [layer.momentum for layer in _batch_norms(backbone)]
        if len(self._entries) >= self._max_count:
            self._entries.pop(next(iter(self._entries)))
        self._entries[key] = _Entry(backbone, values, momenta)
        return backbone


_PROCESS_CACHE = BackboneCache(max_bytes=_PROCESS_MAX_BYTES, max_count=_PROCESS_MAX_COUNT)
_PROCESS_CACHE_LOCK = threading.Lock()


@contextlib.contextmanager
def process_backbone_cache() -> Iterator[BackboneCache]:
    """Yields a cache that keeps the last small backbone; a new one while another thread uses it."""
    if not _PROCESS_CACHE_LOCK.acquire(blocking=False):
        yield BackboneCache()
        return
    try:
        yield _PROCESS_CACHE
    finally:
        _PROCESS_CACHE_LOCK.release()


def _source(name: PathLike | KerasModel, weights: str) -> tuple[object, ...] | None:
    """Returns what a backbone is made from, files by content.

    None for folders, modules and models in memory, which may change.
    """
    if not isinstance(name, str) or "/" in name or Path(name).exists():
        return None
    base = parse_options(name)[0]
    build = BACKBONES[base].build if base in BACKBONES else None
    path = Path(weights).expanduser()
    is_file = weights not in (PRETRAINED, NO_WEIGHTS) and path.is_file()
    return name, build, weights, file_sha256(path) if is_file else ""


def _batch_norms(backbone: Backbone) -> list[KerasLayer]:
    layers = layers_inside(backbone.model)
    return [each for each in layers if isinstance(each, keras.layers.BatchNormalization)]
