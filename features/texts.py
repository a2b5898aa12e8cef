"""What is said of a declaration for people: texts, which every reader of a catalog can decode."""

from __future__ import annotations

from .errors import DeclarationError


def check_texts(where: str, described: object) -> None:
    """Check the description, owner and tags of a declaration, as far as it has them.

    Raises
    ------
    DeclarationError
        Naming the declaration and what is no text.
    """
    for field in ("description", "owner"):
        text = getattr(described, field, "")
        if not isinstance(text, str):
            raise DeclarationError(where, f"{field}={text!r} is not a text")
    tags = getattr(described, "tags", {})
    if not isinstance(tags, dict) or not all(
        isinstance(x, str) for pair in tags.items() for x in pair
    ):
        raise DeclarationError(where, f"tags must be texts by texts, not {tags!r}")
