"""`python -m actorium`: the program `actorium`, for when it is not on the PATH."""

from actorium_cli import main

if __name__ == "__main__":
    main()
