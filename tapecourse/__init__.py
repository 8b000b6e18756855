"""The code that the chapters teach, and the tools that run them."""

__version__ = "0.1.0"
