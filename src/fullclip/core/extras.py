"""Optional packages: a module that an extra brings, or one line that names the extra."""

import importlib
from types import ModuleType


def require(module: str, *, extra: str) -> ModuleType:
    """Import `module`, which `pip install "fullclip[extra]"` brings; ModuleNotFoundError with that command where absent."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != module.split(".")[0]:
            raise
        raise ModuleNotFoundError(
            f"this needs the package {module.split('.')[0]!r}: pip install 'fullclip[{extra}]'", name=error.name
        ) from None
