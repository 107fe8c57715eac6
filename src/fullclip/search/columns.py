"""Which columns of a table hold what is embedded, and what a row says by them."""

from dataclasses import dataclass
from typing import Literal

from fullclip.data.shards import captions_of
from fullclip.data.tables import IMAGE_COLUMNS, TEXT_COLUMNS, Holds, Row, columns_of, find_column

What = Literal["images", "texts", "both"]
KEY_COLUMNS = ("key", "id")


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Names of columns, empty where there is none that is needed. Made by `of`."""

    image: str
    text: str
    key: str
    holds: Holds

    @classmethod
    def of(cls, table: str, what: What) -> "Columns":
        """ValueError for a table without a column that is needed; one without rows has none, and needs none."""
        found = columns_of(table)
        image = next((name for name in IMAGE_COLUMNS if name in found), "")
        if found and what != "texts":
            image = find_column(table, found, IMAGE_COLUMNS, what="images")
        text = find_column(table, found, TEXT_COLUMNS, what="captions") if found and what != "images" else ""
        key = next((name for name in KEY_COLUMNS if name in found), "")
        return cls(image=image, text=text, key=key, holds=found.get(image, "values"))

    def needed(self, what: What) -> list[str]:
        """What has to be read of a table; the files of images only where they are to be embedded."""
        image = self.image
        if what == "texts" and self.holds != "values":
            image = f"{image}.path" if self.holds == "bytes and path" else ""
        return [name for name in (image, self.text, self.key) if name]

    def image_of(self, row: Row) -> str | bytes | None:
        """A path or a file's bytes; None where the row has neither."""
        found = row.get(self.image)
        if isinstance(found, dict):
            found = found.get("bytes") or found.get("path")
        return found if isinstance(found, str | bytes) and found else None

    def name_of(self, row: Row) -> str:
        """What the row calls itself: its key, or its image's path; empty where it has neither."""
        own = row.get(self.key) if self.key else None
        image = row.get(self.image)
        path = image.get("path") if isinstance(image, dict) else image
        return str(own) if own not in (None, "") else path if isinstance(path, str) else ""

    def texts_of(self, row: Row) -> tuple[str, ...]:
        """The captions; ValueError for what is no text (`data.shards.captions_of`)."""
        return captions_of({"captions": row.get(self.text)})
