"""Your own photographs: colored, compared, and in a web app."""
