"""Graphs: one graph whose edges are the secret, models of its nodes, and scores of its pairs."""
