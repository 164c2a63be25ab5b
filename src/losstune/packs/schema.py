"""``pack.yaml`` as frozen, typed objects. An unknown key or a value out of range is an error."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from losstune.config.settings import Int, Number, Section, Text
from losstune.core.errors import did_you_mean

NAME = "[A-Za-z0-9][A-Za-z0-9_-]{0,59}"
Direction = Literal["better", "worse", "equivalent", "not worse"]
Name = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=60, description="a name of letters, digits, _ and -")
]
_Texts = Annotated[tuple[Text, ...], Field(min_length=1, strict=False, description="a list of sentences")]
_Settings = Annotated[dict[str, Any], Field(description="sections of params.yaml, or {}")]


class Source(Section):
    """A publication. At least one of the last four says where to find it.

    Attributes:
        authors: Last names or full names.
        year: Year of publication.
        title: Its title.
        venue: Journal, conference or report.
        arxiv: Identifier on arXiv, in quotes: ``"1702.05659"``.
        doi: Digital object identifier.
        url: Address.
    """

    authors: Annotated[tuple[Text, ...], Field(min_length=1, strict=False, description="a list of names")]
    year: Annotated[Int, Field(ge=1900, le=2100)]
    title: Text
    venue: Text | None = None
    arxiv: Annotated[
        str | None, Field(pattern=r"^\d{4}\.\d{4,5}$", description="an identifier in quotes, such as '1702.05659'")
    ] = None
    doi: Text | None = None
    url: Text | None = None

    @property
    def short(self) -> str:
        """The source in a few words: ``Hui & Belkin 2021``."""
        last = [name.split()[-1] for name in self.authors]
        names = f"{last[0]} et al." if len(last) > 2 else " & ".join(last)
        return f"{names} {self.year}"

    @property
    def full(self) -> str:
        """The reference on one line."""
        places = (self.venue, self.arxiv and f"arXiv:{self.arxiv}", self.doi and f"doi:{self.doi}", self.url)
        return f"{', '.join(self.authors)} ({self.year}). {self.title}. {', '.join(filter(None, places))}."

    @model_validator(mode="after")
    def _can_be_found(self) -> Source:
        if not (self.venue or self.arxiv or self.doi or self.url):
            raise ValueError("expected one of venue, arxiv, doi and url: where to find the publication")
        return self


class Needs(Section):
    """Data that losstune does not bring.

    Attributes:
        data: What it is, in words.
        path: File or folder below ``--data`` that shows that it is there.
    """

    data: Text
    path: Text


class CellSettings(Section):
    """One study of the pack.

    Attributes:
        stand_in: What its data stands in for, and how much smaller it is; None if it is the published data.
        needs: Data that must be at hand; None if losstune brings it. A cell that needs data is never run on other data.
        params: What the cell changes in the pack's `params`.
    """

    stand_in: Text | None = None
    needs: Needs | None = None
    params: _Settings = Field(default_factory=dict)


class Published(Section):
    """The published figures of a claim, and where they are."""

    loss: Number
    versus: Number
    unit: Text
    place: Text


class Claim(Section):
    """A published claim on one loss, as far as a cell can test it.

    Attributes:
        id: A name that is unique in the pack.
        text: The claim in plain words.
        place: Where the publication makes it: ``abstract``, ``Table 2``.
        cells: The cells that test it.
        loss: The loss that it is about.
        versus: The loss that it is compared with: the baseline of these cells.
        direction: What is claimed of `loss`.
        metric: The metric of the cells.
        published: Published figures, if they are known for certain.
    """

    id: Name
    text: Text
    place: Text
    cells: Annotated[tuple[Name, ...], Field(min_length=1, strict=False, description="a list of cells of the pack")]
    loss: Text
    versus: Text = "cross_entropy"
    direction: Direction
    metric: Text = "accuracy"
    published: Published | None = None


class Pack(Section):
    """All of ``pack.yaml``.

    Attributes:
        title: What the pack is about, in a line.
        sources: The publications.
        same: What is the same as published.
        smaller: What is smaller, different or left out.
        minutes: Estimated duration on 2 free cores of the cells without `needs`, if they spend their budgets.
        params: Settings that all cells share, as in ``params.yaml``.
        cells: The studies.
        claims: The published claims.
    """

    title: Text
    sources: Annotated[tuple[Source, ...], Field(min_length=1, strict=False, description="a list of publications")]
    same: _Texts
    smaller: _Texts
    minutes: Annotated[Number, Field(gt=0)] | None = None
    params: _Settings = Field(default_factory=dict)
    cells: Annotated[dict[Text, CellSettings], Field(min_length=1, description="cells by name")]
    claims: Annotated[tuple[Claim, ...], Field(min_length=1, strict=False, description="a list of claims")]

    @model_validator(mode="after")
    def _is_consistent(self) -> Pack:
        for name in self.cells:
            if not re.fullmatch(NAME, name):
                raise ValueError(f"cells: found {name!r}, expected a name of letters, digits, _ and -, for a folder")
        ids = [claim.id for claim in self.claims]
        for number, claim in enumerate(self.claims):
            if ids.count(claim.id) > 1:
                raise ValueError(f"claims[{number}].id: {claim.id!r} is given twice")
            for cell in claim.cells:
                if cell not in self.cells:
                    raise ValueError(
                        f"claims[{number}].cells: found {cell!r}, expected cells of this pack: "
                        f"{', '.join(self.cells)}{did_you_mean(cell, list(self.cells))}"
                    )
        return self
