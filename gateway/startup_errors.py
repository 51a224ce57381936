"""Why the gateway cannot do what it was started for."""


class CannotStart(Exception):
    """Something outside is missing or in the way; the text is one line for the person who started it."""


class BadSettings(Exception):
    """A setting cannot be used; the text is one line that names the variable and shows no secret."""
