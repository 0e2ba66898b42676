"""A cell from photographs to its result, and many cells; checking adapters of others."""
