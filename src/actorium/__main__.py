"""`python -m actorium`: the program `actorium`, where its own name is not on the path."""

from actorium_cli import main

if __name__ == "__main__":
    main()
