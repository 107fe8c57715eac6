"""What a checkpoint holds once it is read, in our terms, whoever wrote it."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from fullclip.models.config import ClipConfig
from fullclip.preprocess.image import PreprocessConfig

State = Mapping[str, Tensor]


class CheckpointError(ValueError):
    """Weights that are not there, not readable, not safe, or not a CLIP that this package knows; names the file."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where weights come from. Empty where the files do not say."""

    source: str = ""
    licence: str = ""
    training_data: str = ""
    sha256: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A model at rest: shapes, weights by our names in the precision they were stored in, preprocessing, provenance."""

    config: ClipConfig
    state: State
    preprocess: PreprocessConfig
    provenance: Provenance = Provenance()
