"""Which telephone numbers are possible."""

import phonenumbers
import pytest

from core.kernel.countries import COUNTRIES
from gateway.phones import NumberingPlans


@pytest.mark.parametrize(
    ("number", "possible"),
    [
        ("+14155550123", True),
        ("+4930901820", True),
        ("+1415555012", False),
        ("+999123456789", False),
        ("+210123456789", False),
        ("+49", False),
    ],
)
def test_a_number_has_a_calling_code_and_a_length_that_are_in_use(number: str, *, possible: bool) -> None:
    assert NumberingPlans().is_possible(number) is possible


def test_the_countries_are_those_with_telephones_and_those_without() -> None:
    # Of the library's regions three have no code of ISO 3166-1 (Ascension, Tristan da Cunha, Kosovo), and seven
    # countries have no numbering plan.
    regions = set(phonenumbers.SUPPORTED_REGIONS)
    assert regions - COUNTRIES == {"AC", "TA", "XK"}
    assert COUNTRIES - regions == {"AQ", "BV", "TF", "GS", "HM", "PN", "UM"}
    assert len(COUNTRIES) == 249
