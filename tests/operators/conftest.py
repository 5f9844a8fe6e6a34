"""Settings for tests that compute with torch."""

import torch

torch.set_num_threads(1)  # tensors here are tiny: threads would only wait for each other
