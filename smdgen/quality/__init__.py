"""Generated pulls measured beside real ones: one measurement, its rows, the verdict."""
