"""What the five reports claim and publish, held against the measured cells."""
