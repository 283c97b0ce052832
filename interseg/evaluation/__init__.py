"""Evaluations: games, figures, their records and tables, comparisons, pictures."""
