"""How long to wait before something that failed is tried again."""

import random

#: Doubling stops here; every caller's longest pause is reached long before.
_MAX_DOUBLINGS = 30


def backoff_seconds(failures: int, *, first: float, longest: float) -> float:
    """The pause after so many failures in a row, 1 or more: from ``first`` it doubles up to ``longest`` seconds.

    Up to half of it is taken away at random, so that those who failed together do not come back together.
    """
    pause = min(longest, first * 2.0 ** min(failures - 1, _MAX_DOUBLINGS))
    return pause * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
