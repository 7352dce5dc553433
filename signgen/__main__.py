"""`python -m signgen`: the command line, for launchers that start modules (torchrun, accelerate)."""

from signgen.cli import main

if __name__ == "__main__":
    main()
