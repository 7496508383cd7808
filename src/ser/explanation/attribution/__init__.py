"""What moved an answer: members, groups of functionals, time and frequency."""
