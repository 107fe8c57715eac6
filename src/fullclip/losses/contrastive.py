"""CLIP's loss on a whole matrix of similarities: plain, and what the tiled one has to equal."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from fullclip.core.distributed import World, gather
from fullclip.core.types import Features


def softmax(features: Features, world: World) -> Float[Tensor, ""]:
    """Symmetric cross entropy between every image and every text of the global batch (CLIP paper, Figure 3).

    `features` are this process's rows, normalised; row i of the images belongs to row i of the texts, on every process
    equally many. Each process scores its own rows against all columns, so memory is local x global. Averaged over
    processes, the gradient equals that of one big batch.
    """
    texts, images = gather(features.text, world), gather(features.image, world)
    own = world.rank * len(features.image) + torch.arange(len(features.image), device=images.device)
    image_loss = F.cross_entropy(features.scale * features.image @ texts.T, own)
    text_loss = F.cross_entropy(features.scale * features.text @ images.T, own)
    return (image_loss + text_loss) / 2
