"""Telephone numbers, by Google's library of numbering plans."""

import phonenumbers


class NumberingPlans:
    """What the library knows; it keeps the plans of countries that it was asked about in memory."""

    def is_possible(self, number: str) -> bool:
        """See `core.ports.phones.PhoneNumbers`."""
        try:
            return phonenumbers.is_possible_number(phonenumbers.parse(number))
        except phonenumbers.NumberParseException:
            return False
