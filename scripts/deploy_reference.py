"""Deploy the reference venue and print its manifest; see docs/reference-venue-keeper.md.

python scripts/deploy_reference.py --rpc URL --keystore FILE [--out manifest.json] [--publisher ADDRESS]
"""

import sys

from keeper.reference.command import main

if __name__ == "__main__":
    sys.exit(main())
