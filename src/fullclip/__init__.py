"""Learning transferable visual models from natural language supervision (CLIP, Radford et al. 2021), the whole way.

 web pages,      Pair      shards        Batch         Features       loss          model folder
 tables, dirs -> data  ->  data.shards -> data.loader -> models.clip -> losses  ->  train.checkpoint
                                                         ^ preprocess               |
                                                                                    v
               evaluation  <-  zeroshot  <----------  inference.Encoder  <----------+

encoder = fullclip.load("small")
classifier = fullclip.ZeroShotClassifier(encoder, labels=["dog", "cat"])
classifier.predict(["photo.jpg"])
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fullclip.inference import Encoder as Encoder, load as load
    from fullclip.zeroshot.classifier import ZeroShotClassifier as ZeroShotClassifier

__version__ = "0.1.0"

# Public name -> where it lives. Importing the package imports none of it: torch alone takes a second.
_HOMES = {
    "Encoder": "fullclip.inference",
    "ZeroShotClassifier": "fullclip.zeroshot.classifier",
    "load": "fullclip.inference",
}

__all__ = ["Encoder", "ZeroShotClassifier", "__version__", "load"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in ("compat", "core", "data", "evaluation", "inference", "losses", "models", "preprocess", "train", "zeroshot"):
        return importlib.import_module(f"fullclip.{name}")
    raise AttributeError(f"module 'fullclip' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
