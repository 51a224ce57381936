"""Telephone numbers."""

from typing import Protocol


class PhoneNumbers(Protocol):
    """Knows the numbering plans of the world."""

    def is_possible(self, number: str) -> bool:
        """Whether a number in E.164 has a country calling code and a length that are in use; asks nobody."""
        ...
