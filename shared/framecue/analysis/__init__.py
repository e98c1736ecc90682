"""The stream machine and its parts. NumPy at most: no I/O, no clock, no model, no environment."""
