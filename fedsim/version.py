"""The version, where every part can know it without importing the package's public names."""

__version__ = "0.1.0"
