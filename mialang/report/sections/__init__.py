"""The sections of the page, one module each: what a section says, as plain values for its template."""
