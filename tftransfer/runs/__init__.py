"""The working directory of a run."""
