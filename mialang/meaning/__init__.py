"""What a spec means: imports, names, kinds and types, values and units, and the judgement. No torch here."""
