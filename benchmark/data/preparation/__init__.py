"""From photographs as they come to arrays of bytes: listed, decoded in parallel, resumed, verified, shown."""
