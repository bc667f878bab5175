"""Train one run: `make train NETWORK=plain-56 SEED=3`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package beside this script

from resnet_paper.train import main

if __name__ == "__main__":
    main()
