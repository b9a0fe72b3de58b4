"""A console for one operator, on their own machine: server-rendered pages over the code of `ops`."""
