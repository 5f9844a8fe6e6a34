"""Operators: what the vocabulary of `stdlib/` does. The only room that imports torch; it knows no syntax, spec, plan or store."""
