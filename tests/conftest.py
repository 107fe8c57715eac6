"""What every test stands on."""

import pytest
import torch
from hypothesis import HealthCheck, settings

# The models here are too small for a second thread, and waiting for one is slow where processors are shared.
torch.set_num_threads(1)

# A first call may import or compile, so its time says nothing.
settings.register_profile("fullclip", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fullclip")


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    """What is kept between runs is kept for these tests only; processes started from a server have it from the environment."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("FULLCLIP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
