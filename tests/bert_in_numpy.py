"""BERT's forward in NumPy, from Hugging Face's tensors: an independent reading of the paper.

Devlin et al., 2019; weights as `model.safetensors` names them.
"""

import numpy as np
from scipy.special import erf, softmax


def sentence_vectors(weights, ids, mask, heads, unit=True):
    """Mean of the last hidden states where mask is 1, of length 1; ids and mask are int [n, T]."""
    hidden = last_hidden_states(weights, ids, mask, heads)
    mask = mask[..., None]
    vectors = (hidden * mask).sum(axis=1) / mask.sum(axis=1)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if unit else vectors


def last_hidden_states(weights, ids, mask, heads):
    w = {name.removeprefix("bert."): np.float64(value) for name, value in weights.items()}
    x = w["embeddings.word_embeddings.weight"][ids]
    x = x + w["embeddings.position_embeddings.weight"][: ids.shape[1]]
    x = x + w["embeddings.token_type_embeddings.weight"][0]
    x = _normalised(x, w, "embeddings.LayerNorm")
    blocks = {name.split(".")[2] for name in w if name.startswith("encoder.layer.")}
    for number in range(len(blocks)):
        place = f"encoder.layer.{number}"
        x = _normalised(
            x + _attention(x, mask, w, place, heads), w, f"{place}.attention.output.LayerNorm"
        )
        inner = _dense(x, w, f"{place}.intermediate.dense")
        inner = inner * 0.5 * (1 + erf(inner / np.sqrt(2)))
        x = _normalised(
            x + _dense(inner, w, f"{place}.output.dense"), w, f"{place}.output.LayerNorm"
        )
    return x


def _attention(x, mask, w, place, heads):
    n, length, width = x.shape
    query, key, value = (
        _dense(x, w, f"{place}.attention.self.{part}").reshape(n, length, heads, -1)
        for part in ("query", "key", "value")
    )
    scores = np.einsum("nqhd,nkhd->nhqk", query, key) / np.sqrt(width // heads)
    scores = np.where(mask[:, None, None, :], scores, -1e9)
    mixed = np.einsum("nhqk,nkhd->nqhd", softmax(scores, axis=-1), value).reshape(x.shape)
    return _dense(mixed, w, f"{place}.attention.output.dense")


def _dense(x, w, name):
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def _normalised(x, w, name):
    centred = x - x.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12)
    return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]
