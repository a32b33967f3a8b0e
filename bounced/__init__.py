"""The mail server behind your return path."""

__version__ = "0.1.0"
