"""The SavedModel that leaves the package."""
