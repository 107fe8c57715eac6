import json

import pytest

from fullclip.core.extras import require


def test_a_package_that_is_there():
    assert require("json", extra="data") is json
    assert require("json.decoder", extra="data") is json.decoder


@pytest.mark.parametrize("module", ["no_such_package_here", "no_such_package_here.part"])
def test_a_missing_package_names_the_extra_that_brings_it(module):
    with pytest.raises(ModuleNotFoundError) as error:
        require(module, extra="data")
    assert str(error.value) == "this needs the package 'no_such_package_here': pip install 'fullclip[data]'"
    assert error.value.__suppress_context__


def test_a_package_that_lacks_something_itself_is_not_blamed_on_the_extra(tmp_path, monkeypatch):
    (tmp_path / "half_a_package.py").write_text("import something_else_entirely")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="something_else_entirely") as error:
        require("half_a_package", extra="data")
    assert "pip install" not in str(error.value)
