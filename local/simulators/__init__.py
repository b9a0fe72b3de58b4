"""The payments and the supplier APIs of other teams, as servers programmed by their input."""
