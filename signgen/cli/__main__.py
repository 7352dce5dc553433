"""`python -m signgen.cli`: for launchers that start modules."""

from signgen.cli import main

main()
