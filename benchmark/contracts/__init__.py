"""What the rooms agree on: method, data set, settings, cell, result; and finding adapters by name."""
