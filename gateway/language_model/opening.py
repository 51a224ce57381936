"""The language model that the settings name."""

from gateway.language_model.server import OpenAiServer, Patience
from gateway.settings import Settings


def open_model(settings: Settings, patience: Patience | None = None) -> OpenAiServer | None:
    """The model, to be closed; None where the embedded engine answers."""
    if settings.advisor_url is None or settings.advisor_model is None:
        return None
    key = settings.advisor_api_key
    return OpenAiServer(
        settings.advisor_url,
        settings.advisor_model,
        None if key is None else key.get_secret_value(),
        patience,
    )
