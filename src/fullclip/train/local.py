"""What lies in this process of a tensor that is spread over several."""

from torch import Tensor
from torch.distributed.tensor import DTensor


def local_part(tensor: Tensor) -> Tensor:
    """This process's share of a sharded tensor (FSDP2), sharing its memory; any other tensor as it is. Without gradients."""
    return (tensor.to_local() if isinstance(tensor, DTensor) else tensor).detach()
