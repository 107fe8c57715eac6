"""What is asked and answered, field by field, with examples; the OpenAPI page is made of these."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

_PICTURE = (  # four pixels by four, red
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAQAAAAECAIAAAAmkwkpAAAAEElEQVR4nGP4z8AARwzEcQCukw/x0F8jngAAAABJRU5ErkJggg=="
)
MAX_TOP = 1_000

Picture = Annotated[
    str,
    Field(
        min_length=1, description="A picture's file as base64 or as a data URL; a URL only of a host that the server allows."
    ),
]
Texts = Annotated[list[str], Field(min_length=1, fail_fast=True)]  # of a million wrong items, one is told
Pictures = Annotated[list[Picture], Field(min_length=1, fail_fast=True)]
_MOST_FIELDS = 32


class Asked(BaseModel):
    """A body: nothing that is not asked for, no number that is none."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _has_few_fields(cls, given: Any) -> Any:
        """Each field that is not known would be told of."""
        if isinstance(given, dict) and len(given) > _MOST_FIELDS:
            raise ValueError(f"{len(given):,} fields; /docs has those that there are")
        return given


class ImageItem(Asked):
    image: Picture


class TextItem(Asked):
    text: str


class EmbeddingsRequest(Asked):
    """OpenAI's, with pictures beside texts."""

    model: str = Field(description="An id of /v1/models.", examples=["small"])
    input: str | Annotated[list[str | ImageItem | TextItem], Field(min_length=1, fail_fast=True)] = Field(
        examples=["a red car", ["a red car", {"image": _PICTURE}]]
    )
    encoding_format: Literal["float", "base64"] = Field("float", description="base64: float32, little-endian.")
    dimensions: Annotated[int, Field(ge=1)] | None = Field(None, description="The model's own width, or nothing.")
    user: str | None = Field(None, description="Not looked at.")

    @field_validator("input", mode="before")
    @classmethod
    def _is_no_list_of_ids(cls, given: Any) -> Any:
        """OpenAI's clients may send either."""
        if isinstance(given, list) and not given:
            raise ValueError("an empty list; give a text or a picture")
        if isinstance(given, list) and isinstance(given[0], int | list):
            raise ValueError("ids of tokens mean nothing to this model; give texts")
        return given


class Embedding(BaseModel):
    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Usage(BaseModel):
    prompt_tokens: int
    total_tokens: int


class EmbeddingsAnswer(BaseModel):
    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: Usage


class ClassifyRequest(Asked):
    image: Picture | None = Field(None, examples=[_PICTURE])
    images: Pictures | None = Field(None, description="In place of `image`.")
    labels: Texts = Field(examples=[["a cat", "a dog"]])
    templates: Texts | None = Field(None, description="Sentences with {} for the label.", examples=[["a photo of {}."]])
    reject: bool = Field(False, description="Say of each picture whether it is none of the labels.")


class Classified(BaseModel):
    """none_of_these, outlier_score and threshold are null where `reject` was not asked for."""

    label: str
    probabilities: dict[str, float]
    none_of_these: bool | None
    outlier_score: float | None
    threshold: float | None


class ClassifyAnswer(BaseModel):
    model: str
    results: list[Classified]


class SearchRequest(Asked):
    """What is wanted, in any combination; at least one of text, image and like."""

    text: str | Texts | None = Field(None, examples=["a red car"])
    image: Picture | Pictures | None = None
    like: str | Texts | None = Field(None, description="Keys of pictures in the index, at most 32.")
    minus: str | Texts | None = Field(None, description="Texts that are not wanted.")
    top: Annotated[int, Field(ge=1, le=MAX_TOP)] = 10
    where: Annotated[str, Field(max_length=2000)] | None = Field(
        None, description="A condition on metadata, as in SQL.", examples=["width >= 640"]
    )


class SearchHit(BaseModel):
    """thumbnail: a data URL of a JPEG, or null."""

    key: str
    score: float
    meta: dict[str, Any]
    thumbnail: str | None


class SearchAnswer(BaseModel):
    hits: list[SearchHit]


class RerankRequest(Asked):
    caption: str | Texts = Field(examples=["a red car"])
    images: Pictures = Field(examples=[[_PICTURE]])
    top: Annotated[int, Field(ge=1, le=MAX_TOP)] = 32
    diversity: Annotated[float, Field(ge=0, le=1)] = Field(0.0, description="From 0, the plain order, to 1.")


class RerankHit(BaseModel):
    """index: the picture's place among those that were sent. score: its CLIPScore."""

    index: int
    score: float


class RerankAnswer(BaseModel):
    hits: list[RerankHit]


class Model(BaseModel):
    """Of OpenAI's fields, and the embeddings' width; index: how many pictures can be searched, null without an index."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    dimensions: int
    index: int | None


class Models(BaseModel):
    object: Literal["list"]
    data: list[Model]


class Alive(BaseModel):
    status: Literal["alive"]


class Ready(BaseModel):
    status: Literal["ready"]
    model: str
    index: int | None


class Error(BaseModel):
    message: str
    type: str
    code: str


class ErrorAnswer(BaseModel):
    error: Error
