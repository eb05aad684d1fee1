"""Wire formats. Each file reads a body into the router's words and writes the answer back; pydantic stays here."""
