"""scikit-learn models on functionals. Never imports torch."""
