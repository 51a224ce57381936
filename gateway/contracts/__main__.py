"""``python -m gateway.contracts`` writes the committed documents, ``--check`` compares them."""

import sys

from gateway.contracts.documents import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
