"""The binary and the functions of a notebook: thin."""
