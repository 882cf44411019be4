package timeline

// Period is a time (start, end] on the grid.
type Period struct{ Start, End Minute }
