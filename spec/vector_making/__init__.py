"""How the conformance vectors are made; `make_vectors.py` beside this folder runs it."""
