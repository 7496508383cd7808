"""How the processes of a flow start, are kept from each other, and end with it."""
