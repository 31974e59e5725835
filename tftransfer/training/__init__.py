"""The one trainer: phases, steps, streams, recovery."""
