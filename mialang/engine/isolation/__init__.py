"""Isolation: attack steps in a process that holds nothing but what it was granted and a pipe to the handle.

What stands between an attack and the private data is the kernel, not Python: see `docs/security.md` for what it stops and what not.
"""
