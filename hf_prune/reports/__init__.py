"""Pages and pictures to look at: galleries of rows, and the report of a cut."""
