"""The torch side: what steps and terms do. It knows nothing of specs, plans or stores."""

import os

from mialang.operators.allocator import keep_freed

# Idle threads of torch's pool spin by default. On a shared machine they then fight for cores with whoever works: a
# training step of 3 ms takes 190 ms beside one busy neighbour. Waiting passively costs nothing otherwise.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
keep_freed()
