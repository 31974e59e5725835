"""Backbones of audio: on waveforms, on log-mel spectrograms, or on pictures of these."""

from tftransfer.backbones.audio.load import load_backbone, longest, picture_name

__all__ = ["load_backbone", "longest", "picture_name"]
