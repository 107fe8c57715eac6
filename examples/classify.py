"""Any list of words as a classifier. A real model in place of the untrained one: encoder = fullclip.load("openai/ViT-B-32")."""

import numpy as np
import torch

import fullclip
from fullclip.models.clip import build, initialize
from fullclip.models.config import PRESETS
from fullclip.preprocess.image import PreprocessConfig
from fullclip.preprocess.tokenizer import Tokenizer

model = build(PRESETS["tiny"])
initialize(model, torch.Generator().manual_seed(0))
encoder = fullclip.Encoder(model.eval(), preprocess=PreprocessConfig(size=32), tokenizer=Tokenizer.clip(context_length=32))

images = list(np.random.default_rng(0).integers(0, 256, size=(2, 64, 64, 3), dtype=np.uint8))
classifier = fullclip.ZeroShotClassifier(encoder, labels=["a dog", "a cat"], templates=["a photo of {}.", "{}"])
print(classifier.predict_proba(images))
print(classifier.predict(images))
