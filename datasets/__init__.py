"""One file is one data set adapter: the file `cifar10.py` holds the class whose `name`, "cifar10", people type."""
