"""The recipes against the paper's Tables 18 to 20, and as configs."""

import json

import pytest

from fullclip.core.config import from_dict, override, to_dict
from fullclip.models.config import PRESETS
from fullclip.train.recipes import RECIPES, Run


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_plain_data(name):
    run = RECIPES[name]()
    assert from_dict(Run, json.loads(json.dumps(to_dict(run)))) == run


@pytest.mark.parametrize(
    ("name", "preset", "rate", "beta2", "epsilon"),
    [
        ("vit_b_32", "ViT-B-32", 5e-4, 0.98, 1e-6),
        ("vit_b_16", "ViT-B-16", 5e-4, 0.98, 1e-6),
        ("vit_l_14", "ViT-L-14", 4e-4, 0.98, 1e-6),
        ("rn50", "RN50", 5e-4, 0.999, 1e-8),
    ],
)
def test_the_papers_hyper_parameters(name, preset, rate, beta2, epsilon):
    run = RECIPES[name]()
    assert run.model == PRESETS[preset]
    assert (run.train.batch_size, run.train.steps) == (32768, 32 * 400_000_000 // 32768)
    assert (run.optim.learning_rate, run.optim.beta1, run.optim.beta2, run.optim.epsilon) == (rate, 0.9, beta2, epsilon)
    assert (run.optim.weight_decay, run.optim.warmup) == (0.2, 2000)
    assert run.data.crop.kind == "square"


def test_a_misspelt_setting_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"train\.stepz: no such setting; did you mean 'steps'"):
        override(RECIPES["demo"](), ["train.stepz=3"])
