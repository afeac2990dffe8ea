"""`python -m edge`: the same as `gridtally-edge`."""

from edge.cli import app

if __name__ == "__main__":
    app()
