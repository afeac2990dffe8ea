"""`python -m hub`: the same as `gridtally-hub`."""

from hub.cli import app

if __name__ == "__main__":
    app()
