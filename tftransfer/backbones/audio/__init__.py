"""Audio backbones: on waveforms, on log-mel spectrograms, or on images of spectrograms."""
