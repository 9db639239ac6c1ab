"""Stage `data`: the task, its rows and its splits."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from coherence.config.strict import HUB_NAME, Strict


class GroundingData(Strict):
    """Embedded task: `Click {widget} in {panel}` -> `click(x, y)`, on a screen layout held in the weights."""

    task: Literal["grounding"]
    panels: int = Field(ge=4, le=12)
    """Columns; each fixes x."""
    widgets: int = Field(ge=4, le=12)
    """Rows; each fixes y."""
    heldout_per_line: int = Field(ge=1)
    """Cells per row and per column that no training split shows: only composition solves them."""
    box_radius: int = Field(ge=1, le=3)
    """Half side of a target's bounding box (pixels on a 100 x 100 screen)."""
    max_tokens: int = Field(ge=16)
    """Prompt + completion + end token; longer rows are dropped and counted."""
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _balanced(self) -> "GroundingData":
        if self.panels != self.widgets:
            raise ValueError("panels and widgets must be equal: the held-out split is balanced over both")
        if self.heldout_per_line >= self.panels:
            raise ValueError("heldout_per_line must leave at least one training cell per row and column")
        return self


class JsonlFile(Strict):
    """One JSON object per line; the path is relative to data_root."""

    file: str
    lines: list[int] | None = Field(default=None, min_length=2, max_length=2)
    """First and last line, from 1; all when absent."""

    @model_validator(mode="after")
    def _relative(self) -> "JsonlFile":
        if PurePosixPath(self.file).is_absolute():
            raise ValueError("give the file relative to data_root, so that the study reads the same on every machine")
        return self


class HubDataset(Strict):
    """A split of a hub data set at one commit."""

    hub: str = Field(pattern=HUB_NAME)
    revision: str = Field(pattern=r"^[0-9a-f]{40}$", description="full commit hash")
    split: str
    subset: str | None = None


def _kind_of_source(value: Any) -> str:
    return "hub" if isinstance(value, HubDataset) or (isinstance(value, dict) and "hub" in value) else "file"


Source = Annotated[
    Annotated[JsonlFile, Tag("file")] | Annotated[HubDataset, Tag("hub")], Discriminator(_kind_of_source)
]


class ToolColumns(Strict):
    """Which column of the source holds what."""

    query: str
    name: str
    arguments: str
    """An object {argument: value or list of values}, or the same as a JSON string."""


class SourcedData(Strict):
    """What tasks on people's data share: where rows come from, and how they are split."""

    train: Source
    test: Source
    prompt: str
    """With the task's placeholders; the model's chat template, where it has one, goes around it."""
    validation_rows: int = Field(ge=0)
    """Taken from train before anything else; never trained on."""
    train_rows: int | None = Field(default=None, ge=1)
    """At most this many training rows (all when absent)."""
    test_rows: int | None = Field(default=None, ge=1)
    max_tokens: int = Field(ge=16)
    grpo_max_completion_chars: int = Field(ge=1)
    """GRPO prompts whose gold completion is longer are left out, so that a completion can end."""
    seed: int = Field(ge=0)

    placeholders: ClassVar[tuple[str, ...]]

    @model_validator(mode="after")
    def _prompt_has_placeholders(self) -> Self:
        for name in self.placeholders:
            if f"{{{name}}}" not in self.prompt:
                raise ValueError(f"prompt must contain {{{name}}}")
        return self

    @model_validator(mode="after")
    def _two_sources(self) -> Self:
        if self.train == self.test:
            raise ValueError("train and test are the same rows, so nothing would be held out")
        return self


class ToolsData(SourcedData):
    """A person's request -> one tool call, `Name(key=value; key2=a|b)`."""

    task: Literal["tools"]
    columns: ToolColumns
    placeholders = ("query",)


class MathsColumns(Strict):
    """Which column of the source holds what."""

    question: str
    answer: str


class MathsData(SourcedData):
    """A word problem -> its answer, `#### 72`, as the last line."""

    task: Literal["maths"]
    columns: MathsColumns
    answer_after: str | None = None
    """In the answer column the final answer follows this mark, the working stands before it; all of it is the final
    answer when absent."""
    worked: bool
    """The gold completion shows the working before its last line."""
    placeholders = ("question",)

    @model_validator(mode="after")
    def _working_is_there(self) -> Self:
        if self.worked and self.answer_after is None:
            raise ValueError("worked needs answer_after: what parts the working from the final answer")
        return self


class CodeColumns(Strict):
    """Which column of the source holds what."""

    text: str
    code: str
    tests: str
    """A list of `assert call(...) == literal`."""
    setup: str | None = None
    """Code to run after the candidate's and before the tests."""


class CodeData(SourcedData):
    """A task in words and its first test -> a Python function."""

    task: Literal["code"]
    columns: CodeColumns
    placeholders = ("text", "test")


class PageColumns(Strict):
    """Which column of the source holds what."""

    instruction: str
    elements: str
    """A list of objects {text or class or tag, box: [left, top, width, height]} in pixels."""
    click: str
    """The demonstrated [x, y]."""
    target: str
    """The number of the element that was clicked (the first is 0), or null."""
    task: str
    """The kind of page; scores are reported per kind."""


class SharedOut(Strict):
    """What tasks share whose rows come from one source."""

    test_share: float = Field(gt=0, lt=1)
    """Of the instructions (pages) or images (screens); nothing that asks or shows the same is trained on."""
    validation_share: float = Field(ge=0, lt=1)
    """The same for the rows that are looked at while training."""
    max_tokens: int = Field(ge=16)
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _something_is_left(self) -> Self:
        if self.test_share + self.validation_share >= 1:
            raise ValueError("test_share and validation_share leave nothing to train on")
        return self


class PagesData(SharedOut):
    """An instruction and what is seen of a page -> one click, `click label x,y`."""

    task: Literal["pages"]
    source: Source
    columns: PageColumns
    copies: int = Field(ge=0)
    """Copies of each SFT row, with other words at other places."""


class ScreenColumns(Strict):
    """Which column of the source holds what."""

    image: str
    """The path of an image file, relative to data_root."""
    instruction: str
    bbox: str
    """What is to be clicked: [left, top, right, bottom]."""


class ScreensData(SharedOut):
    """An instruction and an image -> one click, `click(x, y)`, in thousandths of the image's width and height: no image
    processor that resizes moves it."""

    task: Literal["screens"]
    source: JsonlFile
    columns: ScreenColumns
    boxes: Literal["pixels", "fractions"]
    """The source's boxes: pixels of the image file, or fractions of its width and height."""


DataConfig = Annotated[
    GroundingData | ToolsData | MathsData | CodeData | PagesData | ScreensData, Field(discriminator="task")
]

REWARDS: dict[str, tuple[str, ...]] = {
    "grounding": ("format", "click", "distance"),
    "tools": ("format", "name", "arguments", "exact"),
    "maths": ("format", "correct"),
    "code": ("format", "passed", "share"),
    "pages": ("format", "click", "distance"),
    "screens": ("format", "click", "distance"),
}
"""Verifiable rewards of each task; `carl` can be joined to any of them."""


def settings(study: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a resolved study that decides what the data set is."""
    return {"data": study["data"]}
