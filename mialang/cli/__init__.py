"""The command line: arguments in, words out."""

import gc

# A command is a short process that makes many small objects and keeps most of them: looking for garbage every 700 of
# them takes a tenth of the time of `check`.
gc.set_threshold(50_000, 20, 20)
