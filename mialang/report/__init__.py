"""Verdicts and pages from what a run left in the store. Nothing here runs anything."""
