"""Helpers that know nothing of transfer learning: errors, files, signals, timing, console."""
