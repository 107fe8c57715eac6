"""Files to embeddings a second, end to end: `Encoder.encode_images` on paths, beside the usual loop on transformers."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from fullclip.bench.comparing import Rival, compared, lowest_cosine
from fullclip.bench.peers import Absent, AbsentError, Peer, quiet_transformers
from fullclip.bench.pictures import SMALL, jpegs
from fullclip.bench.rows import Bar, Row
from fullclip.bench.timing import Side
from fullclip.bench.workbench import Workbench

BESIDE_TRANSFORMERS = Bar(ratio=2.5)
_AT_ONCE = 32


def files(bench: Workbench) -> Iterator[Row]:
    """JPEGs of 500 x 375 pixels in a folder; transformers' CLIPProcessor and CLIPModel, batches of 32."""
    paths, encoder = written(bench.folder / "pictures", bench.sizes.jpegs), bench.subject.encoder
    ours, rivals = encoder.encode_images(paths), list[Rival]()
    absent = [other for other in bench.absent if other.name == "transformers"]
    for peer in bench.peers:
        if peer.name != "transformers":
            continue
        try:
            call = partial(theirs, peer, _processor(peer), paths, encoder.device)
            rivals.append(
                Rival(
                    name=peer.name,
                    side=Side(call=call, count=len(paths)),
                    cosine=lowest_cosine(ours, call().numpy()),
                    bar=bench.asked(BESIDE_TRANSFORMERS),
                )
            )
        except (AbsentError, ImportError) as error:
            absent.append(Absent(name=peer.name, why=str(error)))
    like = Row(part="files", what="files to embeddings", unit="images/s", ours=())
    own = Side(call=partial(encoder.encode_images, paths), count=len(paths))
    yield from compared(like, own, rivals, absent, rounds=bench.rounds, seconds=bench.sizes.seconds)


def written(folder: Path, number: int) -> list[Path]:
    """So many pictures as files."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{i:05d}.jpg" for i in range(number)]
    for path, data in zip(paths, jpegs(number, SMALL), strict=True):
        path.write_bytes(data)
    return paths


def _processor(peer: Peer) -> Any:
    return quiet_transformers().CLIPImageProcessor.from_pretrained(peer.folder)


def theirs(peer: Peer, processor: Any, paths: Sequence[Path], device: torch.device) -> Tensor:
    """Embeddings as a script on transformers makes them."""
    found = list[Tensor]()
    for start in range(0, len(paths), _AT_ONCE):
        pictures = [Image.open(path) for path in paths[start : start + _AT_ONCE]]
        pixels = processor(images=pictures, return_tensors="pt").pixel_values
        found.append(peer.encode_images(pixels.to(device)))
    return torch.cat(found)
