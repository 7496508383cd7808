"""Tests of models share two cores with others: a waiting thread must sleep, not spin."""

import os

# Read when torch loads, which these tests do lazily.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
