"""`python -m ser.cli …` is `ser …`."""

from ser.cli import main

main()
