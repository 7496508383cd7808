"""`ser benchmark`: a model on a corpus under a protocol, all folds, beside published scores.

`workspace` makes manifest and features; `folds` trains and tests, fold by fold, and goes on where
it was cut off; `summary` makes scores of the folds' predictions, `page` tables of the scores.
"""
