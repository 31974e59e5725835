"""Closed-form and linear probes on features."""
