"""What every test stands on."""

import torch
from hypothesis import HealthCheck, settings

# The models here are too small for a second thread, and waiting for one is slow where processors are shared.
torch.set_num_threads(1)

# A first call may import or compile, so its time says nothing.
settings.register_profile("fullclip", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fullclip")
