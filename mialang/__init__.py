"""mialang: threat models as code, for model inversion."""

__version__ = "0.1.0"
