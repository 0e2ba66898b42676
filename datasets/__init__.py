"""One file = one data set adapter: file `cifar10.py`, class attribute `name = "cifar10"`, CLI value the same."""
