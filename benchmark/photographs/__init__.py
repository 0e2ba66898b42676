"""Colors your own photographs, compares methods on them, and shows both in a web app."""
