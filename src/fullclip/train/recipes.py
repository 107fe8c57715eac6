"""A run is a function that returns its whole config. The paper's hyper-parameters are in its Tables 18 to 20."""

from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files

from fullclip.models.config import (
    PRESETS,
    ClipConfig,
    EfficientNetConfig,
    FeaturesConfig,
    ResNetConfig,
    TextConfig,
    VisionConfig,
)
from fullclip.preprocess.image import CropConfig, PreprocessConfig
from fullclip.train.config import DataConfig, OptimConfig, Run, TrainConfig

PAPER_PAIRS = 400_000_000  # WebImageText (section 2.2)
PAPER_BATCH = 32_768
PAPER_STEPS = 32 * PAPER_PAIRS // PAPER_BATCH  # 32 epochs


def demo() -> Run:
    """A small ResNet and text Transformer on the sample shard that ships with the package.

    fullclip train demo --out demo      three minutes on two cores; 8% to 11% recall@1 among 100 unseen pairs
    """
    sample = str(files("fullclip").joinpath("assets/sample/train"))
    model = ClipConfig(
        embed=128,
        vision=ResNetConfig(image_size=64, blocks=(1, 1, 1, 1), width=32, heads=8),
        text=TextConfig(width=128, layers=2, heads=2, mlp_width=512, context_length=32),
    )
    return Run(
        model=model,
        data=DataConfig(shards=(sample,)),
        optim=OptimConfig(learning_rate=1e-3, beta2=0.98, epsilon=1e-6, weight_decay=0.2, warmup=50),
        train=TrainConfig(steps=1000, batch_size=128, checkpoint_every=200, minutes=3.0),
        preprocess=PreprocessConfig(size=64),
    )


# The bundled model's text tower, and its vocabulary of its own (runs/small/vocabulary.py).
_SMALL_TEXT = TextConfig(
    width=256, layers=3, heads=4, mlp_width=1024, context_length=48, vocab_size=12_000, end_id=11_999, activation="gelu"
)


def _small(vision: VisionConfig, *, optim: OptimConfig, train: TrainConfig) -> Run:
    """What the steps towards the bundled model share; runs/small/train.sh goes through them."""
    return Run(
        model=ClipConfig(embed=384, vision=vision, text=_SMALL_TEXT),
        data=DataConfig(shuffle_size=20_000, lanes=16),
        optim=optim,
        train=train,
        preprocess=PreprocessConfig(size=vision.image_size),
    )


def small_words() -> Run:
    """The first of two: a text tower learns what texts mean, from a sentence encoder's vectors in images' places.

    fullclip train small_words --init start --out words --set data.shards=features/meanings      16 minutes on two cores
    """
    optim = OptimConfig(learning_rate=1e-3, beta2=0.98, epsilon=1e-6, weight_decay=0.1, warmup=50)
    return _small(FeaturesConfig(width=384), optim=optim, train=TrainConfig(steps=500, batch_size=1024, checkpoint_every=200))


def small() -> Run:
    """The second, from which the bundled model comes: pictures' features, computed once, and their texts; the image tower is
    locked (LiT, Zhai et al. 2022). runs/small/join.py puts it in front again.

    fullclip train small --out small --set train.init_text=words/model --set data.shards=named,classes,kinds,photos,...
    """
    optim = OptimConfig(
        learning_rate=1e-3, beta2=0.98, epsilon=1e-6, weight_decay=0.2, warmup=30, layer_decay=0.75, average=0.98
    )
    train = TrainConfig(steps=250, batch_size=1024, checkpoint_every=100)
    return _small(FeaturesConfig(width=1280), optim=optim, train=train)


def small_unlocked() -> Run:
    """One step more, which was tried and is not in the bundled model (docs/log.md): the image tower learns on from its fourth
    stage, the texts stay where they are, and what was known before is kept by the teacher, the model that the step began with.

    At 96 pixels, for 128 afterwards: crops show things larger than whole pictures do (Touvron et al. 2019, "Fixing the
    train-test resolution discrepancy").

    fullclip train small_unlocked --init small --out unlocked --set loss.teacher=small --set data.shards=named,photos,...
    """
    optim = OptimConfig(
        learning_rate=3e-4, beta2=0.98, epsilon=1e-6, weight_decay=0.05, warmup=30, layer_decay=0.8, lock="text", lock_stages=3,
        average=0.99,
    )  # fmt: skip
    train = TrainConfig(steps=400, batch_size=256, checkpoint_every=100)
    run = _small(EfficientNetConfig(image_size=96), optim=optim, train=train)
    crop = CropConfig(kind="area", scale=(0.35, 1.0), flip=0.5)
    return replace(run, data=replace(run.data, crop=crop, shuffle_size=4000))


def _paper(preset: str, *, learning_rate: float) -> Run:
    """What all models of the paper share (Table 18); betas and epsilon differ by the kind of image tower."""
    model = PRESETS[preset]
    is_resnet = isinstance(model.vision, ResNetConfig)
    return Run(
        model=model,
        data=DataConfig(),
        optim=OptimConfig(learning_rate=learning_rate, beta2=0.999 if is_resnet else 0.98, epsilon=1e-8 if is_resnet else 1e-6),
        train=TrainConfig(steps=PAPER_STEPS, batch_size=PAPER_BATCH, checkpoint_image_tower=True, checkpoint_text_tower=True),
        preprocess=PreprocessConfig(size=model.vision.image_size),
    )


def vit_b_32() -> Run:
    """ViT-B/32 as in the paper: 63.2% zero-shot on ImageNet.

    fullclip train vit_b_32 --out runs/b32 --set data.shards=/data/wit
    """
    return _paper("ViT-B-32", learning_rate=5e-4)


def vit_b_16() -> Run:
    """ViT-B/16 as in the paper: 68.3% zero-shot on ImageNet (OpenCLIP's measurement of OpenAI's weights).

    fullclip train vit_b_16 --out runs/b16 --set data.shards=/data/wit
    """
    return _paper("ViT-B-16", learning_rate=5e-4)


def vit_l_14() -> Run:
    """ViT-L/14 as in the paper, before its epoch at 336 pixels: 75.5% zero-shot on ImageNet (OpenCLIP's measurement of
    OpenAI's weights); 12 days on 256 V100.

    fullclip train vit_l_14 --out runs/l14 --set data.shards=/data/wit
    """
    return _paper("ViT-L-14", learning_rate=4e-4)


def rn50() -> Run:
    """ResNet-50 as in the paper: 59.8% zero-shot on ImageNet (OpenCLIP's measurement of OpenAI's weights).

    fullclip train rn50 --out runs/rn50 --set data.shards=/data/wit
    """
    return _paper("RN50", learning_rate=5e-4)


RECIPES: dict[str, Callable[[], Run]] = {
    "demo": demo,
    "small_words": small_words,
    "small": small,
    "small_unlocked": small_unlocked,
    "vit_b_32": vit_b_32,
    "vit_b_16": vit_b_16,
    "vit_l_14": vit_l_14,
    "rn50": rn50,
}
