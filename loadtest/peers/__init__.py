"""Other ways to serve a cross-encoder, as thin as they can be: something to compare with."""
