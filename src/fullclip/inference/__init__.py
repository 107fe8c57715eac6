"""A model at work: paths, pictures, arrays and strings in, L2-normalised embeddings out, in the order they came.

`load` opens a model, PyTorch's or one that `fullclip export` wrote; `Encoder` is what it gives.
"""

from fullclip.inference.encoder import Encoder as Encoder
from fullclip.inference.exported import Exported as Exported
from fullclip.inference.opening import load as load, tokenizer_of as tokenizer_of
from fullclip.inference.precision import Precision as Precision
from fullclip.inference.reading import ImageLike as ImageLike, readable_rows as readable_rows

__all__ = ["Encoder", "Exported", "ImageLike", "Precision", "load", "readable_rows", "tokenizer_of"]
