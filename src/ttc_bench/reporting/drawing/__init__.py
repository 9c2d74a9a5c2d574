"""Drawing: what a figure is made of, and two backends that draw any of it."""
