"""Operators for text: records are strings; models answer with embeddings or token probabilities."""
