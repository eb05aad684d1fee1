"""How `serve_app/bundled/rerank-tiny` is made: `python -m training --help`. Nothing of this is served."""
