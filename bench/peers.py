"""A random model in two hands: ours, and a folder that transformers opens."""

from pathlib import Path

import torch

from fullclip.models.checkpoint import Checkpoint
from fullclip.models.clip import Clip, build, initialize
from fullclip.models.config import ClipConfig
from fullclip.models.writing import write_checkpoint
from fullclip.preprocess.image import PreprocessConfig
from fullclip.preprocess.tokenizer import Tokenizer


def in_two_hands(config: ClipConfig, folder: Path) -> Clip:
    """The model in evaluation mode; the same, with CLIP's tokenizer, in the folder in Hugging Face's format."""
    clip = build(config).eval()
    initialize(clip, torch.Generator().manual_seed(0))
    preprocess = PreprocessConfig(size=config.vision.image_size)
    checkpoint = Checkpoint(config=config, state=clip.state_dict(), preprocess=preprocess)
    write_checkpoint(checkpoint, folder, tokenizer=Tokenizer.clip(), form="hf")
    return clip
