"""The hash of a backbone's architecture: a part of the keys of cached features."""

from __future__ import annotations

import hashlib
import re

from tftransfer.backbones.backbone import Backbone
from tftransfer.utils.keras_internals import layers_inside


def architecture_digest(backbone: Backbone) -> str:
    """Returns the sha256 of a backbone's layers, their settings and connections, and its pooling.

    Names and trainability do not count: Keras numbers names within a process.

    Returns:
      The hash, or "" where a layer has no configuration.
    """
    model = backbone.model
    named = [*layers_inside(model, include_self=False), *model.operations]
    numbers = {each.name: f"#{number}" for number, each in enumerate(named)}
    try:
        text = model.to_json()
    except (TypeError, ValueError, NotImplementedError):
        return ""
    text = re.sub(r'"trainable": (true|false)', "", text)
    text = re.sub(r'"([^"]+)"', lambda found: numbers.get(found[1], found[0]), text)
    pooling = f"{backbone.pooling} {backbone.unit_length}"
    return hashlib.sha256(f"{text} {pooling}".encode()).hexdigest()
