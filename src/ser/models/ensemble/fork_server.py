"""What the server that forks trainings imports, once for all of them."""

import atexit
import os

import ser.models.networks.training  # noqa: F401

# To take Lightning's modules down takes seconds, for which a reader of our output would wait.
atexit.register(os._exit, 0)
