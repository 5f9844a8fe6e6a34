"""The command line: arguments in, words out."""

import gc
import os

# A command is a short process that makes many small objects and keeps most of them: looking for garbage every 700 of
# them takes a tenth of the time of `check`.
gc.set_threshold(50_000, 20, 20)

# Looking for plug-ins of pydantic reads the metadata of every installed package, and mialang has no use for any.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
