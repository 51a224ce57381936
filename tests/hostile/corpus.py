"""All inputs. A new one is a line in the file of its door; its name says what is hostile in it."""

from tests.hostile import (
    crowd_corpus,
    graphql_corpus,
    grpc_corpus,
    http_corpus,
    live_corpus,
    mcp_corpus,
    mqtt_corpus,
    newer_corpus,
)
from tests.hostile.inputs import Input

CORPUS: tuple[Input, ...] = (
    *http_corpus.CORPUS,
    *newer_corpus.CORPUS,
    *graphql_corpus.CORPUS,
    *live_corpus.CORPUS,
    *mcp_corpus.CORPUS,
    *mqtt_corpus.CORPUS,
    *grpc_corpus.CORPUS,
    *crowd_corpus.CORPUS,
)
DOORS = tuple(dict.fromkeys(one.door for one in CORPUS))
