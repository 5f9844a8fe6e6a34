"""Defenses: changes to training and to answers."""
