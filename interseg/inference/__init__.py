"""Answers at test time: sessions, views, and refinement until clicked pixels have their labels."""
