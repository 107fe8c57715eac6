"""Losses: features of both sides in, one scalar out. They know nothing of models, optimizers or ranks.

All keep one contract. `features` are this process's rows, row i of the images belongs to row i of the texts, on every process
equally many; the mean over processes of the loss, and of the gradients, is that of one big batch.
"""

from fullclip.losses.contrastive import softmax as softmax
from fullclip.losses.distilled import distillation as distillation
from fullclip.losses.pairwise import sigmoid as sigmoid
from fullclip.losses.tiled import tiled_softmax as tiled_softmax

__all__ = ["distillation", "sigmoid", "softmax", "tiled_softmax"]
