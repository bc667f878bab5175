"""Train one run: `make train NETWORK=plain-56 SEED=3`."""

from resnet_paper.train import main

if __name__ == "__main__":
    main()
